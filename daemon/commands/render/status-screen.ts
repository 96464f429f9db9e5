import type { Degraded } from './status-answer.ts';
import type { Summary } from './status-summary.ts';
import { count, folded, paint, plain } from './text.ts';

/** What fits beside a shell's prompt on the smallest terminal still in use. */
const LINES = 22;
const COLUMNS = 80;
const INDENT = 12;
const ROOM = COLUMNS - INDENT;

/** Lines that one answer may take, so that the others have room, too. */
const SHARE = { safe: 2, deciding: 3, waits: 5, next: 4 };

/** The summary on one screen of 80 columns and 22 lines; what is left out is counted, and said where it is. */
export function renderScreen(title: string, summary: Summary): string {
  const head = [
    `${paint('bold', paint(summary.style, summary.word))}  ${plain(title)}`,
    ...row('safe', [summary.safe], SHARE.safe),
    ...row('deciding', [summary.deciding], SHARE.deciding),
    ...row('waits', summary.waits.length === 0 ? ['nothing'] : summary.waits, SHARE.waits),
    ...row('next', summary.next.length === 0 ? ['nothing in sight'] : summary.next, SHARE.next),
  ];
  return [...head, ...troubleLines(summary.troubles, LINES - head.length)].join('\n');
}

/** An answer under its label; each text on as few lines as it takes, the last line saying what did not fit. */
function row(label: string, texts: readonly string[], max: number): string[] {
  const blocks = texts.map((text) => folded(plain(text), ROOM).split('\n'));
  const lines = fitting(blocks, max);
  const pad = ' '.repeat(INDENT);
  return lines.map((line, at) =>
    at === 0 ? `  ${paint('dim', label.padEnd(INDENT - 2))}${line}` : `${pad}${line}`,
  );
}

function fitting(blocks: readonly (readonly string[])[], max: number): string[] {
  const all = blocks.flat();
  if (all.length <= max) return all;
  const [first] = blocks;
  if (blocks.length === 1 && first !== undefined) return cut(first, max);
  const shown: string[] = [];
  let taken = 0;
  for (const block of blocks) {
    if (shown.length + block.length > max - 1) break;
    shown.push(...block);
    taken += 1;
  }
  return [...shown, `… and ${count(blocks.length - taken, 'more', 'more')}: holdfast status --all`];
}

/** The first lines of a text that is too long, ending in an ellipsis. */
function cut(lines: readonly string[], max: number): string[] {
  if (lines.length <= max) return [...lines];
  const last = lines[max - 1] ?? '';
  return [...lines.slice(0, max - 1), `${last.slice(0, ROOM - 1)}…`];
}

/** How much is told of each thing that is wrong, most first. */
const TELLINGS: readonly ((trouble: Degraded) => string[])[] = [
  (trouble) => ['', ...cause(trouble), ...item('effect', trouble.effect), ...item('do', trouble.instruction)],
  (trouble) => [...cause(trouble), ...item('do', trouble.instruction)],
  (trouble) => [...clipped(cause(trouble)), ...clipped(item('do', trouble.instruction))],
  (trouble) => clipped(cause(trouble)),
];

/** All that is wrong in as much detail as there is room for; if not even one line for each fits, the rest is counted. */
function troubleLines(troubles: readonly Degraded[], room: number): string[] {
  if (troubles.length === 0) return [];
  const footer = ['', paint('dim', 'In full: holdfast status --all')];
  const [full] = TELLINGS;
  const everything = troubles.flatMap((one) => full?.(one) ?? []);
  if (everything.length <= room) return everything;
  for (const telling of TELLINGS.slice(1)) {
    const lines = ['', ...troubles.flatMap(telling)];
    if (lines.length + footer.length <= room) return [...lines, ...footer];
  }
  return ['', ...counted(troubles, room - 1)];
}

/** The gravest with what to do, others by their cause alone, and the rest by name. */
function counted(troubles: readonly Degraded[], room: number): string[] {
  const [gravest, ...others] = troubles;
  if (gravest === undefined) return [];
  const first = [...clipped(cause(gravest)), ...clipped(item('do', gravest.instruction))];
  const shown = others.slice(0, Math.max(0, room - first.length - MORE_LINES));
  const rest = others.slice(shown.length).map(({ component }) => plain(component));
  const more = `… and ${rest.length} more (${[...new Set(rest)].join(', ')}): holdfast status --all`;
  return [...first, ...shown.flatMap((one) => clipped(cause(one))), ...folded(more).split('\n')];
}

/** Lines that the names of all components together take. */
const MORE_LINES = 2;

function cause({ component, cause: what }: Degraded): string[] {
  const name = plain(component);
  const [first = '', ...others] = folded(`${name}: ${plain(what)}`, COLUMNS).split('\n');
  return [`${paint('yellow', paint('bold', name))}${first.slice(name.length)}`, ...others];
}

function item(label: string, text: string): string[] {
  const room = COLUMNS - 10;
  return folded(plain(text), room)
    .split('\n')
    .map((line, at) => (at === 0 ? `  ${paint('dim', label.padEnd(8))}${line}` : `          ${line}`));
}

/** The first of these lines; an ellipsis says that there was more. */
function clipped(lines: readonly string[]): string[] {
  const [first = ''] = lines;
  if (lines.length <= 1) return [first];
  const space = first.lastIndexOf(' ');
  return [`${first.length < COLUMNS ? first : first.slice(0, space)}…`];
}
