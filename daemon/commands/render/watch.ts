import type { DecisionReply, SearchHit } from '../../api/client.ts';
import { actionLine } from './decision.ts';
import type { Summary } from './status-summary.ts';
import { count, folded, paint, plain, type Style, span } from './text.ts';

/** What the live view knows at a moment. */
export interface WatchView {
  title: string;
  /** Null before anything was asked. */
  summary: Summary | null;
  /** Decisions that wait for authority, oldest first, and whether there are more. */
  pending: readonly DecisionReply[];
  more: boolean;
  /** Entries, newest last. */
  entries: readonly SearchHit[];
  /** The site's clock as it was last heard; null while the daemon does not answer. */
  now: number | null;
}

interface Size {
  columns: number;
  rows: number;
}

const LABEL = 10;
const PENDING_LINES = 2;
/** Of what is left below the answers, what waits may take so much. */
const PENDING_SHARE = 0.6;

/** The view in lines that fit a terminal of that size exactly: never wider, never more. */
export function renderWatch(view: WatchView, size: Size): string[] {
  const { summary } = view;
  const head = summary === null ? [`${plain(view.title)}  asking…`] : answers(view, summary, size);
  const footer = paint('dim', clip('q or Ctrl-C ends · in full: holdfast status --all', size.columns));
  const room = size.rows - head.length - 1;
  if (room < 4) return [...head, footer].slice(0, size.rows);
  const waits = pendingLines(view, size, Math.max(2, Math.floor(room * PENDING_SHARE)));
  const latest = entryLines(view, size, room - waits.length);
  const blank = Array.from({ length: Math.max(0, room - waits.length - latest.length) }, () => '');
  return [...head, ...waits, ...latest, ...blank, footer];
}

function answers({ title, now }: WatchView, summary: Summary, { columns, rows }: Size): string[] {
  const clock = now === null ? 'no answer' : `${new Date(now).toISOString().slice(11, 19)}Z`;
  const word = summary.word;
  const middle = clip(`  ${plain(title)}`, Math.max(0, columns - word.length - clock.length - 1));
  const gap = ' '.repeat(Math.max(1, columns - word.length - middle.length - clock.length));
  const tall = rows >= 24;
  return [
    `${paint('bold', paint(summary.style, word))}${middle}${gap}${clock}`.trimEnd(),
    ...row('safe', summary.safe, columns, 1),
    ...row('deciding', summary.deciding, columns, tall ? 2 : 1),
    ...row('waits', summary.waits[0] ?? 'nothing', columns, 1),
    ...summary.waits
      .slice(1, tall ? 4 : 1)
      .map((line) => `${' '.repeat(LABEL + 2)}${clip(plain(line), columns - LABEL - 2)}`),
    ...row('next', summary.next[0] ?? 'nothing in sight', columns, 1),
    ...summary.troubles
      .slice(0, tall ? 3 : 1)
      .map(({ component, cause }) => paint('yellow', clip(plain(`${component}: ${cause}`), columns))),
    ...(summary.troubles.length > 3 && tall
      ? [clip(`… and ${count(summary.troubles.length - 3, 'more thing')} wrong`, columns)]
      : []),
  ];
}

function row(label: string, text: string, columns: number, max: number): string[] {
  const room = columns - LABEL - 2;
  const lines = folded(plain(text), Math.max(10, room)).split('\n');
  const shown =
    lines.length <= max ? lines : [...lines.slice(0, max - 1), clip(lines.slice(max - 1).join(' '), room)];
  return shown.map(
    (line, i) => `  ${i === 0 ? paint('dim', label.padEnd(LABEL)) : ' '.repeat(LABEL)}${clip(line, room)}`,
  );
}

function pendingLines({ pending, more, now }: WatchView, { columns }: Size, max: number): string[] {
  const fits = Math.max(0, Math.floor((max - 2) / PENDING_LINES));
  const title = `WAITING FOR APPROVAL (${pending.length}${more ? '+' : ''})`;
  if (pending.length === 0) return ['', paint('dim', clip(`${title}: none`, columns))];
  const hidden = pending.length > fits ? ` the first ${fits}; all: holdfast approvals list` : '';
  return [
    '',
    paint('bold', clip(`${title}${hidden}`, columns)),
    ...pending
      .slice(0, fits)
      .flatMap((decision) => [
        clip(`  ${actionLine(decision)}${by(decision)}${until(decision.expires_at, now)}`, columns),
        clip(`    ${decision.decision_id}  ${plain(decision.enforcement.allow_if.join('; '))}`, columns),
      ]),
  ];
}

function until(expires: string | null, now: number | null): string {
  if (expires === null || now === null) return '';
  const left = Date.parse(expires) - now;
  return left > 0 ? `, ${span(left)} left` : ', expired';
}

function by({ context }: DecisionReply): string {
  return context.actor.id === null ? '' : `, asked by ${plain(context.actor.id)}`;
}

const STYLES: Readonly<Record<string, Style>> = {
  allow: 'green',
  allowed: 'green',
  deny: 'red',
  denied: 'red',
};

function entryLines({ entries }: WatchView, { columns }: Size, max: number): string[] {
  if (max < 2) return [];
  const shown = entries.slice(-(max - 2)).toReversed();
  return [
    ...(max > 2 ? [''] : []),
    paint('bold', 'LATEST'),
    ...shown.slice(0, max - 2).map((hit) => {
      const line = clip(entryLine(hit), columns);
      const style = STYLES[hit.result ?? ''] ?? (hit.type === 'decision.denied' ? 'red' : null);
      return style === null ? line : paint(style, line);
    }),
  ];
}

function entryLine({ index, at, type, class: name, target, result, actor, text }: SearchHit): string {
  const what = [name, target, result, actor.id, text]
    .filter((part) => part !== null)
    .map((part) => plain(part));
  return `  ${at.slice(11, 19)}Z ${String(index).padStart(6)}  ${plain(type).padEnd(20)}  ${what.join('  ')}`;
}

/** The text in at most so many characters, an ellipsis in place of what is too much. */
function clip(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, Math.max(0, width - 1))}…`;
}
