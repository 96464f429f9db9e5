import type { FreshnessStep } from '../core/freshness.ts';
import { refuse } from '../core/refusal.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import type { EntryType, TimeTrust } from '../formats/entry.ts';
import { decodeEntry } from '../formats/entry.ts';
import type { Clock } from '../host/clock.ts';
import type { Sealer } from '../host/sealer.ts';
import type { Profile, SitePaths } from '../host/site.ts';
import { VERSION } from '../host/version.ts';
import { isStorageError } from '../ledger/database.ts';
import { type HeadStore, openHeadStore, saveHead } from '../ledger/head-store.ts';
import type { NoteSigner } from '../ledger/ledger.ts';
import { openLedger } from '../ledger/open.ts';
import { lockWriter, type WriterLock } from '../ledger/writer-lock.ts';
import { Batch, type EngineState } from './context.ts';
import { Expiry } from './expiry.ts';
import { systemResumed, systemStarted, timeChanged } from './methods/system.ts';
import { READS, WRITES } from './methods/table.ts';
import { type AppliedPolicy, Policies } from './policies.ts';
import { Projections } from './projections.ts';
import {
  type DraftReply,
  type EngineCall,
  type EngineEvent,
  type EngineReply,
  internal,
} from './protocol.ts';
import { type AfterCommit, problem, reply } from './reply.ts';
import { engineStatus, type LedgerTrouble } from './status.ts';
import { TimeKeeper } from './time.ts';

/** Everything an engine needs from outside. Opening a file, the time and randomness come only through here. */
export interface EngineOptions {
  paths: SitePaths;
  site: string;
  profile: Profile;
  clock: Clock;
  random: EngineState['random'];
  signer: NoteSigner;
  sealer: Sealer;
  /** Told of every bug and of the ledger's failures; must not throw. */
  report(message: string, error: unknown): void;
}

export interface BatchResult {
  replies: DraftReply[];
  events: EngineEvent[];
}

/** After a failed commit, how long writes are answered "unavailable" before the ledger is opened again. */
const REOPEN_AFTER_MS = 1_000;
/** What the `system` stream ends with when the run before was ended in order. */
const ENDINGS: readonly EntryType[] = ['system.initialized', 'system.stopped'];

/**
 * The engine: rules meet ledger. Synchronous, one writer. Opening it writes `system.started`; `process` runs one batch:
 * all writes in one transaction, one signed checkpoint, one fsync, then reads, then the replies.
 */
export class Engine {
  readonly #options: EngineOptions;
  readonly #lock: WriterLock;
  readonly #head: HeadStore;
  readonly #time: TimeKeeper;
  #state: EngineState | null;
  #trouble: LedgerTrouble | null = null;
  readonly #expiry = new Expiry();
  #reopenAt = 0;
  #trust: TimeTrust = 'floor';
  readonly #startedAt: number;

  constructor(options: EngineOptions) {
    this.#options = options;
    this.#startedAt = options.clock.now();
    this.#lock = lockWriter(options.paths.ledger);
    try {
      this.#head = openHeadStore(options.paths.head);
      this.#time = new TimeKeeper(options.clock, this.#head.read(options.signer.name)?.floorMs ?? 0);
      this.#state = this.#open();
      this.#recordStart(this.#state);
    } catch (error) {
      this.#lock.release();
      throw error;
    }
  }

  /** Runs one batch. Every reply to a write is durable when this returns; it never throws for a caller's fault. */
  process(calls: readonly EngineCall[]): BatchResult {
    const replies: DraftReply[] = new Array<DraftReply>(calls.length);
    const state = this.#state ?? this.#reopen();
    const events = state === null ? this.#unavailable(calls, replies) : this.#write(state, calls, replies);
    this.#read(calls, replies);
    return { replies, events };
  }

