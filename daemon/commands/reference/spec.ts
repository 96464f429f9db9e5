import type { Argument, Command, Option } from 'commander';

/*
 * The command line as plain data: what completions and manual pages are made of, so that both say what `--help` says.
 */

/** What may stand for a value: some of a list, a file, a directory, or text that nobody can guess. */
export type ValueKind = 'file' | 'directory' | 'text' | readonly string[];

export interface ArgumentSpec {
  name: string;
  description: string;
  required: boolean;
  variadic: boolean;
  kind: ValueKind;
}

export interface OptionSpec {
  /** `-o`, where there is one. */
  short: string | null;
  /** `--out`. */
  long: string;
  /** `-o, --out <file>`, as in help. */
  flags: string;
  description: string;
  /** Null for a flag that takes no value. */
  value: ValueKind | null;
  mandatory: boolean;
}

export interface CommandSpec {
  /** `['holdfast', 'decision', 'list']`. */
  path: readonly string[];
  summary: string;
  description: string;
  /** `[options] <id>`. */
  usage: string;
  arguments: readonly ArgumentSpec[];
  options: readonly OptionSpec[];
  commands: readonly CommandSpec[];
  /** Examples, exit codes and the like: what help says behind the lists. */
  notes: string;
}

/** The tree under a command, as data. */
export function specOf(command: Command, above: readonly string[] = []): CommandSpec {
  const path = [...above, command.name()];
  return {
    path,
    summary: command.summary() || command.description(),
    description: command.description(),
    usage: command.usage(),
    arguments: command.registeredArguments.map(argumentOf),
    options: visibleOptions(command).map(optionOf),
    commands: command.commands.map((child) => specOf(child, path)),
    notes: notesOf(command),
  };
}

/** The command and everything below it, parents first. */
export function everyCommand(spec: CommandSpec): CommandSpec[] {
  return [spec, ...spec.commands.flatMap(everyCommand)];
}

function visibleOptions(command: Command): Option[] {
  const help = command.createHelp();
  return help.visibleOptions(command);
}

function argumentOf(argument: Argument): ArgumentSpec {
  return {
    name: argument.name(),
    description: argument.description,
    required: argument.required,
    variadic: argument.variadic,
    kind: argument.argChoices ?? kindOf(argument.name()),
  };
}

function optionOf(option: Option): OptionSpec {
  const takesValue = option.required || option.optional;
  return {
    short: option.short ?? null,
    long: option.long ?? option.flags,
    flags: option.flags,
    description: described(option),
    value: takesValue ? (option.argChoices ?? kindOf(/[<[]([^>\]]*)/.exec(option.flags)?.[1] ?? '')) : null,
    mandatory: option.mandatory,
  };
}

/** As help puts it: with the values to choose from and the default. */
function described({ description, argChoices, defaultValue, defaultValueDescription }: Option): string {
  const choices = argChoices === undefined ? [] : [`one of: ${argChoices.join(', ')}`];
  const given = defaultValueDescription ?? (typeof defaultValue === 'string' ? defaultValue : undefined);
  const facts = given === undefined ? choices : [...choices, `default: ${given}`];
  return facts.length === 0 ? description : `${description} (${facts.join('; ')})`;
}

/** Names of values that are files on this machine, as the help texts use them. */
const FILES: readonly string[] = [
  ...[
    'file',
    'path',
    'key',
    'keys',
    'sshkey',
    'bundle',
    'policy',
    'trust',
    'grant',
    'what',
    'from',
    'a',
    'b',
  ],
  'where',
];
const DIRECTORIES: readonly string[] = ['dir', 'region'];

function kindOf(placeholder: string): ValueKind {
  const name = placeholder.replace(/\.\.\.$/, '');
  if (DIRECTORIES.includes(name)) return 'directory';
  return FILES.includes(name) ? 'file' : 'text';
}

/** What was added behind the help text; commander only says it together with the rest. */
function notesOf(command: Command): string {
  const before = command.configureOutput();
  let text = '';
  command.configureOutput({ ...before, writeOut: (part) => (text += part) });
  command.outputHelp();
  command.configureOutput(before);
  return text.slice(command.helpInformation().length).trim();
}
