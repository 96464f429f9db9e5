import type { CommandSpec, OptionSpec } from './spec.ts';

/** One page of the manual, section 1: `holdfast.1` and one for each command, with what stands below it. */
export interface ManualPage {
  /** `holdfast-ledger.1`. */
  name: string;
  /** In the man(7) macros. */
  text: string;
}

export interface Edition {
  version: string;
  /** Day of this edition, `2026-11-21`. */
  date: string;
}

/** The whole manual. Depends on nothing but the command line and the edition. */
export function manualPages(root: CommandSpec, edition: Edition): ManualPage[] {
  return [rootPage(root, edition), ...root.commands.map((command) => commandPage(command, edition))];
}

function rootPage(root: CommandSpec, edition: Edition): ManualPage {
  const lines = [
    ...head(root, edition),
    ...section('SYNOPSIS', ['.B holdfast', '.I command', '.RI [ options ]']),
    ...section('DESCRIPTION', prose(root.description)),
    ...prose('Each command has a page of its own and explains itself with --help.', '.PP'),
    ...section(
      'COMMANDS',
      root.commands.flatMap((command) => [
        '.TP',
        `.BR ${escaped(pageName(command))} (1)`,
        ...prose(command.summary),
      ]),
    ),
    ...section('OPTIONS', root.options.flatMap(optionLines)),
    ...section('NOTES', notesOf(root.notes)),
    ...EXIT_STATUS,
    ...ENVIRONMENT,
    ...FILES,
    ...section(
      'SEE ALSO',
      root.commands.map((command, at, all) => seeAlso(command, at === all.length - 1)),
    ),
  ];
  return { name: 'holdfast.1', text: page(lines) };
}

function commandPage(command: CommandSpec, edition: Edition): ManualPage {
  const leaves = command.commands.flatMap(leavesOf);
  const lines = [
    ...head(command, edition),
    ...section('SYNOPSIS', (leaves.length === 0 ? [command] : leaves).flatMap(synopsis)),
    ...section('DESCRIPTION', prose(command.description)),
    ...(leaves.length === 0
      ? bodyOf(command)
      : [
          ...section('NOTES', notesOf(command.notes)),
          '.SH COMMANDS',
          ...leaves.flatMap((leaf) => [
            `.SS ${quoted(leaf.path.join(' '))}`,
            ...prose(leaf.description),
            ...bodyBelow(leaf),
          ]),
        ]),
    ...section('SEE ALSO', ['.BR holdfast (1)']),
  ];
  return { name: `${pageName(command)}.1`, text: page(lines) };
}

/** Commands that do something: those with nothing below them. */
function leavesOf(command: CommandSpec): CommandSpec[] {
  return command.commands.length === 0 ? [command] : command.commands.flatMap(leavesOf);
}

function pageName(command: CommandSpec): string {
  return command.path.join('-');
}

function head(command: CommandSpec, { version, date }: Edition): string[] {
  const name = pageName(command);
  return [
    `.TH ${quoted(name.toUpperCase())} 1 "${date}" ${quoted(`holdfast ${version}`)} "Holdfast manual"`,
    '.SH NAME',
    `${escaped(name)} \\- ${escaped(command.path.length === 1 ? lower(command.description) : command.summary)}`,
  ];
}

/** What a page's index line reads like: no capital, no full stop. */
function lower(text: string): string {
  return text.slice(0, 1).toLowerCase() + text.slice(1).replace(/\.$/, '');
}

function synopsis({ path, arguments: operands, options }: CommandSpec, at: number): string[] {
  const needed = options.filter(({ mandatory }) => mandatory).map(({ flags }) => flags);
  const words = operands.map(({ name, required, variadic }) => {
    const word = variadic ? `${name}...` : name;
    return required ? word : `[${word}]`;
  });
  return [
    ...(at === 0 ? [] : ['.br']),
    `.B ${escaped(path.join(' '))}`,
    ...[...needed, ...words, '[options]'].map((word) => `.I ${escaped(word)}`),
  ];
}

function bodyOf(command: CommandSpec): string[] {
  return [
    ...section('ARGUMENTS', argumentLines(command)),
    ...section('OPTIONS', command.options.flatMap(optionLines)),
    ...section('NOTES', notesOf(command.notes)),
  ];
}

function bodyBelow(command: CommandSpec): string[] {
  const own = command.options.filter(({ long }) => !EVERYWHERE.includes(long));
  return [...argumentLines(command), ...own.flatMap(optionLines), ...notesOf(command.notes, ['.PP'])];
}

/** Options of every command: told once, on the first page. */
const EVERYWHERE: readonly string[] = ['--dir', '--json', '--help'];

