import type { Entry, EntryType } from '../formats/entry.ts';
import type { JsonObject } from '../formats/json.ts';
import type { OpenedEntry } from './opened.ts';

/** One line of the timeline. */
export interface Event {
  index: number;
  at: string;
  /** How far the site believed its clock. */
  time_trust: string;
  /** What it belongs to. */
  role: string;
  what: string;
  who: string;
  /** Role that they acted in. */
  as: string | null;
  /** Fingerprint of the key that they signed with. */
  key: string | null;
  /** Why, in their words or those of the rules. */
  why: string;
}

const WHAT: Readonly<Partial<Record<EntryType, string>>> = {
  'decision.authorized': 'Asked, and allowed at once',
  'decision.pending_authority': 'Asked; waits for signatures',
  'decision.denied': 'Asked, and denied',
  'decision.queued': 'Asked; put aside',
  'decision.expired': 'Expired',
  'decision.cancelled': 'Withdrawn',
  'decision.reviewed': 'Reviewed',
  'decision.reconciled': 'Outcome stated afterwards',
  'approval.rejected': 'A signed act was not accepted',
  'exception.granted': 'Exception granted',
  'permit.redeemed': 'Permit used; the tool is started',
  'policy.applied': 'Policy put in force',
  'policy.held': 'Policy update held back',
  'policy.approved': 'Policy update released by signature',
  'policy.rejected': 'Policy update rejected by signature',
  'key.rotated': 'Key of the ledger changed',
  'key.suspended': 'Key or person suspended',
  'key.reinstated': 'Suspension lifted',
  'breakglass.activated': 'Glass broken',
  'breakglass.ended': 'Break-glass session ended',
  'breakglass.reviewed': 'Break-glass session reviewed',
  'breakglass.overdue': 'Review of the break-glass session overdue',
  'grant.issued': 'Sealed grant issued',
  'grant.revoked': 'Sealed grant revoked',
  'grant.expired': 'Sealed grant expired',
  'incident.opened': 'Incident opened; halted',
  'incident.cleared': 'Incident cleared; resumed',
  'anomaly.detected': 'Anomaly noticed',
  'ledger.read': 'Record read or taken away',
  'envelope.shredded': 'Sensitive values destroyed',
  'outbox.acknowledged': 'Headquarters acknowledged receipt',
};

/** The entries as a timeline, in the order of the log. */
export function timeline(entries: readonly OpenedEntry[]): Event[] {
  return entries.map(({ index, role, entry }) => ({
    index,
    at: entry.at,
    time_trust: entry.time_trust,
    role,
    what: whatOf(entry),
    who: entry.actor.id ?? (entry.actor.role === 'system' ? 'the site itself' : 'not named'),
    as: entry.actor.role,
    key: textAt(entry.data, 'key'),
    why: whyOf(entry),
  }));
}

function whatOf({ type, data }: Entry): string {
  if (type === 'approval.added')
    return data.answer === 'reject'
      ? 'Rejected by signature'
      : completes(data)
        ? 'Approved; that completes the authority'
        : 'Approved';
  if (type === 'permit.outcome') return `Reported by the gateway: ${String(data.result)}`;
  if (type === 'decision.reconciled') return `Outcome stated afterwards: ${String(data.result)}`;
  if (type === 'exception.granted') return `Exception granted for gate ${String(data.gate)}`;
  return WHAT[type] ?? type;
}

function completes({ transitions }: JsonObject): boolean {
  return Array.isArray(transitions) && transitions.includes('authorized');
}

function whyOf({ type, data }: Entry): string {
  const enforcement = data.enforcement as { reasons?: unknown } | undefined;
  if (Array.isArray(enforcement?.reasons)) return enforcement.reasons.map(String).join(' ');
  if (type === 'permit.outcome') return outcomeWords(data.detail as JsonObject | undefined);
  if (type === 'incident.opened') return String(data.detail ?? '');
  if (type === 'policy.applied') return pinnedWords(data);
  if (type === 'ledger.read') return `${String(data.right ?? '')}: ${String(data.reason ?? '')}`;
  return textAt(data, 'reason') ?? textAt(data, 'note') ?? textAt(data, 'why') ?? '';
}

/** What a tool's end looked like, in words. */
export function outcomeWords(detail: JsonObject | undefined): string {
  if (detail === undefined || detail === null) return '';
  const words = [
    typeof detail.exit_code === 'number' ? `exit code ${detail.exit_code}` : '',
    typeof detail.signal === 'string' ? `signal ${detail.signal}` : '',
    typeof detail.http_status === 'number' ? `HTTP ${detail.http_status}` : '',
    typeof detail.duration_ms === 'number' ? `${detail.duration_ms} ms` : '',
    typeof detail.reason === 'string' ? reasonWords(detail.reason) : '',
  ];
  return words.filter((word) => word !== '').join(', ');
}

/** The gateway's reasons are codes with a detail; the commonest one in words. */
function reasonWords(reason: string): string {
  const cause = /^not_started(?:: (.*))?$/s.exec(reason);
  if (cause === null) return reason;
  const missing = cause[1] === 'ENOENT' ? ' (there is nothing by that name)' : '';
  return `the tool could not be started${missing}: ${cause[1] ?? 'unknown cause'}`;
}

function pinnedWords({ environments, who }: JsonObject): string {
  const pinned = Object.entries((environments ?? {}) as Record<string, JsonObject>);
  const names = pinned.map(
    ([name, { name: bundle, version }]) => `${name}: ${String(bundle)}@${String(version)}`,
  );
  return `${names.join(', ')}${typeof who === 'string' ? `; brought in by ${who}` : ''}`;
}

function textAt(data: JsonObject, name: string): string | null {
  const value = data[name];
  return typeof value === 'string' ? value : null;
}

/** A value as indented JSON, for people. */
export function pretty(value: unknown): string {
  return JSON.stringify(value ?? null, null, 2);
}
