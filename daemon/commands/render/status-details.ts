import type { JsonObject } from '../../formats/json.ts';
import { anchorLine } from './anchor.ts';
import { backupLine, copyLine } from './copies.ts';
import { integrityLine, keepingLine } from './keeping.ts';
import { searchLine } from './search.ts';
import { type Answer, type Degraded, isForbidden, object, text } from './status-answer.ts';
import { count, instant, moment, paint, plain, rows } from './text.ts';
import { witnessLine } from './witnesses.ts';

/** Everything that the processes said of themselves, for `status --all`. */
export function renderDetails(daemon: Answer, gateway: Answer): string {
  return rows([
    ['daemon', daemon.status === null ? silence(daemon) : daemonLine(daemon.status)],
    ['gateway', gateway.status === null ? silence(gateway) : gatewayLine(gateway.status)],
    ...(daemon.status === null ? [] : facts(daemon.status)),
  ]);
}

/** One thing that is wrong, in full. */
export function renderTrouble({ component, cause, since, effect, instruction }: Degraded): string {
  return [
    `${paint('yellow', paint('bold', plain(component)))}: ${plain(cause)}`,
    rows([
      ['since', instant(since)],
      ['effect', plain(effect)],
      ['do', plain(instruction)],
    ]),
  ].join('\n');
}

function silence(answer: Answer): string {
  return `${isForbidden(answer) ? 'not known' : 'down'}: ${answer.down}`;
}

function daemonLine(status: JsonObject): string {
  return plain(`up since ${instant(text(status.started_at))}, version ${text(status.version) ?? '?'}`);
}

function gatewayLine(status: JsonObject): string {
  const { running, unreported, recovered } = status;
  const notes = [
    typeof running === 'number' ? `${count(running, 'action')} under way` : 'starting',
    typeof unreported === 'number' && unreported > 0
      ? `${count(unreported, 'outcome')} not yet reported`
      : '',
    recovered === false ? 'not yet agreed with the daemon what a crash left open' : '',
  ];
  return plain(`up, ${notes.filter((note) => note !== '').join(', ')}`);
}

/** One environment's policy and its countdown, as `GET /v1/status` has it. */
interface PolicyAge {
  environment: string;
  version: string;
  issued_at: string | null;
  freshness: { step: string; next: { step: string; at: string } | null } | null;
}

const NEXT_WORDS: Record<string, string> = {
  warn: 'a warning',
  escalate: 'risk needs approval',
  deny: 'risk is denied',
};

function facts(status: JsonObject): [string, string][] {
  const ledger = object(status.ledger);
  const environments = (object(status.policy).environments ?? []) as unknown as PolicyAge[];
  const size = typeof ledger.size === 'number' ? count(ledger.size, 'entry', 'entries') : 'unknown';
  return [
    ['ledger', `${size}, writes ${plain(text(ledger.write_state) ?? 'unknown')}`],
    ['policy', environments.map(policyLine).join('\n') || 'none: every request is denied'],
    ['waits', heldLine(object(status.held_update))],
    ['open', countsLine(object(status.decisions))],
    ['anomalies', anomaliesLine(object(status.anomalies))],
    ['disk', diskLine(object(status.disk))],
    ['kept', keepingLine(object(object(status.host).retention))],
    ['search', searchLine(object(object(status.host).search))],
    ['checked', integrityLine(object(object(status.host).integrity))],
    ['self-test', canaryLine(object(object(status.host).canary))],
    ['clock', clockLine(status)],
    ['callers', callersLine(status)],
    ['anchor', anchorLine(object(status.anchors))],
    ['witness', witnessLine(object(status.witnesses))],
    ['outbox', outboxLine(object(object(status.host).outbox))],
    ['backup', backupLine(object(status.backup), object(object(status.host).backup))],
    ['second copy', copyLine(object(object(status.host).copy))],
  ];
}

/** What headquarters has not acknowledged yet. */
function outboxLine({ files, bytes, oldest, receipts_dropped: dropped }: JsonObject): string {
  if (typeof files !== 'number' || typeof bytes !== 'number') return '';
  const kept = files === 0 ? 'empty' : `${count(files, 'file')} (${Math.ceil(bytes / 1_024)} KiB)`;
  const waits = files === 0 ? '' : `, not acknowledged by headquarters, the oldest ${instant(text(oldest))}`;
  const room =
    typeof dropped === 'number' && dropped > 0 ? `; no room for ${count(dropped, 'older receipt')}` : '';
  return plain(`${kept}${waits}${room}`);
}

