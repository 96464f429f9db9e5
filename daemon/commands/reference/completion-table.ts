import { type CommandSpec, everyCommand, type OptionSpec, type ValueKind } from './spec.ts';

/** One place of the command line, such as `holdfast decision list`, and what may come next there. */
export interface Place {
  /** The words, joined by spaces. */
  name: string;
  commands: readonly { name: string; about: string }[];
  options: readonly OptionSpec[];
  /** What its arguments are; `text` where there are none. */
  operands: ValueKind;
}

/** Options that the program takes before and between the names of its commands. */
const EVERYWHERE = ['--dir', '--json', '--help'];

/** Every place, parents first. `help` at the root takes the names of commands. */
export function placesOf(root: CommandSpec): Place[] {
  return everyCommand(root).map((spec) => {
    const own = spec.options;
    const inherited = root.options.filter(
      ({ long }) => EVERYWHERE.includes(long) && !own.some((option) => option.long === long),
    );
    const commands = spec.commands.map(({ path, summary }) => ({ name: path.at(-1) ?? '', about: summary }));
    const help = spec === root ? [{ name: 'help', about: 'explain a command' }] : [];
    return {
      name: spec.path.join(' '),
      commands: [...commands, ...help],
      options: [...own, ...inherited],
      operands: spec.arguments.find(({ kind }) => kind !== 'text')?.kind ?? 'text',
    };
  });
}

/** The first sentence-like part of a description, short enough to stand beside a word while somebody types. */
export function brief(text: string): string {
  const line = text.replace(/\s+/g, ' ').replace(/\.$/, '');
  return line.length <= 72 ? line : `${line.slice(0, 71).trimEnd()}…`;
}

/** Both spellings of an option. */
export function spellings({ short, long }: OptionSpec): string[] {
  return short === null ? [long] : [short, long];
}
