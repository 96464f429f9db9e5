import type { DecisionStatus } from '../core/decision.ts';
import type { DecisionRecord } from '../core/fold.ts';
import type { ReadingSubject } from '../core/reading.ts';
import { type Refusal, refuse } from '../core/refusal.ts';
import { decodeEntry, type Entry } from '../formats/entry.ts';
import type { EngineState } from './context.ts';
import type { EngineCall } from './protocol.ts';
import { sitePolicy } from './site-acts.ts';
import type { Reading } from './time.ts';

/** How long a recorded read opens what it is about: time enough to fetch it. */
const OPEN_MS = 3_600_000;

/** What a reader is shown: everything, or entries without payload values but for those that a recorded read opens. */
export interface View {
  /** Whether payload values of this entry are shown. */
  opens(index: number, stream: string): boolean;
  /** Whether nothing is masked. */
  whole: boolean;
  /** Whether everything may be taken away: nothing is masked, or a recorded export is about all of it. */
  exports: boolean;
}

/** While a decision is in one of these, people must see what they are to decide. */
const WAITING: readonly DecisionStatus[] = ['evaluated', 'pending_authority'];
const WHOLE: View = { opens: () => true, whole: true, exports: true };
const MASKED: View = { opens: () => false, whole: false, exports: false };

/**
 * What lists and bulk reads show to a caller. While the policy has no reading rights, everything, as ever. Else entries
 * are masked, for everybody: values are opened by a recorded read, which `args.read` names. A refusal when what it names
 * is none of this caller's.
 */
export function viewOf(state: EngineState, call: EngineCall, time: Reading): View | Refusal {
  if (call.peer.socket === 'internal' || !hasRights(state)) return WHOLE;
  const { read } = call.args;
  if (read === undefined) return MASKED;
  const record = recordedRead(state, call, Number(read), time);
  if ('refused' in record) return record;
  const { right, subject } = record;
  const { decision_id, from = 0, size = Number.MAX_SAFE_INTEGER } = subject;
  return {
    opens: (index, stream) =>
      decision_id === undefined ? index >= from && index - from < size : stream === decision_id,
    whole: false,
    exports: right === 'export' && decision_id === undefined && from === 0 && subject.size === undefined,
  };
}

/**
 * The same for one decision and its entries. Who works on it sees it whole: whoever asked, may redeem, or may approve; and
 * while it waits, whoever carries it to those. So does everybody where callers are not told apart.
 */
export function viewOfDecision(
  state: EngineState,
  call: EngineCall,
  time: Reading,
  record: DecisionRecord,
): View | Refusal {
  if (call.args.read === undefined && worksOn(state, call, time, record)) return WHOLE;
  return viewOf(state, call, time);
}

function worksOn(
  { peers, policies }: EngineState,
  { peer }: EngineCall,
  time: Reading,
  { decision, audience }: DecisionRecord,
): boolean {
  if (!peers.inUse || peer.socket === 'internal') return true;
  const caller = peers.caller(peer, time);
  if ('refused' in caller || caller.principal === null) return false;
  const { principal, roles } = caller;
  if (roles.includes('operator') && WAITING.includes(decision.status)) return true;
  if (principal === decision.context.actor.id || principal === decision.peer?.principal) return true;
  const policy = policies.active(decision.context.environment) ?? sitePolicy(policies);
  const known = policy?.roster.principal(principal) ?? null;
  if (known === null) return false;
  if (known.audiences?.includes(audience) === true) return true;
  const deciding = [
    ...decision.authority.required.flatMap(({ roles }) => roles),
    ...decision.policy.gates.flatMap(({ exception_role }) => exception_role ?? []),
  ];
  return known.roles.some((role) => deciding.includes(role));
}

function hasRights({ policies }: EngineState): boolean {
  return sitePolicy(policies)?.compiled.bundle.reading !== undefined;
}

interface RecordedRead {
  right: 'raw' | 'export';
  subject: ReadingSubject;
}

/** The `ledger.read` entry that a caller refers to, if it is this caller's own and of late. */
function recordedRead(
  state: EngineState,
  call: EngineCall,
  index: number,
  time: Reading,
): RecordedRead | Refusal {
  const bytes = Number.isSafeInteger(index) ? state.ledger.entry(index) : null;
  const entry = bytes === null ? null : decodeEntry(bytes);
  if (entry?.type === 'ledger.read' && isOwn(state, call, entry, time)) {
    const { right, subject } = entry.data as unknown as RecordedRead;
    return { right, subject };
  }
  return refuse(
    'reading.not_recorded',
    `Entry ${index} records no read of the last hour by this caller, so nothing is shown. Put the read on record first (ledger.disclose), and name its entry.`,
  );
}

function isOwn(
  { peers }: EngineState,
  { peer }: EngineCall,
  { at, actor, data }: Entry,
  time: Reading,
): boolean {
  if (Math.abs(time.now - Date.parse(at)) > OPEN_MS) return false;
  const { uid, certificate } = data.reader as { uid?: number; certificate?: string };
  if (uid !== (peer.uid ?? undefined) || certificate !== peer.certificate) return false;
  if (!peers.inUse) return true;
  const caller = peers.caller(peer, time);
  // Somebody whom the caller may name read; whoever has the same certificate or account may fetch it.
  return !('refused' in caller) && caller.principal !== null && actor.id !== null;
}

/** Why bytes that cannot be masked are not given out. */
export function notOpened(what: string): Refusal {
  return refuse(
    'reading.not_recorded',
    `${what} holds payload values as they were recorded, and the policy has reading rights: nothing is shown without a record of the read. Put it on record first (ledger.disclose), and name its entry as "read".`,
  );
}
