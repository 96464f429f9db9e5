import type { JsonObject } from '../../formats/json.ts';
import { startWords } from '../start-words.ts';
import { type Answer, amount, type Degraded, isForbidden, object, text, troubles } from './status-answer.ts';
import { count, type Style, span } from './text.ts';

/*
 * The four questions of whoever looks at a site: is it safe, is it deciding, what waits for me, and what gets worse next
 * and when. Texts are not yet safe for a terminal: whoever shows them runs them through `plain`.
 */

export interface Summary {
  word: 'READY' | 'DEGRADED' | 'NOT READY' | 'NOT KNOWN' | 'HALTED';
  style: Style;
  ready: boolean;
  safe: string;
  deciding: string;
  /** What somebody has to do, with the command to begin with; most urgent first. */
  waits: string[];
  /** What will happen by itself, soonest first. */
  next: string[];
  troubles: Degraded[];
}

/** The answers, out of what both processes of the site in `dir` said of themselves. */
export function summarize(daemon: Answer, gateway: Answer, dir: string): Summary {
  const wrong = troubles(daemon, gateway);
  const ready = daemon.status !== null && daemon.status.ready === true && gateway.status !== null;
  const word = wordOf(daemon, gateway, ready, wrong.length > 0);
  const style = word === 'READY' ? 'green' : word === 'DEGRADED' ? 'yellow' : 'red';
  return {
    word,
    style,
    ready,
    safe: safety(daemon, wrong),
    deciding: deciding(daemon, gateway, wrong, dir),
    waits: daemon.status === null ? ['not known'] : waiting(daemon.status),
    next: daemon.status === null ? ['not known'] : upcoming(daemon.status),
    troubles: wrong,
  };
}

function wordOf(daemon: Answer, gateway: Answer, ready: boolean, isDegraded: boolean): Summary['word'] {
  if (halted(daemon)) return 'HALTED';
  if (ready) return isDegraded ? 'DEGRADED' : 'READY';
  const isUnseen = isForbidden(daemon) || (daemon.status?.ready === true && isForbidden(gateway));
  return isUnseen ? 'NOT KNOWN' : 'NOT READY';
}

/** Whether an incident halts the whole site: louder than anything else. */
function halted({ status }: Answer): boolean {
  return status !== null && object(status.incidents).site_halted === true;
}

/** What makes the record or the site itself doubtful; the rest only stands in the way. */
const UNSAFE: Readonly<Record<string, string>> = {
  incident: 'an incident is open',
  integrity: 'the ledger is damaged',
  secrets: 'keys of sensitive values are missing',
  ledger: 'the ledger cannot be written',
};
const DOUBTFUL: Readonly<Record<string, string>> = {
  time: 'the clock is in doubt',
  breakglass: 'the glass is broken or was not looked at',
  gateway: 'the gateway was not seen to deny',
  copy: 'the second copy is not up to date',
  backup: 'the backup is not up to date',
  anchor: 'too little of the record is known outside',
  keys: 'a key is old',
};

function safety(daemon: Answer, wrong: readonly Degraded[]): string {
  const { status } = daemon;
  if (status === null)
    return `not known: ${isForbidden(daemon) ? 'this account may not ask the daemon' : 'the daemon does not answer'}`;
  const named = (words: Readonly<Record<string, string>>): string[] => [
    ...new Set(wrong.flatMap(({ component }) => words[component] ?? [])),
  ];
  const unsafe = named(UNSAFE);
  if (unsafe.length > 0) return `NO: ${[...unsafe, ...named(DOUBTFUL)].join('; ')}`;
  const doubtful = named(DOUBTFUL);
  if (doubtful.length > 0) return `with doubts: ${doubtful.join('; ')}`;
  const { size } = object(status.ledger);
  return `yes: ${count(amount(size), 'entry', 'entries')} on record, nothing is known to be wrong with it`;
}

/** For an account that may not use a socket: what is not known, and what to do. */
function unasked(role: 'daemon' | 'gateway'): string {
  return `not known: this account may not ask the ${role}. Ask as its account, or join its group`;
}

function deciding(daemon: Answer, gateway: Answer, wrong: readonly Degraded[], dir: string): string {
  if (isForbidden(daemon)) return unasked('daemon');
  const isDown = gateway.status === null && !isForbidden(gateway);
  if (daemon.status === null) {
    const start = startWords(isDown ? ['daemon', 'gateway'] : ['daemon'], dir);
    const what = isDown ? 'can be decided and nothing executed' : 'can be decided';
    return `NO: nothing ${what}. Start with: ${start}`;
  }
  const running = gateway.status === null ? '' : gatewayWords(gateway.status);
  if (isDown) return `NO: nothing can be executed. Start it with: ${startWords(['gateway'], dir)}`;
  if (daemon.status.ready !== true) {
    const [why] = wrong;
    return `NO: ${why === undefined ? 'it is starting' : lowered(why.effect)}`;
  }
  if (isForbidden(gateway)) return unasked('gateway');
  const partly = wrong.find(({ component }) => PARTLY.includes(component));
  if (partly === undefined) return `yes: everything that policy allows${running}`;
  return `partly: ${lowered(partly.effect)}`;
}

