import type { JsonObject } from '../../formats/json.ts';
import type {
  AnchorVerdict,
  ClosedLog,
  LedgerVerdict,
  LogVerdict,
  RefusedAnchor,
} from '../anchor-judgement.ts';
import { type Countersignature, countersignatureWords } from '../countersignature.ts';
import { followedWords } from './findings.ts';
import { count, fitted, folded, instant, paint, plain, type Style } from './text.ts';

/** Files named one by one. */
const NAMED = 5;
const FILES_SHOWN = 3;

/** The verdict in words: one headline, then what each log's anchors say, then what counted for nothing. */
export function renderVerdict(verdict: AnchorVerdict, countersignature: Countersignature | null): string {
  const { logs, refused, ledger, former } = verdict;
  const [word, style] = headline(verdict);
  const about = [
    ['ledger', ledger === null ? '' : `${plain(ledger.path)}, ${entries(ledger.entries)}`],
    ['former', former.map(({ path, entries: n }) => `${plain(path)}, ${entries(n)}`).join('\n')],
    ['keys', ledger === null ? '' : followedWords(ledger.report)],
    ['trust', countersignature === null ? '' : countersignatureWords(countersignature)],
  ] as const;
  return [
    paint(style, paint('bold', word)),
    ...logs.flatMap((log) => ['', paint('bold', plain(log.origin)), ...sayLog(log)]),
    ...(ledger === null ? [] : sayLedger(ledger)),
    ...former.flatMap(sayLedger),
    ...(refused.length === 0 ? [] : ['', ...sayRefused(refused)]),
    '',
    fitted(about),
  ]
    .join('\n')
    .trimEnd();
}

const HEADLINES: Readonly<Record<number, [string, Style]>> = {
  0: ['ONE HISTORY', 'green'],
  10: ['NOT ONE HISTORY', 'red'],
  11: ['ONE HISTORY, TORN TAIL', 'yellow'],
  12: ['NOT LINKED', 'yellow'],
  13: ['UNKNOWN KEY', 'red'],
  14: ['ROLLED BACK', 'red'],
};

function headline({ code, logs, ledger, former }: AnchorVerdict): [string, Style] {
  const tampered = [ledger, ledger?.against, ...former].some((one) => one?.report.code === 10);
  if (logs.length === 0 && code === 10 && !tampered) return ['NO ANCHOR THAT COUNTS', 'red'];
  if (logs.some(({ pile }) => pile.fork !== null)) return ['TWO HISTORIES', 'red'];
  const diverges =
    logs.some(({ comparison }) => (comparison?.diverges ?? null) !== null) ||
    (ledger?.difference?.index ?? null) !== null;
  if (diverges) return ['DIVERGES', 'red'];
  if (code === 10 && tampered) return ['TAMPERED', 'red'];
  return HEADLINES[code] ?? ['UNEXPECTED', 'red'];
}

function sayLog(log: LogVerdict): string[] {
  const { pile, comparison, anchors } = log;
  const sentences = [`${count(anchors, 'anchor')}, the newest of ${entries(pile.newest.size)}.`];
  if (pile.fork !== null) sentences.push(forkWords(log));
  if (pile.unproven.length > 0)
    sentences.push(
      `The proof in ${files(pile.unproven)} does not add up: the file was damaged on its way, or the site signed two histories.`,
    );
  if (log.closed !== null) sentences.push(...closedWords(log.closed));
  if (comparison !== null) sentences.push(...comparisonWords(log));
  else if (pile.fork === null && pile.unlinked.length === 0 && pile.unproven.length === 0)
    sentences.push(`All belong to the same history, up to ${entries(pile.newest.size)}.`);
  else if (pile.fork === null && pile.unlinked.length > 0)
    sentences.push(
      `Nothing here links ${count(pile.unlinked.length, 'anchor')} (of ${pile.unlinked
        .slice(0, NAMED)
        .map(({ size }) => size)
        .join(
          ', ',
        )} entries) to the newest: those in between are missing. Bring them, or a copy of the ledger.`,
    );
  sentences.push(...unheldWords(log));
  return sentences.map((sentence) => folded(sentence));
}

/** What a reader could take for compared, and was not. */
function unheldWords({ origin, comparison, closed, beside }: LogVerdict): string[] {
  if (comparison !== null) return [];
  if (closed !== null && closed.other.length === 0 && closed.lost === null && !closed.linked)
    return [
      `Nothing here shows that the tree with which it was closed continues these. Bring the ledger of that log: --former FILE (at the site: state/former/).`,
    ];
  return beside === null || closed !== null
    ? []
    : [
        `They were held against no ledger: the one at hand is of ${plain(beside)}. Bring that of ${plain(origin)}.`,
      ];
}

function closedWords({ size, by, lost, other }: ClosedLog): string[] {
  const words = [`It was closed at ${entries(size)} and goes on as ${plain(by)} since a restore.`];
  if (other.length > 0)
    words.push(`${files(other)} knows another tree of that size: what was restored is not what was lost.`);
  if (lost !== null)
    words.push(
      `${files(lost.signed)} knows ${entries(lost.size)}: at least ${entries(lost.size - size)} were lost in the restore. The entry backup.restored of the new log should say so.`,
    );
  return words;
}

