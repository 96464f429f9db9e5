import { isoTime } from '../../core/create.ts';
import { isRefusal, type Refusal, refuse } from '../../core/refusal.ts';
import { isOpen, type RetentionRule, retentionRule } from '../../core/retention.ts';
import { recordableText } from '../../core/scrub.ts';
import { BoundaryError } from '../../formats/boundary-error.ts';
import { toHex } from '../../formats/digest.ts';
import { decodeEntry, type EntryActor } from '../../formats/entry.ts';
import type { JsonObject } from '../../formats/json.ts';
import { openArchive } from '../../ledger/archive.ts';
import { RETENTION_STREAM, type Segment } from '../../ledger/segments.ts';
import { type Batch, type EngineState, proofOf } from '../context.ts';
import { SHRED_MAX, shredEnvelopes } from '../envelopes.ts';
import type { EngineCall, EngineReply } from '../protocol.ts';
import { type AfterCommit, problem, reply } from '../reply.ts';
import type { Prepared } from '../retention-plan.ts';
import { heldDecisions } from '../retention-plan.ts';
import { sitePolicy } from '../site-acts.ts';
import { type NamedActor, refused } from './lifecycle.ts';
import { callerData } from './peers.ts';
import { keeperOf } from './retention-holds.ts';

const SYSTEM: EntryActor = { id: null, role: 'system' };
const PAGE_MAX = 200;
/** More than people hold back by hand. */
const HOLDS_SHOWN = 1_000;

/** The policy's rule, and how an entry names it. */
interface RuleInForce {
  rule: RetentionRule;
  evidence: JsonObject;
}

function ruleInForce(state: EngineState): RuleInForce | Refusal {
  const bundle = sitePolicy(state.policies)?.compiled.bundle;
  if (bundle?.retention !== undefined) {
    const { name, version } = bundle.metadata;
    const evidence = { policy: `${name}@${version}`, ...bundle.retention };
    return { rule: retentionRule(bundle.retention), evidence };
  }
  return refuse(
    'retention.no_rule',
    'The policy in force has no section "retention", so nothing leaves the ledger. Nothing was changed. Bring in an update that says how long entries stay.',
  );
}

/**
 * `retention.archived`: the archive file of a closed segment lies ready. The rule allows it → the file is what it should be →
 * one `ledger.pruned` entry. From its commit on the entries may leave the table; until then they are in both places.
 */
export function archiveSegment(batch: Batch, call: EngineCall): AfterCommit {
  const { first, until, kept, file } = JSON.parse(call.body ?? '{}') as Prepared;
  const { ledger } = batch.state;
  const found = ruleInForce(batch.state);
  if (isRefusal(found)) return refused(found);
  const wrong = placeRefusal(batch, first, until) ?? ageRefusal(batch, until, found.rule.archiveAfterMs);
  if (wrong !== null) return refused(wrong);
  const segment: Segment = { first, until, kept, file, record: ledger.size, carried: null };
  try {
    openArchive(ledger.archive.directory, segment);
  } catch (error) {
    if (!(error instanceof BoundaryError)) throw error;
    return refused(refuse('retention.wrong_copy', `${error.message} Nothing was recorded.`));
  }
  const { index } = batch.record(RETENTION_STREAM, 'ledger.pruned', SYSTEM, {
    step: 'archived',
    first,
    until,
    entries: until - first - kept.entries,
    kept: { ...kept },
    file: { ...file },
    root: toHex(ledger.root(until)),
    rule: found.evidence,
  });
  return (state) => reply(200, { index, first, until, proof: proofOf(state, index) });
}

/** A whole number of tiles that is not archived yet. */
function placeRefusal({ events, state: { ledger } }: Batch, first: number, until: number): Refusal | null {
  // Of the same batch: it counts from its commit on.
  const busy = events.some(({ type }) => type === 'ledger.pruned');
  const closed = first % 256 === 0 && until % 256 === 0 && first < until && until <= ledger.size;
  const free = ledger.archive.segments().every((other) => other.until <= first || other.first >= until);
  if (closed && free && !busy) return null;
  const words = `Entries ${first} to ${until - 1} are no closed segment that could be archived. Nothing was recorded.`;
  return refuse('retention.wrong_segment', words);
}