/** What, wrong, changes what is decided, though something may still be allowed. */
const PARTLY: readonly string[] = ['incident', 'disk', 'identity', 'policy', 'time', 'anchor'];

function gatewayWords({ running, unreported, recovered }: JsonObject): string {
  const notes = [
    amount(running) > 0 ? `, ${count(amount(running), 'action')} under way` : '',
    amount(unreported) > 0 ? `, ${count(amount(unreported), 'outcome')} not yet reported` : '',
    recovered === false ? ', not yet agreed with the daemon what a crash left open' : '',
  ];
  return notes.join('');
}

function lowered(sentence: string): string {
  const second = sentence.charAt(1);
  const keep = second === second.toUpperCase();
  return keep ? sentence : sentence.charAt(0).toLowerCase() + sentence.slice(1);
}

function waiting(status: JsonObject): string[] {
  const { pending, queued, redeemed, unknown } = object(status.decisions);
  const { open } = object(status.incidents);
  const { unreviewed, open: sessions } = object(status.breakglass);
  const held = object(status.held_update);
  const needs = Array.isArray(held.missing) ? held.missing.map(String) : [];
  const lines: [number, string][] = [
    [amount(open), `${count(amount(open), 'incident')} open: holdfast incident list`],
    [
      amount(unknown),
      `${count(amount(unknown), 'outcome')} unknown: holdfast ledger audit, decision reconcile ID`,
    ],
    [amount(pending), `${count(amount(pending), 'decision')} for approval: holdfast approvals list`],
    [Array.isArray(sessions) ? sessions.length : 0, 'the glass is broken: holdfast breakglass list'],
    [
      amount(unreviewed),
      `${count(amount(unreviewed), 'break-glass session')} to review: holdfast breakglass list`,
    ],
    [
      needs.length,
      `update of serial ${String(held.serial)} needs ${needs.join(' and ')}: holdfast policy held`,
    ],
    [
      amount(queued),
      `${count(amount(queued), 'decision')} queued until the time is certain: holdfast decision list`,
    ],
    [amount(redeemed), `${count(amount(redeemed), 'action')} running`],
  ];
  return lines.filter(([n]) => n > 0).map(([, line]) => line);
}

const STEP_WORDS: Readonly<Record<string, string>> = {
  warn: 'a warning',
  escalate: 'approvals needed',
  deny: 'denied',
};

interface Countdown {
  environment: string;
  freshness?: { next: Step } | null;
  next?: Step;
}
type Step = { step: string; at: string } | null;

/** What happens by itself if nobody does anything, soonest first; the same for several environments is said once. */
function upcoming(status: JsonObject): string[] {
  const events: { at: string; what: string }[] = [];
  const add = (at: string | null, what: string): void => {
    if (at !== null) events.push({ at, what });
  };
  const policies = (object(status.policy).environments ?? []) as unknown as Countdown[];
  const anchors = (object(status.anchors).demanded ?? []) as unknown as Countdown[];
  for (const [step, at, where] of merged(
    policies.map((one) => [one.environment, one.freshness?.next ?? null]),
  ))
    add(at, `${STEP_WORDS[step] ?? step}, without news of policy${where}`);
  for (const [step, at, where] of merged(anchors.map((one) => [one.environment, one.next ?? null])))
    add(at, `${STEP_WORDS[step] ?? step}, without an anchor${where}`);
  const held = object(status.held_update);
  add(text(held.effective_at), `update of serial ${String(held.serial)} takes effect`);
  add(text(held.wait_until), `update of serial ${String(held.serial)} is no longer waited for`);
  const { since, max_age_days: days } = object(status.keys);
  if (typeof days === 'number' && typeof since === 'string')
    add(
      new Date(Date.parse(since) + days * DAY_MS).toISOString(),
      'the ledger key is older than it should be',
    );
  const now = text(status.now) ?? '';
  return events
    .filter(({ at }) => at > now)
    .sort((a, b) => (a.at < b.at ? -1 : 1))
    .map(({ at, what }) => `${distance(at, now)}: ${what}`);
}

/** `in 30 days (2026-12-21)` or `in 4 h (13:24Z)`, counted on the site's own clock. */
function distance(at: string, now: string): string {
  const left = Date.parse(at) - Date.parse(now);
  const when = left < 2 * DAY_MS ? `${at.slice(11, 16)}Z` : at.slice(0, 10);
  return `in ${span(left)} (${when})`;
}

const DAY_MS = 86_400_000;

/** Environments that share a step and its minute, together. */
function merged(all: readonly (readonly [string, Step])[]): [step: string, at: string, where: string][] {
  const groups = new Map<string, { step: string; at: string; where: string[] }>();
  for (const [environment, next] of all) {
    if (next === null) continue;
    const key = `${next.step} ${next.at.slice(0, 16)}`;
    const group = groups.get(key) ?? { step: next.step, at: next.at, where: [] };
    group.where.push(environment);
    groups.set(key, group);
  }
  return [...groups.values()].map(({ step, at, where }) => {
    const everywhere = where.length === all.length && all.length > 1;
    return [step, at, everywhere ? '' : ` (${where.join(', ')})`];
  });
}