function argumentLines(command: CommandSpec): string[] {
  return command.arguments.flatMap(({ name, description }) => [
    '.TP',
    `.I ${escaped(name)}`,
    ...prose(description === '' ? 'see below' : description),
  ]);
}

function optionLines({ flags, description }: OptionSpec): string[] {
  return ['.TP', `.B ${escaped(flags)}`, ...prose(description === '' ? flags : description)];
}

function seeAlso(command: CommandSpec, last: boolean): string {
  return `.BR ${escaped(pageName(command))} (1)${last ? '' : ' ,'}`.replace(' ,', ',');
}

/** A section, or nothing where there is nothing to say. */
function section(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : [`.SH ${title}`, ...lines];
}

/** Running text: a line for each sentence, so that none begins with what roff would take for a request. */
function prose(text: string, before?: string): string[] {
  const lines = text
    .split(/\n+/)
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .map(safe);
  return before === undefined ? lines : [before, ...lines];
}

/**
 * What help says behind its lists: paragraphs are filled, indented lines (examples, tables) stay as they are. `before`
 * separates it from what stands above.
 */
function notesOf(text: string, before: readonly string[] = []): string[] {
  const lines: string[] = [];
  let mode: 'gap' | 'prose' | 'lines' = 'gap';
  for (const line of text.split('\n')) {
    const next = line.trim() === '' ? 'gap' : line.startsWith(' ') ? 'lines' : 'prose';
    if (mode === 'lines' && next !== 'lines') lines.push('.fi');
    if (next === 'prose' && mode !== 'prose') lines.push(...(lines.length === 0 ? before : ['.PP']));
    if (next === 'lines' && mode !== 'lines') lines.push('.nf');
    if (next !== 'gap') lines.push(safe(next === 'prose' ? line.trim() : line.trimEnd()));
    mode = next;
  }
  return mode === 'lines' ? [...lines, '.fi'] : lines;
}

function safe(line: string): string {
  const text = escaped(line);
  return /^[.']/.test(text) ? `\\&${text}` : text;
}

/** Characters that roff reads, made what they are; what is beyond ASCII by its number. */
function escaped(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll('"', '\\(dq')
    .replaceAll("'", '\\(aq')
    .replaceAll('`', '\\(ga')
    .replaceAll('^', '\\(ha')
    .replaceAll('~', '\\(ti')
    .replace(
      /[^\0-\u007f]/gu,
      (char) => `\\[u${(char.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}]`,
    );
}

function quoted(text: string): string {
  return `"${escaped(text)}"`;
}

function page(lines: readonly string[]): string {
  return `${lines.join('\n')}\n`;
}

const EXIT_STATUS = [
  '.SH EXIT STATUS',
  ...[
    ['0', 'done; for requests: allowed, and executed with success'],
    ['1', 'a defect of holdfast'],
    ['2', 'bad arguments or configuration; nothing was done'],
    ['3', 'refused: denied, not authorized, or the tool itself failed under its permit'],
    ['4', 'pending: waits for authority'],
    ['5', 'unavailable: a component is missing or degraded, so the answer is no'],
    ['6', 'the tool was started and its outcome is unknown: reconcile it'],
    ['10', 'verification: tampered'],
    ['11', 'verification: torn tail after a crash; nothing acknowledged is missing'],
    ['12', 'verification: intact, but the newest entries are not yet under a checkpoint'],
    ['13', 'verification: signed by an unknown, rotated-out or revoked key'],
    ['14', 'verification: history ends before a checkpoint or anchor known from elsewhere'],
  ].flatMap(([code = '', words = '']) => ['.TP', `.B ${code}`, ...prose(words)]),
];

const ENVIRONMENT = [
  '.SH ENVIRONMENT',
  ...[
    ['HOLDFAST_DIR', 'the site directory, where --dir does not name it'],
    ['HOLDFAST_ACTOR', 'who you are, where --actor does not say it'],
    ['NO_COLOR', 'any value: no colours on the terminal'],
    ['HOLDFAST_DEBUG', 'any value: say where an unexpected failure happened'],
  ].flatMap(([name = '', words = '']) => ['.TP', `.B ${escaped(name)}`, ...prose(words)]),
];

const FILES = [
  '.SH FILES',
  ...[
    ['/var/lib/holdfast', 'the site, where it runs as a service'],
    ['/run/holdfast', 'its sockets'],
    ['/var/spool/holdfast', 'what crosses the gap: inbox and outbox'],
    ['/usr/share/doc/holdfast', 'what to do when something is wrong: the runbooks'],
  ].flatMap(([path = '', words = '']) => ['.TP', `.I ${escaped(path)}`, ...prose(words)]),
];