function ageRefusal(batch: Batch, until: number, ms: number): Refusal | null {
  const newest = batch.state.ledger.entry(until - 1);
  const at = newest === null ? Number.POSITIVE_INFINITY : Date.parse(decodeEntry(newest).at);
  if (batch.trust !== 'uncertain' && at <= batch.now - ms) return null;
  return refuse(
    'retention.too_young',
    batch.trust === 'uncertain'
      ? 'The clock cannot be believed, so nobody knows how old entries are. Nothing was recorded. Run "holdfast time status".'
      : `Entry ${until - 1} was recorded at ${isoTime(at)}; by the policy it stays until ${isoTime(at + ms)}. Nothing was recorded.`,
  );
}

interface CarryBody {
  first: number;
  sha256: string;
  to: string;
  actor?: NamedActor;
}

/**
 * `retention.carry`: a true copy of an archive file was taken elsewhere, and the file here may go. Its digest, as found in
 * the copy → old enough by the policy → none of its decisions is held → one `ledger.pruned` entry.
 */
export function carryArchive(batch: Batch, call: EngineCall): AfterCommit {
  const { first, sha256, to, actor } = JSON.parse(call.body ?? '{}') as CarryBody;
  const { state } = batch;
  const segment = state.ledger.archive.segmentAt(first);
  if (segment === null || segment.first !== first) {
    const words = `No archived segment begins with entry ${first}. Nothing was recorded. See holdfast ledger archive.`;
    return refused(refuse('retention.not_archived', words));
  }
  const { until, file } = segment;
  if (segment.carried !== null) return () => carryReply(segment, true);
  if (sha256 !== file.sha256) {
    const words = `The copy of ${file.name} is not a true one: its SHA-256 is ${sha256}, not ${file.sha256}. Nothing was recorded or removed. Copy the file again.`;
    return refused(refuse('retention.wrong_copy', words));
  }
  const found = ruleInForce(state);
  if (isRefusal(found)) return refused(found);
  const wrong = keepRefusal(batch, segment, found.rule) ?? heldRefusal(state, segment);
  if (wrong !== null) return refused(wrong);
  const { secrets } = sitePolicy(state.policies)?.compiled ?? {};
  const { index } = batch.record(RETENTION_STREAM, 'ledger.pruned', keeperOf(actor, batch), {
    step: 'carried',
    first,
    until,
    file: { ...file },
    to: recordableText(to, secrets),
    rule: found.evidence,
    ...callerData(batch, call),
  });
  return (after) =>
    reply(200, { index, first, until, file: file.name, again: false, proof: proofOf(after, index) });
}

function carryReply({ first, until, file }: Segment, again: boolean): EngineReply {
  return reply(200, { first, until, file: file.name, again });
}

function keepRefusal(batch: Batch, { until, first }: Segment, rule: RetentionRule): Refusal | null {
  if (rule.keepMs === null) {
    return refuse(
      'retention.too_young',
      'The policy has no retention.keep_entries_for, so archive files stay at the site for ever. Nothing was recorded or removed.',
    );
  }
  const { database } = batch.state.ledger;
  const left = database.prepareColumn<number>('SELECT count(*) FROM entries WHERE idx >= ? AND idx < ?');
  const staying = batch.state.ledger.archive.segmentAt(first)?.kept.entries ?? 0;
  if ((left.get(first, until) ?? 0) > staying) {
    const words = `Entries ${first} to ${until - 1} are still being moved. Nothing was recorded or removed. Try again in a minute.`;
    return refuse('retention.wrong_segment', words);
  }
  return ageRefusal(batch, until, rule.keepMs);
}

