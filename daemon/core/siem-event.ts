import { sha256Hex } from '../formats/digest.ts';
import { decodeEntry, type Entry, type EntryType } from '../formats/entry.ts';
import type { JsonObject } from '../formats/json.ts';
import type { SecurityEvent } from '../formats/security-event.ts';

/*
 * Ledger entry → what a SIEM is told. One table for what an entry means; what it says is read defensively, because a feed
 * must get past any entry that the ledger holds.
 */

/** What a type of entry means to those who watch. */
interface Meaning {
  kind: SecurityEvent['kind'];
  activity: string;
  severity: SecurityEvent['severity'];
  outcome?: SecurityEvent['outcome'];
  verdict?: SecurityEvent['verdict'];
  /** What changed, for kind `change`; a decision's own target otherwise. */
  entity?: string;
}

const action = (activity: string, severity: Meaning['severity'], rest: Partial<Meaning> = {}): Meaning => ({
  kind: 'action',
  activity,
  severity,
  ...rest,
});
const change = (
  entity: string,
  activity: string,
  severity: Meaning['severity'] = 1,
  rest: Partial<Meaning> = {},
): Meaning => ({ kind: 'change', entity, activity, severity, ...rest });
const finding = (activity: 'detect' | 'update' | 'close', severity: Meaning['severity']): Meaning => ({
  kind: 'finding',
  activity,
  severity,
});
const record = (activity: string, severity: Meaning['severity'] = 1): Meaning => ({
  kind: 'record',
  activity,
  severity,
});

export const MEANINGS: Readonly<Partial<Record<EntryType, Meaning>>> = {
  'decision.authorized': action('decide', 1, { verdict: 'allow' }),
  'decision.pending_authority': action('decide', 1, { verdict: 'pending', outcome: 'pending' }),
  'decision.queued': action('decide', 2, { verdict: 'pending', outcome: 'pending' }),
  'decision.denied': action('decide', 2, { verdict: 'deny', outcome: 'failure' }),
  'decision.expired': action('expire', 1, { verdict: 'deny', outcome: 'failure' }),
  'decision.cancelled': action('cancel', 1, { verdict: 'deny', outcome: 'failure' }),
  'decision.reviewed': action('review', 1),
  'decision.reconciled': action('reconcile', 2),
  'permit.redeemed': action('redeem', 1, { verdict: 'allow' }),
  'permit.outcome': action('execute', 1, { verdict: 'allow' }),
  'approval.added': change('decision', 'update'),
  'approval.rejected': change('decision', 'update', 3, { outcome: 'failure' }),
  'exception.granted': change('decision', 'update', 2),
  'policy.applied': change('policy', 'activate'),
  'policy.refused': change('policy', 'update', 3, { outcome: 'failure' }),
  'policy.held': change('policy', 'update', 1, { outcome: 'pending' }),
  'policy.approved': change('policy', 'update'),
  'policy.rejected': change('policy', 'update', 2, { outcome: 'failure' }),
  'policy.lapsed': change('policy', 'update', 2, { outcome: 'failure' }),
  'policy.degraded': finding('detect', 3),
  'key.rotated': change('key', 'update'),
  'key.suspended': change('key', 'suspend', 3),
  'key.reinstated': change('key', 'resume', 2),
  'grant.issued': change('grant', 'create', 2),
  'grant.revoked': change('grant', 'deactivate'),
  'grant.expired': change('grant', 'deactivate'),
  'breakglass.activated': { kind: 'elevation', activity: 'elevate', severity: 4 },
  'breakglass.ended': change('break-glass session', 'deactivate'),
  'breakglass.reviewed': change('break-glass session', 'update'),
  'breakglass.refused': change('break-glass session', 'create', 3, { outcome: 'failure' }),
  'breakglass.overdue': finding('detect', 4),
  'incident.opened': finding('detect', 5),
  'incident.cleared': finding('close', 2),
  'anomaly.detected': finding('detect', 3),
  'time.uncertain': finding('detect', 3),
  'time.restored': finding('close', 1),
  'backup.restored': finding('detect', 4),
  'envelope.shredded': record('delete', 2),
  'envelope.released': record('export', 2),
  'envelope.withheld': record('update', 2),
  'ledger.read': record('export', 2),
  'ledger.pruned': record('archive', 2),
  'retention.held': record('update', 2),
  'retention.released': record('update', 2),
  'anchor.exported': record('export'),
  'anchor.cosigned': record('cosign'),
  'anchor.carried': record('export'),
  'anchor.overdue': finding('detect', 3),
  'backup.created': record('export'),
  'outbox.acknowledged': record('acknowledge'),
  'system.initialized': record('start', 2),
  'system.started': record('start'),
  'system.stopped': record('stop'),
  'system.heartbeat': record('heartbeat'),
  'system.retired': finding('detect', 4),
};

/** A type that nobody has thought about here is told all the same. */
const OTHERWISE = record('record');

/** Longest text taken from an entry, in UTF-16 units. */
const TEXT_MAX = 1_000;

