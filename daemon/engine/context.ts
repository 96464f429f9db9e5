import { counting, type Given } from '../core/counting.ts';
import { isoTime } from '../core/create.ts';
import type { Decision } from '../core/decision.ts';
import { type DecisionRecord, foldDecision } from '../core/fold.ts';
import type { OutsideTime } from '../core/time-ladder.ts';
import {
  decodeEntry,
  type Entry,
  type EntryActor,
  type EntryType,
  encodeEntry,
  type TimeTrust,
} from '../formats/entry.ts';
import type { JsonObject } from '../formats/json.ts';
import { formatProof } from '../formats/tlog-proof.ts';
import type { Sealer } from '../host/sealer.ts';
import type { Profile } from '../host/site.ts';
import type { TlogPolicyFile } from '../host/tlog-policy-file.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { ActorLimits } from './actor-limits.ts';
import type { BreakglassSessions } from './breakglass-sessions.ts';
import type { DiskGuard } from './disk-guard.ts';
import type { EnvelopeKeeper } from './envelope-keeper.ts';
import type { FormerLogs } from './former-logs.ts';
import type { Halts } from './halts.ts';
import type { Holds } from './holds.ts';
import type { LedgerKeys } from './ledger-keys.ts';
import type { Peers } from './peers.ts';
import type { Policies } from './policies.ts';
import type { Projections } from './projections.ts';
import type { EngineEvent, ProofParts } from './protocol.ts';
import type { Reading, TimeKeeper } from './time.ts';

/** What every method of the engine works on. One per open ledger; replaced as a whole when the ledger is reopened. */
export interface EngineState {
  readonly site: string;
  readonly profile: Profile;
  readonly ledger: Ledger;
  readonly projections: Projections;
  readonly policies: Policies;
  /** The update that waits to be put in force. */
  readonly holds: Holds;
  /** Which witnesses the site believes. */
  readonly witnesses: Pick<TlogPolicyFile, 'usable'>;
  /** What is known about the time. */
  readonly time: TimeKeeper;
  /** The logs of this site that ended with a restore. */
  readonly former: FormerLogs;
  /** The key that signs the ledger, and its rotation. */
  readonly keys: LedgerKeys;
  /** The keys and principals that were suspended at this site. */
  readonly suspended: Set<string>;
  /** Who may ask for what. */
  readonly peers: Peers;
  /** What open incidents hold back. */
  readonly halts: Halts;
  /** How the disk stands. */
  readonly disk: DiskGuard;
  /** The break-glass sessions that are open. */
  readonly breakglass: BreakglassSessions;
  /** How much each actor asks for. */
  readonly limits: ActorLimits;
  readonly sealer: Sealer;
  /** What the envelopes' keys still ask for. */
  readonly envelopes: EnvelopeKeeper;
  /** Fresh randomness: decision ids (UUIDv7 of the given instant) and salts. */
  readonly random: { uuidv7(now: number): string; bytes(length: number): Uint8Array };
}

/** What an appended entry is called by afterwards. */
export interface Recorded {
  index: number;
  entry: Entry;
  bytes: Uint8Array;
}

/** One batch: a fixed instant, and the entries appended so far. Nothing in it is durable before the commit. */
export class Batch {
  readonly state: EngineState;
  readonly now: number;
  readonly trust: TimeTrust;
  readonly at_least: number;
  readonly monotonic: number;
  readonly events: EngineEvent[] = [];
  /** Words from outside about the time, in entries of this batch: they count once it is durable. */
  readonly learned: OutsideTime[] = [];
  /** Whether an entry of this batch says how far the clock can be believed. */
  toldTime = false;

  constructor(state: EngineState, time: Reading) {
    this.state = state;
    this.now = time.now;
    this.trust = time.trust;
    this.at_least = time.at_least;
    this.monotonic = time.monotonic;
  }

  /** Appends the next entry of a stream and brings the projections along. */
  record(stream: string, type: EntryType, actor: EntryActor, data: JsonObject): Recorded {
    const { ledger } = this.state;
    const entry = this.#entry(stream, ledger.streamHead(stream), type, actor, data);
    const bytes = encodeEntry(entry);
    return this.#appended(ledger.append(stream, bytes), entry, bytes);
  }

  /** The same for the first entry of a new stream. `dataText` is `data` as canonical text, which was printed already. */
  recordFirst(
    stream: string,
    type: EntryType,
    actor: EntryActor,
    data: JsonObject,
    dataText: string,
  ): Recorded {
    const entry = this.#entry(stream, { seq: 0, prev: null }, type, actor, data);
    const bytes = encodeEntry(entry, dataText);
    return this.#appended(this.state.ledger.appendFirst(stream, bytes), entry, bytes);
  }

  #entry(
    stream: string,
    { seq, prev }: { seq: number; prev: string | null },
    type: EntryType,
    actor: EntryActor,
    data: JsonObject,
  ): Entry {
    const { site } = this.state;
    return {
      v: 1,
      site,
      type,
      at: isoTime(this.now),
      time_trust: this.trust,
      stream,
      seq,
      prev,
      actor,
      data,
    };
  }

  #appended(index: number, entry: Entry, bytes: Uint8Array): Recorded {
    const transitions = (entry.data.transitions ?? []) as Decision['status'][];
    const { stream, type } = entry;
    // Before the projections: should they fail, the batch must know that it holds an entry, and fall.
    const status = transitions.at(-1) ?? null;
    this.events.push({ index, stream, type, status });
    this.state.projections.apply(index, entry);
    if (status !== null) this.state.limits.follow(entry, status);
    return { index, entry, bytes };
  }

  /** The decision as its entries say, those of this batch included; null when there is no such stream. */
  decision(id: string): DecisionRecord | null {
    return loadDecision(this.state, id);
  }
}

/** A decision folded from its stream; null when there is no such stream. */
export function loadDecision(state: EngineState, id: string): DecisionRecord | null {
  const stream = state.ledger.stream(id);
  if (stream.length === 0) return null;
  const entries = stream.map(({ index, bytes }) => ({ index, entry: decodeEntry(bytes) }));
  // Only what people signed can lapse, and they sign later than the first entry.
  return entries.length === 1 ? foldDecision(entries) : foldDecision(entries, countingIn(state, entries));
}

/** Whether what somebody signed for a decision still counts at this site. */
function countingIn(state: EngineState, [first]: readonly { entry: Entry }[]): (given: Given) => boolean {
  const { environment } = (first?.entry.data.context ?? {}) as { environment?: string };
  const policy = state.policies.active(environment ?? '');
  return policy === null ? () => true : counting(policy.roster, state.time.latest().now);
}

/**
 * The C2SP tlog-proof of a committed entry under the newest checkpoint, with the entry's bytes in `extra`. For an allow
 * entry this text is the permit file. `known` saves reading the bytes again right after they were written.
 */
export function proofOf(state: EngineState, index: number, known: Uint8Array | null = null): string {
  const { entry, path, checkpoint } = proofPartsOf(state, index, known);
  return formatProof({ index, extra: entry, proof: path, checkpoint });
}

/** What `proofOf` prints. */
export function proofPartsOf(state: EngineState, index: number, known: Uint8Array | null): ProofParts {
  const { ledger } = state;
  const entry = known ?? ledger.entry(index);
  const checkpoint = ledger.checkpoint();
  if (entry === null || checkpoint === null)
    throw new Error(`proof: entry ${index} is not under a checkpoint`);
  return { index, entry, path: ledger.inclusionProof(index), checkpoint };
}