  /** The commit protocol of a batch: decide everything, then seal, then commit, and only then say anything. */
  #write(state: EngineState, calls: readonly EngineCall[], replies: DraftReply[]): EngineEvent[] {
    const batch = new Batch(state, this.#time.read());
    const answers: (AfterCommit | null)[] = [];
    try {
      state.ledger.begin();
      for (const call of calls) answers.push(this.#decide(batch, call));
      if (batch.events.length === 0) {
        state.ledger.rollback();
      } else {
        state.ledger.seal();
        // Point of no return: once this returns, every entry of the batch is on disk under a signed checkpoint.
        state.ledger.commit();
      }
    } catch (error) {
      this.#fail(state, error);
      return this.#unavailable(calls, replies);
    }
    answers.forEach((answer, index) => {
      if (answer !== null) replies[index] = answer(state);
    });
    return batch.events;
  }

  /** One command. Its own failure before anything was appended is answered alone; after that, the batch must fall. */
  #decide(batch: Batch, call: EngineCall): AfterCommit | null {
    const method = WRITES[call.method];
    if (method === undefined) return null;
    const appended = batch.events.length;
    try {
      return method(batch, call);
    } catch (error) {
      if (batch.events.length !== appended || isStorageError(error)) throw error;
      this.#options.report(`engine: ${call.method} failed`, error);
      const refusal = refuse(
        'engine.failure',
        'The engine failed on this request. Nothing was allowed or recorded.',
      );
      return () => problem(refusal);
    }
  }

