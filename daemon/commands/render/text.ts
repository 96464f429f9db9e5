import type { Json } from '../../formats/json.ts';

/** Codes of the few styles in use; nothing else is ever written to a terminal as an escape. */
const STYLES = { bold: '1', dim: '2', red: '31', green: '32', yellow: '33', cyan: '36' } as const;

export type Style = keyof typeof STYLES;

/** True when stdout is a terminal and nobody asked for plain text (no-color.org). */
function isColourful(): boolean {
  return process.stdout.isTTY === true && (process.env.NO_COLOR ?? '') === '' && process.env.TERM !== 'dumb';
}

/** The text in a style where the terminal shows it, and as it is elsewhere. */
export function paint(style: Style, text: string): string {
  return isColourful() ? `\u001b[${STYLES[style]}m${text}\u001b[0m` : text;
}

/**
 * Recorded text made safe for a terminal: control characters, and those that reorder or hide what people read, become
 * visible escapes. What somebody else wrote must not move the cursor of the person who approves it.
 */
export function plain(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (char) => {
    const code = char.codePointAt(0) ?? 0;
    return `\\u{${code.toString(16)}}`;
  });
}

/** A value of a payload or entry on one line, safe for a terminal. */
export function inline(value: Json): string {
  return plain(JSON.stringify(value));
}

/** `label  text` lines under a heading, labels in one column. Rows with an empty text are left out. */
export function rows(pairs: readonly (readonly [label: string, text: string])[], indent = '  '): string {
  const shown = pairs.filter(([, text]) => text !== '');
  const width = Math.max(0, ...shown.map(([label]) => label.length));
  const pad = ' '.repeat(indent.length + width + 2);
  return shown
    .map(
      ([label, text]) =>
        `${indent}${paint('dim', label.padEnd(width))}  ${text.replaceAll('\n', `\n${pad}`)}`,
    )
    .join('\n');
}

/** Width that text for people fits in: that of the narrowest terminal still in use. */
const COLUMNS = 80;

/** `rows`, with texts broken between words (or, where there is none, anywhere) so that no line is wider than a terminal. */
export function fitted(pairs: readonly (readonly [label: string, text: string])[], indent = '  '): string {
  const shown = pairs.filter(([, text]) => text !== '');
  const width = Math.max(0, ...shown.map(([label]) => label.length));
  const room = COLUMNS - indent.length - width - 2;
  return rows(
    shown.map(([label, text]) => [label, folded(text, room)] as const),
    indent,
  );
}

/** The text in lines of at most `width` characters; escapes of `paint` are not understood. */
export function folded(text: string, width = COLUMNS): string {
  return text
    .split('\n')
    .flatMap((line) => foldLine(line, width))
    .join('\n');
}

function foldLine(line: string, width: number): string[] {
  const lines: string[] = [];
  let rest = line;
  while (rest.length > width) {
    const space = rest.lastIndexOf(' ', width);
    const end = space > 0 ? space : width;
    lines.push(rest.slice(0, end).trimEnd());
    rest = rest.slice(end).trimStart();
  }
  return [...lines, rest];
}

/** Left-aligned columns with a dimmed head; an empty list is said in words by the caller. Cells may be painted. */
export function table(head: readonly string[], body: readonly (readonly string[])[]): string {
  const width = head.map((title, column) =>
    Math.max(title.length, ...body.map((cells) => shownLength(cells[column] ?? ''))),
  );
  const pad = (cell: string, i: number): string =>
    cell + ' '.repeat(Math.max(0, (width[i] ?? 0) - shownLength(cell)));
  const line = (cells: readonly string[]): string => cells.map(pad).join('  ').trimEnd();
  return [paint('dim', line(head)), ...body.map(line)].join('\n');
}

/** Characters that take room on the screen: all but the escapes of `paint`. */
function shownLength(text: string): number {
  return text.replace(/\u001b\[\d+m/g, '').length;
}

/** `3 entries`, `1 entry`. */
export function count(n: number, one: string, many = `${one}s`): string {
  return `${n.toLocaleString('en-US')} ${n === 1 ? one : many}`;
}

/** Milliseconds in words people use: `4 min 30 s`, `2 h 5 min`, `3 days`. */
export function span(ms: number): string {
  const seconds = Math.round(Math.abs(ms) / 1000);
  if (seconds < 1) return `${Math.round(Math.abs(ms))} ms`;
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return pair(seconds, 60, 'min', 's');
  if (seconds < 48 * 3600) return pair(Math.round(seconds / 60), 60, 'h', 'min');
  return count(Math.round(seconds / 86_400), 'day');
}

function pair(value: number, base: number, big: string, small: string): string {
  const rest = value % base;
  return `${Math.floor(value / base)} ${big}${rest === 0 ? '' : ` ${rest} ${small}`}`;
}

/** An instant for people: `2026-11-21 01:40:12Z (in 4 min)`; the machine's clock is only used for the distance. */
export function instant(iso: string | null, now = Date.now()): string {
  if (iso === null) return '';
  const at = Date.parse(iso);
  if (Number.isNaN(at)) return plain(iso);
  const distance = at >= now ? `in ${span(at - now)}` : `${span(now - at)} ago`;
  return `${moment(iso)} (${distance})`;
}

/** An instant in a table: `2026-11-21 01:40:12Z`. */
export function moment(iso: string | null): string {
  return iso === null ? '' : plain(`${iso.slice(0, 10)} ${iso.slice(11, 19)}Z`);
}