/** What a SIEM is told of the entry with these bytes. Throws BoundaryError `entry.*` for what is no entry. */
export function securityEvent(origin: string, index: number, bytes: Uint8Array): SecurityEvent {
  const entry = decodeEntry(bytes);
  const { data } = entry;
  const meaning = MEANINGS[entry.type] ?? OTHERWISE;
  const result = outcomeOf(entry, meaning);
  const decided = actionOf(data);
  const subject = subjectOf(entry, meaning);
  const reason = reasonOf(data);
  return {
    origin,
    index,
    hash: sha256Hex(bytes),
    type: entry.type,
    at: Date.parse(entry.at),
    timeTrust: entry.time_trust,
    site: entry.site,
    stream: entry.stream,
    kind: meaning.kind,
    activity: meaning.activity,
    severity: result === 'failure' && entry.type === 'permit.outcome' ? 3 : meaning.severity,
    outcome: result,
    verdict: verdictOf(entry, meaning),
    message: messageOf(entry, decided?.class ?? null, subject, reason),
    actor: { id: clipped(entry.actor.id), role: clipped(entry.actor.role) },
    subject,
    action: decided,
    policy: policyOf(data),
    risk: riskOf(data),
    reason,
  };
}

/** A permit's outcome says how it went; an approval, what it satisfied. */
function outcomeOf({ type, data }: Entry, { outcome = 'success' }: Meaning): SecurityEvent['outcome'] {
  if (type !== 'permit.outcome' && type !== 'decision.reconciled') return outcome;
  return data.result === 'succeeded' ? 'success' : data.result === 'failed' ? 'failure' : 'unknown';
}

function verdictOf({ data, type }: Entry, { verdict = null }: Meaning): SecurityEvent['verdict'] {
  if (type === 'approval.added' || type === 'exception.granted') {
    if (objectOf(data.permit) !== null) return 'allow';
    return data.answer === 'reject' ? 'deny' : 'pending';
  }
  return verdict;
}

function actionOf(data: JsonObject): SecurityEvent['action'] {
  const given = objectOf(data.action);
  if (given === null) return null;
  const environment = textOf(objectOf(data.context)?.environment);
  return { class: textOf(given.class) ?? 'unknown', environment };
}

function subjectOf({ stream, data, type }: Entry, { entity }: Meaning): SecurityEvent['subject'] {
  const target = objectOf(objectOf(data.action)?.target) ?? objectOf(data.target);
  if (target !== null) return { type: textOf(target.type) ?? 'target', id: textOf(target.id) ?? 'unknown' };
  if (entity === 'policy')
    return { type: 'policy', id: textOf(data.update_id) ?? policyName(data) ?? 'policy' };
  if (entity === 'key') return { type: 'key', id: textOf(data.key ?? data.name ?? data.subject) ?? stream };
  if (entity !== undefined) return { type: entity, id: stream };
  if (type.startsWith('decision.') || type.startsWith('permit.')) return { type: 'decision', id: stream };
  return null;
}

function policyName(data: JsonObject): string | null {
  return textOf(objectOf(data.policy)?.version);
}

function policyOf(data: JsonObject): SecurityEvent['policy'] {
  const policy = objectOf(data.policy);
  const digest = textOf(policy?.digest);
  return digest === null ? null : { digest, version: policyName(data) ?? '' };
}

function riskOf(data: JsonObject): SecurityEvent['risk'] {
  const risk = objectOf(data.risk);
  const band = textOf(risk?.band);
  return band === null || typeof risk?.score !== 'number' ? null : { score: risk.score, band };
}

/** Why, in the first words that the entry has for it. */
function reasonOf(data: JsonObject): string | null {
  const reasons = objectOf(data.enforcement)?.reasons;
  const first = Array.isArray(reasons) ? textOf(reasons[0]) : null;
  return first ?? textOf(data.reason) ?? textOf(data.detail) ?? textOf(data.note) ?? textOf(data.code);
}

/** One sentence for people: the entry's type in words, and what it is about. */
function messageOf(
  { type, data }: Entry,
  actionClass: string | null,
  subject: SecurityEvent['subject'],
  reason: string | null,
): string {
  const words = type.replace(/[._]/g, ' ');
  const about = subject === null ? '' : ` ${subject.type}:${subject.id}`;
  const what = actionClass === null ? '' : ` ${actionClass} on`;
  const result = textOf(data.result);
  const end = result !== null ? `: ${result}` : reason === null ? '' : `: ${reason}`;
  return (clipped(`${words}${what}${about}${end}`) ?? '').trim();
}

function objectOf(value: unknown): JsonObject | null {
  return value !== null && typeof value === 'object' && !Array.isArray(value) ? (value as JsonObject) : null;
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? clipped(value) : null;
}

/** Whole characters only: half of a pair is no text in UTF-8. */
function clipped(text: string | null): string | null {
  if (text === null || text.length <= TEXT_MAX) return text;
  return `${text.slice(0, TEXT_MAX).replace(/[\ud800-\udbff]$/, '')}…`;
}
