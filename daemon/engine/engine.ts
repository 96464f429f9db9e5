import { refuse } from '../core/refusal.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import { isStorageError } from '../ledger/database.ts';
import { Clearing } from './clearing.ts';
import { Batch, type EngineState } from './context.ts';
import { diskFull, ROUTINE } from './disk-routine.ts';
import { Expiry } from './expiry.ts';
import { Heartbeat } from './heartbeat.ts';
import { admitPeer, admitWithoutLedger } from './methods/peers.ts';
import { READS, WRITES } from './methods/table.ts';
import { believesKernel, recordTime } from './methods/time.ts';
import { OPEN } from './peers.ts';
import {
  type DraftReply,
  type EngineCall,
  type EngineEvent,
  type EngineReply,
  internal,
} from './protocol.ts';
import { type EngineOptions, LedgerKeeper } from './recover.ts';
import { type AfterCommit, problem, reply } from './reply.ts';
import { engineStatus } from './status.ts';
import type { Reading } from './time.ts';

export type { EngineOptions } from './recover.ts';

export interface BatchResult {
  replies: DraftReply[];
  events: EngineEvent[];
}

/**
 * The engine: rules meet ledger. Synchronous, one writer. Opening it writes `system.started`; `process` runs one batch:
 * all writes in one transaction, one signed checkpoint, one fsync, then reads, then the replies.
 */
export class Engine {
  readonly #options: EngineOptions;
  readonly #keeper: LedgerKeeper;
  readonly #expiry = new Expiry();
  readonly #clearing: Clearing;
  readonly #startedAt: number;
  readonly #heartbeat: Heartbeat;

  constructor(options: EngineOptions) {
    this.#options = options;
    this.#startedAt = options.clock.now();
    this.#keeper = new LedgerKeeper(options);
    this.#clearing = new Clearing(options.report);
    this.#heartbeat = new Heartbeat(options.heartbeatMs ?? null, options.clock.monotonic());
  }

  /** Runs one batch. Every reply to a write is durable when this returns; it never throws for a caller's fault. */
  process(calls: readonly EngineCall[]): BatchResult {
    const replies: DraftReply[] = new Array<DraftReply>(calls.length);
    const state = this.#keeper.recovered();
    const events = state === null ? this.#unavailable(calls, replies) : this.#write(state, calls, replies);
    this.#read(calls, replies);
    return { replies, events };
  }

  /** The commit protocol of a batch: decide everything, then seal, then commit, and only then say anything. */
  #write(state: EngineState, calls: readonly EngineCall[], replies: DraftReply[]): EngineEvent[] {
    // Every second is often enough while there is room; a flood on a disk that is nearly full is watched more closely.
    if (state.disk.level !== 'ok') state.disk.look();
    const batch = new Batch(state, this.#keeper.time.read());
    const answers: (AfterCommit | null)[] = [];
    try {
      state.ledger.begin();
      // Before everything that is decided by it: how far the clock can be believed from now on.
      if (state.time.isUnrecorded) recordTime(batch);
      for (const call of calls) answers.push(this.#decide(batch, call));
      if (batch.events.length === 0) {
        state.ledger.rollback();
      } else {
        state.ledger.seal();
        // Point of no return: once this returns, every entry of the batch is on disk under a signed checkpoint.
        state.ledger.commit();
        this.#keeper.committed(batch);
      }
    } catch (error) {
      this.#keeper.fail(state, error);
      return this.#unavailable(calls, replies);
    }
    answers.forEach((answer, index) => {
      if (answer !== null)
        replies[index] = this.#rendered(() => answer(state), 'it was recorded; look it up');
    });
    return batch.events;
  }

  /** One command. Its own failure before anything was appended is answered alone; after that, the batch must fall. */
  #decide(batch: Batch, call: EngineCall): AfterCommit | null {
    const method = WRITES[call.method];
    if (method === undefined) return null;
    const appended = batch.events.length;
    try {
      const stranger = batch.state.peers.refusal(call, batch);
      if (stranger !== null) return () => problem(stranger);
      if (batch.state.disk.level === 'critical' && ROUTINE.has(call.method)) return () => problem(diskFull());
      return method(batch, call);
    } catch (error) {
      if (batch.events.length !== appended || isStorageError(error)) throw error;
      if (error instanceof BoundaryError && error.code === 'entry.too_large') {
        const refusal = refuse('ledger.entry_too_large', `${error.message} Nothing was allowed or recorded.`);
        return () => problem(refusal);
      }
      const failed = this.#failure(error, 'nothing was allowed or recorded');
      return () => failed;
    }
  }