const CLOCK_WORDS: Record<string, string> = {
  trusted: 'trusted',
  floor: 'plausible: not behind anything on record, but vouched for by nobody',
  uncertain: 'UNCERTAIN: behind what is on record, or it jumped',
};

function clockLine({ time, now }: JsonObject): string {
  const trust = text(object(time).trust) ?? 'unknown';
  return plain(`${moment(text(now))}, ${CLOCK_WORDS[trust] ?? trust}`);
}

/** Whether anybody knows who is asking. */
function callersLine({ peers, host }: JsonObject): string {
  const { required, principals } = object(peers);
  const { tls, kernel } = object(object(host).peers);
  const by = tls === true ? 'by certificate (TLS) or local user' : 'by local user; the sockets are plain';
  const trouble = typeof kernel === 'string' ? `; local users are NOT known (${kernel})` : '';
  const known = typeof principals === 'number' ? count(principals, 'principal') : 'nobody';
  if (required === true) return plain(`must be known ${by}: ${known} can be${trouble}`);
  if (principals === 0) {
    return plain('not told apart: whoever may open a socket may ask in any name');
  }
  return plain(`${known} known ${by}; other callers may ask in the names of all others${trouble}`);
}

function policyLine({ environment, version, issued_at, freshness }: PolicyAge): string {
  const next = freshness?.next ?? null;
  const step = (freshness?.step ?? 'fresh') === 'fresh' ? '' : `, ${freshness?.step}`;
  const then =
    next === null ? '' : `, without news ${NEXT_WORDS[next.step] ?? next.step} ${instant(next.at)}`;
  return plain(`${environment}: ${version}, issued ${instant(issued_at)}${step}${then}`);
}

/** The update that waits to be put in force, if one does. */
function heldLine({ id, serial, missing, wait_until, effective_at }: JsonObject): string {
  if (typeof id !== 'string') return '';
  const needs = (missing ?? []) as string[];
  const until = needs.length > 0 && text(wait_until) !== null ? `, until ${instant(text(wait_until))}` : '';
  const then = text(effective_at) === null ? '' : `; takes effect ${instant(text(effective_at))}`;
  const what = needs.length > 0 ? `needs ${needs.join(' and ')}${until}` : 'released';
  return plain(`update of serial ${String(serial)} (${id.slice(0, 12)}) ${what}${then}`);
}

/** What was out of the ordinary within a day; nothing where nothing was. */
function anomaliesLine({ last_day, newest }: JsonObject): string {
  if (typeof last_day !== 'number' || last_day === 0) return '';
  const { rule, principal, at } = object(newest);
  const who = text(principal) === null ? '' : ` by ${text(principal)}`;
  return plain(
    `${last_day} within a day, the newest ${text(rule) ?? ''}${who} ${instant(text(at))} (holdfast anomalies list)`,
  );
}

function diskLine({ free_bytes, held_bytes, level }: JsonObject): string {
  if (typeof free_bytes !== 'number' || typeof held_bytes !== 'number') return '';
  const size = (bytes: number) =>
    bytes >= 10 * 1_048_576 ? `${Math.floor(bytes / 1_048_576)} MiB` : `${Math.floor(bytes / 1_024)} KiB`;
  const how = level === 'ok' ? '' : `, ${String(level)}`;
  return plain(`${size(free_bytes)} free, ${size(held_bytes)} in reserve${how}`);
}

/** When the gateway was last seen to deny what must be denied; nothing while nobody has looked. */
function canaryLine({ last }: JsonObject): string {
  const { verdict, at } = object(last);
  if (typeof verdict !== 'string') return '';
  return plain(`${verdict} ${instant(text(at))}`);
}

/** How many decisions wait for something, in words; what needs a person's look stands last. */
function countsLine(counts: JsonObject): string {
  const words: [string, string][] = [
    ['pending', 'waiting for approval'],
    ['queued', 'queued'],
    ['redeemed', 'running'],
    // Nothing but a person's look at the machine closes these.
    [
      'unknown',
      'with unknown outcome (close each: holdfast decision reconcile ID; ids: holdfast ledger audit)',
    ],
  ];
  const parts = words.flatMap(([key, label]) =>
    counts[key] === 0 ? [] : [`${String(counts[key] ?? '?')} ${label}`],
  );
  return plain(parts.join(', ')) || 'nothing waits';
}