function forkWords({ origin, pile: { fork } }: LogVerdict): string {
  if (fork === null) return '';
  return `THE SITE SIGNED TWO HISTORIES. ${plain(origin)} is the same up to ${entries(fork.agree)}, and by ${entries(fork.differ)} there are two: one in ${files(fork.one)}, the other in ${files(fork.other)}. Both are signed with its key, so this proves it to anybody. The first entry that differs is one of ${fork.agree} to ${fork.differ - 1}.`;
}

function comparisonWords({ pile, comparison, heldAgainst: ledger }: LogVerdict): string[] {
  if (comparison === null || ledger === null) return [];
  const { agree, diverges, ahead } = comparison;
  const words: string[] = [];
  if (diverges !== null) {
    const { from, to } = diverges;
    const which =
      to - from === 1
        ? `from entry ${from} on`
        : `from one of the entries ${from} to ${to - 1} on (a copy of the other history tells which: --against)`;
    words.push(
      `The ledger is another history ${which}: it agrees with the anchors up to ${entries(from)}, and not with ${files(diverges.files)}.`,
    );
  }
  if (ahead !== null)
    words.push(
      `The ledger ends at ${entries(ledger.entries)}, and ${files(ahead.signed)} knows ${entries(ahead.size)}: at least ${entries(ahead.size - ledger.entries)} are missing. An older copy was put back, or the end was cut off.`,
    );
  if (words.length === 0)
    words.push(
      `The ledger continues all of them: the same history up to ${entries(agree)}${pile.newest.size === agree ? '' : ' at least'}, and ${entries(ledger.entries)} in all.`,
    );
  return words;
}

function sayLedger({ report, difference, against }: LedgerVerdict): string[] {
  const lines = [
    ...unverifiedWords('The ledger', report),
    ...(against === undefined ? [] : unverifiedWords(plain(against.path), against.report)),
  ];
  if (difference !== undefined)
    lines.push(
      difference.index === null
        ? `It and ${plain(difference.path)} ${against?.report.code === 10 ? 'sign the same trees' : 'have the same history'}, as far as the shorter one goes.`
        : `It and ${plain(difference.path)} are the same up to entry ${difference.index - 1}; entry ${difference.index} is the first that differs.`,
    );
  return lines.length === 0 ? [] : ['', ...lines.map((line) => folded(line))];
}

function unverifiedWords(what: string, { findings: [first], total }: LedgerVerdict['report']): string[] {
  if (first === undefined) return [];
  const where = first.index === undefined ? plain(first.where) : `entry ${first.index}`;
  const more = total > 1 ? ` (and ${count(total - 1, 'more finding')})` : '';
  return [
    `${what} itself does not verify: ${where}: ${plain(first.detail)}${more}. In full: holdfast ledger verify`,
  ];
}

function sayRefused(refused: readonly RefusedAnchor[]): string[] {
  const shown = refused
    .slice(0, NAMED)
    .map(({ from, reason, code }) => folded(`${plain(from)} counts for nothing: ${plain(reason)} [${code}]`));
  const more = refused.length - shown.length;
  return more > 0 ? [...shown, `… and ${count(more, 'more file')} that count for nothing`] : shown;
}

function files(names: readonly string[]): string {
  const shown = [...new Set(names)].slice(0, FILES_SHOWN).map(plain).join(', ');
  const more = new Set(names).size - FILES_SHOWN;
  return more > 0 ? `${shown} and ${count(more, 'other file')}` : shown;
}

function entries(n: number): string {
  return count(n, 'entry', 'entries');
}

const NEXT_WORDS: Readonly<Record<string, string>> = {
  warn: 'a warning',
  escalate: 'what is held back needs an approval',
  deny: 'it is denied',
};

/** Newest anchor and countdown in one line of `status`; empty where none was made and none is demanded. */
export function anchorLine(anchors: JsonObject): string {
  const { newest, departed, demanded } = anchors as unknown as Partial<AnchorStatus>;
  const demands = (demanded ?? []).flatMap(({ environment, step, next }) => {
    const now = step === 'fresh' ? '' : ` (${step})`;
    return next === null
      ? [`${environment}${now}`]
      : [`${environment}${now}: without another ${NEXT_WORDS[next.step] ?? next.step} ${instant(next.at)}`];
  });
  if (newest === undefined) return '';
  if (newest === null) return demands.length === 0 ? '' : plain(`none yet; ${demands.join('; ')}`);
  const outside =
    departed === null || departed === undefined
      ? 'nothing is known outside yet'
      : departed.size === newest.size
        ? 'known outside'
        : `known outside up to ${entries(departed.size)}`;
  return [`${entries(newest.size)}, made ${instant(newest.made_at)}, ${outside}`, ...demands]
    .map(plain)
    .join('\n');
}

type Link = { size: number; made_at: string } | null;

interface AnchorStatus {
  newest: Link;
  departed: Link;
  demanded: { environment: string; step: string; next: { step: string; at: string } | null }[];
}