  #read(calls: readonly EngineCall[], replies: DraftReply[]): void {
    calls.forEach((call, index) => {
      if (replies[index] === undefined) {
        replies[index] = this.#rendered(() => this.#answerRead(call), 'nothing was changed');
      }
    });
  }

  #answerRead(call: EngineCall): EngineReply {
    if (call.method === 'status.get') return reply(200, this.status());
    if (call.method === 'peers.admit') return this.#admit(call);
    const method = READS[call.method];
    if (method === undefined) throw new Error(`engine: no method ${call.method}`);
    const { state } = this.#keeper;
    if (state === null) return this.#unavailableReply();
    const stranger = state.peers.inUse ? state.peers.refusal(call, this.#keeper.time.read()) : null;
    return stranger === null ? method(state, call, this.#keeper.time.read()) : problem(stranger);
  }

  #admit(call: EngineCall): EngineReply {
    const { state, time } = this.#keeper;
    if (state !== null) return admitPeer(state, call, time.read());
    return admitWithoutLedger(this.#options.peers ?? OPEN, call);
  }

  /** An exception of ours never gets past its own request: it is a "no" and a report. */
  #rendered(render: () => DraftReply, consequence: string): DraftReply {
    try {
      return render();
    } catch (error) {
      return this.#failure(error, consequence);
    }
  }

  #failure(error: unknown, consequence: string): EngineReply {
    // No defect: what was asked for lies in an archive file that is not here.
    if (error instanceof BoundaryError && error.code.startsWith('archive.'))
      return problem(refuse('ledger.archived', `${error.message} So ${consequence}.`));
    this.#options.report('engine: a request failed', error);
    return problem(refuse('engine.failure', `The engine failed on this request; ${consequence}.`));
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
        `The ledger cannot be written (${this.#keeper.trouble?.cause ?? 'closed'}), so the answer is no. Nothing was allowed; what was asked just now may yet turn up as recorded. Run "holdfast status" for what to do, then ask again under the same Idempotency-Key.`,
      ),
    );
  }

  /** What the clock does, once a second: expiry, the age of policies, and a record when trust in time changes. */
  tick(): BatchResult {
    const none = { replies: [], events: [] };
    this.#keeper.disk.look();
    const state = this.#keeper.recovered();
    if (state === null || !this.#clear(state)) return none;
    const time = this.#keeper.time.read();
    state.keys.tend();
    state.time.tend(believesKernel(state));
    if (state.time.isUnrecorded) return this.process([]);
    if (this.#tendEnvelopes(state)) return this.process([internal('envelopes.rotated', null)]);
    const { age, anchoring } = state.policies;
    const floor = this.#keeper.time.floor();
    age.advance(time, floor);
    anchoring.advance(time, floor, state.projections);
    const ids = this.#due(state, time);
    const waits = !state.holds.due(time, state.policies) && state.breakglass.due(time) === null;
    const beat = this.#heartbeat.due(state.disk.level, this.#options.clock.monotonic());
    const anchored = anchoring.unrecorded().length === 0 && !anchoring.isDue(time, floor);
    const aged = age.unrecorded().length === 0;
    const idle = ids.length === 0 && aged && anchored && waits && beat === null;
    return idle ? none : this.process([internal('system.tick', JSON.stringify({ ids, beat }))]);
  }

  /** Archived entries leave the table a few at a time. False when the disk failed at it: a trouble like any other. */
  #clear(state: EngineState): boolean {
    try {
      this.#clearing.round(state.ledger);
      return true;
    } catch (error) {
      this.#keeper.fail(state, error);
      return false;
    }
  }

  /** What has run out of time. A disk that cannot be read is a trouble like any other, not the end of the thread. */
  #due(state: EngineState, time: Reading): string[] {
    // On the last of a disk no room is spent on what expires at its use anyway.
    if (state.disk.level === 'critical') return [];
    try {
      return this.#expiry.due(state, time);
    } catch (error) {
      this.#keeper.fail(state, error);
      return [];
    }
  }

  /** A turn of what envelopes ask for; true when the end of a rotation is to be recorded. */
  #tendEnvelopes(state: EngineState): boolean {
    if (state.disk.level !== 'ok') return false;
    try {
      return state.envelopes.tend();
    } catch (error) {
      this.#keeper.fail(state, error);
      return false;
    }
  }

  /** Carries the newest checkpoint and the time floor into the second database. */
  syncHead(): void {
    this.#keeper.syncHead();
  }

  /** For idle moments: moves what the log holds into the main file, so that commits under load need not. */
  settle(): void {
    this.#keeper.settle();
  }

  /** What `status.get` answers. */
  status(): object {
    return engineStatus({
      state: this.#keeper.state,
      trouble: this.#keeper.trouble,
      disk: this.#keeper.disk.report(),
      site: this.#options.site,
      profile: this.#options.profile,
      startedAt: this.#startedAt,
      time: this.#keeper.time.report(),
    });
  }

  /** Orderly end: `system.stopped`, second copy, close. */
  stop(reason: string): void {
    this.#keeper.disk.look();
    this.process([internal('system.stopped', JSON.stringify({ reason }))]);
    this.syncHead();
    this.close();
  }

  /** Closes the files without another word: to the ledger the same as a crash. */
  close(): void {
    this.#keeper.close();
  }
}