  #read(calls: readonly EngineCall[], replies: DraftReply[]): void {
    calls.forEach((call, index) => {
      if (replies[index] !== undefined) return;
      try {
        replies[index] = this.#answerRead(call);
      } catch (error) {
        this.#options.report(`engine: ${call.method} failed`, error);
        replies[index] = problem(
          refuse('engine.failure', 'The engine failed on this request. Nothing was changed.'),
        );
      }
    });
  }

  #answerRead(call: EngineCall): EngineReply {
    if (call.method === 'status.get') return reply(200, this.status());
    const method = READS[call.method];
    if (method === undefined) throw new Error(`engine: no method ${call.method}`);
    return this.#state === null ? this.#unavailableReply() : method(this.#state, call);
  }

  #unavailable(calls: readonly EngineCall[], replies: DraftReply[]): EngineEvent[] {
    calls.forEach((call, index) => {
      if (WRITES[call.method] !== undefined) replies[index] = this.#unavailableReply();
    });
    return [];
  }

  #unavailableReply(): EngineReply {
    return problem(
      refuse(
        'ledger.unavailable',
        `The ledger cannot be written (${this.#trouble?.cause ?? 'closed'}), so the answer is no. Nothing was allowed; what was asked just now may yet turn up as recorded. Run "holdfast status" for what to do, then ask again under the same Idempotency-Key.`,
      ),
    );
  }

  /** Whatever made a batch fall, memory and file may disagree now: close, and read everything from disk again. */
  #fail(state: EngineState, error: unknown): void {
    this.#inTrouble('engine: a batch could not be committed', error);
    this.#state = null;
    try {
      state.ledger.rollback();
    } catch (second) {
      this.#options.report('engine: rollback failed', second);
    }
    try {
      state.ledger.close();
    } catch (second) {
      this.#options.report('engine: close failed', second);
    }
  }

  /**
   * Back in service only when an entry and its second copy were really written: a full disk opens well, and would
   * promise to decide until it is asked to.
   */
  #reopen(): EngineState | null {
    if (this.#options.clock.monotonic() < this.#reopenAt) return null;
    let state: EngineState;
    try {
      state = this.#open();
    } catch (error) {
      this.#inTrouble('engine: the ledger could not be opened again', error);
      return null;
    }
    try {
      const batch = new Batch(state, this.#time.read());
      state.ledger.begin();
      systemResumed(batch, this.#trouble);
      state.ledger.seal();
      state.ledger.commit();
      saveHead(this.#head, state.ledger);
    } catch (error) {
      this.#fail(state, error);
      return null;
    }
    this.#trouble = null;
    this.#state = state;
    return state;
  }

  /** Reports a failure once, not at every attempt to get over it: a log on a full disk must not make it worse. */
  #inTrouble(message: string, error: unknown): void {
    const cause = causeOf(error);
    if (cause !== this.#trouble?.cause) this.#options.report(message, error);
    this.#trouble = { since: this.#trouble?.since ?? this.#options.clock.now(), cause };
    this.#reopenAt = this.#options.clock.monotonic() + REOPEN_AFTER_MS;
  }

  #open(): EngineState {
    const { paths, site, profile, signer, sealer, random } = this.#options;
    const ledger = openLedger({ path: paths.ledger, headPath: paths.head, origin: signer.name, signer });
    const policies = new Policies(paths.policy);
    const state = {
      site,
      profile,
      ledger,
      projections: new Projections(ledger.database),
      policies,
      sealer,
      random,
    };
    const { applied, steps } = recordedPolicy(state);
    policies.activate(applied, steps);
    policies.age.advance(this.#time.read(), this.#time.floor());
    return state;
  }

  #recordStart(state: EngineState): void {
    const last = state.ledger.stream('system').at(-1);
    const orderly = last === undefined || ENDINGS.includes(decodeEntry(last.bytes).type);
    const time = this.#time.read();
    this.#trust = time.trust;
    state.ledger.begin();
    const batch = new Batch(state, time);
    systemStarted(batch, { version: VERSION, orderly });
    if (time.trust === 'uncertain') timeChanged(batch, this.#time.floor());
    state.ledger.seal();
    state.ledger.commit();
    this.syncHead();
  }

  /** What the clock does, once a second: expiry, the age of policies, and a record when trust in time changes. */
  tick(): BatchResult {
    const none = { replies: [], events: [] };
    const state = this.#state ?? this.#reopen();
    if (state === null) return none;
    const time = this.#time.read();
    if (time.trust !== this.#trust) return this.#recordTrust(state, time);
    const { age } = state.policies;
    age.advance(time, this.#time.floor());
    // With doubtful time nothing expires by the wall clock: a clock a year ahead must not clear the queue.
    const ids =
      time.trust === 'uncertain'
        ? []
        : this.#expiry.due(state.projections, time.now, this.#options.clock.monotonic());
    const idle = ids.length === 0 && age.unrecorded().length === 0;
    return idle ? none : this.process([internal('system.tick', JSON.stringify({ ids }))]);
  }

  #recordTrust(state: EngineState, time: { now: number; trust: TimeTrust }): BatchResult {
    const batch = new Batch(state, time);
    try {
      state.ledger.begin();
      timeChanged(batch, this.#time.floor());
      state.ledger.seal();
      state.ledger.commit();
      this.#trust = time.trust;
    } catch (error) {
      this.#fail(state, error);
      return { replies: [], events: [] };
    }
    return { replies: [], events: batch.events };
  }

  /** Carries the newest checkpoint and the time floor into the second database, by compare-and-swap. */
  syncHead(): void {
    const state = this.#state;
    if (state === null) return;
    try {
      saveHead(this.#head, state.ledger);
      this.#head.raiseFloor(state.ledger.origin, Math.floor(this.#time.floor()));
    } catch (error) {
      // Another process wrote under this origin, or the second disk failed: either way nobody may build on this ledger.
      this.#fail(state, error);
    }
  }

  /** For idle moments: moves what the log holds into the main file, so that commits under load need not. */
  settle(): void {
    this.#state?.ledger.settle();
  }

  status(): object {
    return engineStatus({
      state: this.#state,
      trouble: this.#trouble,
      site: this.#options.site,
      profile: this.#options.profile,
      startedAt: this.#startedAt,
      time: { ...this.#time.read(), floor: this.#time.floor() },
    });
  }

  /** Orderly end: `system.stopped`, second copy, close. */
  stop(reason: string): void {
    this.process([internal('system.stopped', JSON.stringify({ reason }))]);
    this.syncHead();
    this.close();
  }

  /** Closes the files without another word: to the ledger the same as a crash. */
  close(): void {
    this.#state?.ledger.close();
    this.#state = null;
    this.#head.close();
    this.#lock.release();
  }
}

/** What the ledger says is in force, and how far it has aged since. */
function recordedPolicy(state: EngineState): {
  applied: AppliedPolicy | null;
  steps: Map<string, FreshnessStep>;
} {
  const entries = state.ledger.stream('policy').map(({ bytes }) => decodeEntry(bytes));
  const at = entries.findLastIndex(({ type }) => type === 'policy.applied');
  const applied = entries[at];
  const steps = new Map<string, FreshnessStep>();
  for (const { type, data } of entries.slice(at + 1)) {
    if (type === 'policy.degraded') steps.set(String(data.environment), data.step as FreshnessStep);
  }
  return { applied: applied === undefined ? null : (applied.data as unknown as AppliedPolicy), steps };
}

function causeOf(error: unknown): string {
  if (isStorageError(error) || error instanceof BoundaryError)
    return String((error as { code?: unknown }).code);
  return error instanceof Error ? error.name : 'unknown cause';
}