function heldRefusal(state: EngineState, { first, until }: Segment): Refusal | null {
  for (const [decision, why] of heldDecisions(state.ledger.database)) {
    const inside = state.ledger.stream(decision).some(({ index }) => index >= first && index < until);
    if (!inside) continue;
    const words = `Entries ${first} to ${until - 1} tell of ${decision}, and ${why}. Nothing was recorded or removed.`;
    return refuse('retention.held', words);
  }
  return null;
}

/**
 * `retention.shred`: destroys the sensitive values of closed decisions that are older than the rule keeps them, some at a
 * time. `next` is where to go on; null at the end.
 */
export function shredDue(batch: Batch, call: EngineCall): AfterCommit {
  const { after = '' } = JSON.parse(call.body ?? '{}') as { after?: string };
  const found = ruleInForce(batch.state);
  if (isRefusal(found)) return refused(found);
  const { rule, evidence } = found;
  if (rule.envelopesMs === null || batch.trust === 'uncertain')
    return () => reply(200, { shredded: 0, next: null });
  const { projections, ledger } = batch.state;
  const page = projections.envelopes.page(after, firstIdAt(batch.now - rule.envelopesMs), PAGE_MAX);
  const held = heldDecisions(ledger.database);
  const due = page.filter((id) => {
    const row = projections.row(id);
    return row !== null && !isOpen(row) && !held.has(id);
  });
  const recorded = shredEnvelopes(batch, due.slice(0, SHRED_MAX), {
    actor: SYSTEM,
    reason: `they are older than the policy keeps them (envelopes_for)`,
    evidence: { rule: evidence },
  });
  const next = page.length === PAGE_MAX ? (page.at(-1) ?? null) : null;
  return () =>
    reply(200, { shredded: recorded === null ? 0 : due.length, index: recorded?.index ?? null, next });
}

/** Ids of decisions begin with the instant that they were asked for (RFC 9562 §5.7): the least one of an instant. */
function firstIdAt(ms: number): string {
  const hex = Math.max(0, ms).toString(16).padStart(12, '0');
  return `dec_${hex.slice(0, 8)}-${hex.slice(8)}`;
}

/** `retention.get`: the rule, what was archived, what is held, and how much room it takes; `brief` without the segments and envelopes. */
export function getRetention(state: EngineState, call: EngineCall): EngineReply {
  const found = ruleInForce(state);
  try {
    const segments = state.ledger.archive.segments();
    const holds = state.projections.standingOpen('legal_hold', HOLDS_SHOWN);
    return reply(200, {
      rule: isRefusal(found) ? null : { ...found.rule, words: found.evidence },
      size: state.ledger.size,
      archived: {
        segments: segments.length,
        entries: segments.reduce((sum, { first, until, kept }) => sum + until - first - kept.entries, 0),
        bytes: segments.reduce((sum, { file, carried }) => sum + (carried === null ? file.bytes : 0), 0),
        carried: segments.filter(({ carried }) => carried !== null).length,
      },
      held: holds.map(({ id, first_idx: since }) => ({ decision: id, record: since })),
      reusable_bytes: reusableBytes(state),
      // Both grow with the ledger: who looks each minute does without.
      ...(call.args.brief === 'true'
        ? {}
        : { segments: segments.map(segmentView), envelopes: state.projections.envelopes.count() }),
    });
  } catch (error) {
    if (!(error instanceof BoundaryError)) throw error;
    return problem(refuse('ledger.archived', error.message));
  }
}

/** Room inside the database file that what is recorded next will use before the file grows. */
function reusableBytes({ ledger: { database } }: EngineState): number {
  return Number(database.pragma('freelist_count')) * Number(database.pragma('page_size'));
}

function segmentView({ first, until, file, kept, record, carried }: Segment): JsonObject {
  return {
    first,
    until,
    entries: until - first - kept.entries,
    file: file.name,
    bytes: file.bytes,
    sha256: file.sha256,
    record,
    carried_to: carried?.to ?? null,
  };
}
