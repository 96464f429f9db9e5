import { readFileSync } from 'node:fs';

/*
 * A transcript is a text file of commands with what they answer, checked line by line:
 *
 *     # comment
 *     $ holdfast status              a command; `holdfast` is the program, the rest are tools of the machine
 *     ALLOWED  {ANY}                 expected output (stdout, then stderr); placeholders below
 *     < secret                       what the command reads on stdin, line by line
 *     [0]                            expected exit code; ends the command; left out: 0
 *     ? holdfast policy status       the same again and again until it answers so, for what comes by itself
 *     & holdfast daemon              starts a role in the background and waits until it is ready
 *     ! holdfast daemon              stops it (SIGTERM) and waits for its end; `!9` kills it
 *     % NAME=value                   every process from now on has this in its environment
 *     @ 370                          the machine is off for so many days; roles must have been stopped
 *
 * Placeholders in output: {DEC} {PRM} {HEX} {TIME} {N} {ANY}; `{name=DEC}` also remembers what stood there, and `{name}`
 * anywhere later is that text; `{dir}` is the working directory and `{root}` the checkout; `{libfaketime}` is that library, and a transcript that names it is skipped where there is none; `{tomorrow}` is this time tomorrow. `...` alone on a line stands for any number of lines. A line `| text` in a command's
 * output is taken literally. `$ANY` of the environment is not expanded: there is no shell.
 */

/** What a placeholder stands for. */
const PLACEHOLDERS: Record<string, string> = {
  DEC: 'dec_[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}',
  PRM: 'prm_[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}',
  HEX: '[0-9a-f]{64}',
  TIME: '\\d{4}-\\d{2}-\\d{2}[T ]\\d{2}:\\d{2}:\\d{2}(?:\\.\\d{3})?Z',
  N: '\\d[\\d,.]*',
  ANY: '.*',
};

export interface Step {
  line: number;
  kind: 'run' | 'await' | 'start' | 'stop' | 'kill' | 'later' | 'set';
  command: string;
  /** Lines for its stdin. */
  input: string[];
  expected: string[];
  code: number;
}

/** The steps of a transcript. Throws on a line that belongs to no command. */
export function readTranscript(path: string): Step[] {
  const steps: Step[] = [];
  for (const [at, line] of readFileSync(path, 'utf8').split('\n').entries()) {
    const start = /^(\$|\?|&|!9|!|@|%) (.*)$/.exec(line);
    const current = steps.at(-1);
    const code = /^\[(\d+)\]$/.exec(line);
    if (start !== null) {
      const kind = (
        { $: 'run', '?': 'await', '&': 'start', '!': 'stop', '!9': 'kill', '@': 'later', '%': 'set' } as const
      )[start[1] as '$'];
      steps.push({ line: at + 1, kind, command: start[2] ?? '', input: [], expected: [], code: 0 });
    } else if (code !== null && current !== undefined) current.code = Number(code[1]);
    else if (line.startsWith('#')) continue;
    else if (line.startsWith('< ') && current !== undefined) current.input.push(line.slice(2));
    else if (line.trim() !== '') {
      if (current === undefined) throw new Error(`${path}:${at + 1}: output before the first command`);
      current.expected.push(line.replace(/^\| ?/, ''));
    }
  }
  return steps;
}

/** Splits a command line into words: single and double quotes, no expansion of any kind. */
export function words(line: string): string[] {
  const found: string[] = [];
  const token = /\s*((?:'[^']*'|"[^"]*"|[^\s'"])+)/gy;
  for (let match = token.exec(line); match !== null; match = token.exec(line)) {
    found.push((match[1] ?? '').replace(/'([^']*)'|"([^"]*)"/g, '$1$2'));
  }
  return found;
}

/** Puts remembered values in place of `{name}`. */
export function fill(text: string, known: ReadonlyMap<string, string>): string {
  return text.replace(/\{([a-z][a-z0-9]*)\}/g, (whole, name: string) => known.get(name) ?? whole);
}

/**
 * Compares output with what was expected, remembering `{name=…}`. Returns null when it fits, else the first expectation
 * that found no line.
 */
export function mismatch(
  expected: readonly string[],
  output: string,
  known: Map<string, string>,
): { wanted: string; found: string } | null {
  const lines = output.split('\n').filter((line) => line.trim() !== '');
  let at = 0;
  let skipping = false;
  for (const wanted of expected) {
    if (wanted.trim() === '...') {
      skipping = true;
      continue;
    }
    const { pattern, names } = compile(fill(wanted, known));
    const match = nextMatch(lines, at, skipping, pattern);
    if (match === null) return { wanted, found: lines[at] ?? '(end of output)' };
    for (const [i, name] of names.entries()) known.set(name, match.groups[i] ?? '');
    at = match.at + 1;
    skipping = false;
  }
  return skipping || at === lines.length ? null : { wanted: '(end of output)', found: lines[at] ?? '' };
}

function nextMatch(
  lines: readonly string[],
  from: number,
  skipping: boolean,
  pattern: RegExp,
): { at: number; groups: string[] } | null {
  for (let at = from; at < (skipping ? lines.length : Math.min(from + 1, lines.length)); at += 1) {
    const match = pattern.exec((lines[at] ?? '').trimEnd());
    if (match !== null) return { at, groups: match.slice(1) };
  }
  return null;
}

function compile(wanted: string): { pattern: RegExp; names: string[] } {
  const names: string[] = [];
  const source = wanted
    .trimEnd()
    .replace(/\{(?:([a-z][a-z0-9]*)=)?([A-Z]+)\}|[.*+?^${}()|[\]\\]/g, (whole, name, kind) => {
      const stands = kind === undefined ? undefined : PLACEHOLDERS[kind as string];
      if (stands === undefined) return `\\${whole}`;
      if (name === undefined) return `(?:${stands})`;
      names.push(name as string);
      return `(${stands})`;
    });
  return { pattern: new RegExp(`^${source}$`), names };
}
