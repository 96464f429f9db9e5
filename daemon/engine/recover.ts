import { join } from 'node:path';
import type { FreshnessStep } from '../core/freshness.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import { decodeEntry, type EntryType } from '../formats/entry.ts';
import type { MachineClock } from '../host/clock.ts';
import type { DiskConfig } from '../host/config/disk.ts';
import type { Disk } from '../host/disk-reserve.ts';
import type { LedgerKeyFiles } from '../host/ledger-key.ts';
import type { Sealer } from '../host/sealer.ts';
import type { Profile, SitePaths } from '../host/site.ts';
import { TlogPolicyFile } from '../host/tlog-policy-file.ts';
import { VERSION } from '../host/version.ts';
import { isStorageError } from '../ledger/database.ts';
import { type HeadStore, openHeadStore, saveHead } from '../ledger/head-store.ts';
import type { NoteSigner } from '../ledger/ledger.ts';
import { openLedger } from '../ledger/open.ts';
import { lockWriter, type WriterLock } from '../ledger/writer-lock.ts';
import { ActorLimits } from './actor-limits.ts';
import { BreakglassSessions } from './breakglass-sessions.ts';
import { Batch, type EngineState } from './context.ts';
import { DiskGuard } from './disk-guard.ts';
import { EnvelopeKeeper } from './envelope-keeper.ts';
import { type FormerLogs, NO_FORMER_LOGS } from './former-logs.ts';
import { readHalts } from './halts.ts';
import type { LedgerTrouble } from './health/facts.ts';
import { Holds } from './holds.ts';
import { LedgerKeys } from './ledger-keys.ts';
import { systemResumed, systemStarted } from './methods/system.ts';
import { OPEN, type PeerSettings, Peers } from './peers.ts';
import { type AppliedPolicy, Policies } from './policies.ts';
import { Projections } from './projections.ts';
import { assertStamp } from './stamp.ts';
import { readSuspended } from './suspensions.ts';
import { TimeKeeper } from './time.ts';
import { clockRecord, outsideSince, readTimeHistory } from './time-history.ts';

/** Everything an engine needs from outside. Opening a file, the time and randomness come only through here. */
export interface EngineOptions {
  paths: SitePaths;
  site: string;
  profile: Profile;
  clock: MachineClock;
  random: EngineState['random'];
  signer: NoteSigner;
  /** Where that key lies, so that it can be rotated; absent: it cannot. */
  keyFiles?: LedgerKeyFiles;
  /** Age at which it is due for rotation, in ms; absent or null: never. */
  keyMaxAgeMs?: number | null;
  sealer: Sealer;
  /** The logs that ended with a restore; absent: there are none. */
  former?: FormerLogs;
  /** How callers must be known; absent: they need not be. */
  peers?: PeerSettings;
  /** Between two heartbeats, in ms; absent: none. */
  heartbeatMs?: number;
  /** The disk under the state directory; absent: nobody looks at it. */
  disk?: { disk: Disk; settings: DiskConfig };
  /** Told of every bug and of the ledger's failures; must not throw. */
  report(message: string, error: unknown): void;
}

/** After a failed commit, how long writes are answered "unavailable" before the ledger is opened again. */
const REOPEN_AFTER_MS = 1_000;
/** What the `system` stream ends with when the run before was ended in order. */
const ENDINGS: readonly EntryType[] = ['system.initialized', 'system.stopped'];

/**
 * Holds the open ledger and what hangs on it, and knows one way back when anything about it failed: forget all that is in
 * memory, and read everything from disk again. The start of the program takes the same way.
 */
export class LedgerKeeper {
  readonly time: TimeKeeper;
  /** Outlives the ledger: it is what brings it back. */
  readonly disk: DiskGuard;
  readonly #options: EngineOptions;
  readonly #keys: LedgerKeys;
  readonly #lock: WriterLock;
  readonly #head: HeadStore;
  #state: EngineState | null = null;
  #trouble: LedgerTrouble | null = null;
  /** How many entries were read for what they say about the time; the stored floor knows of them. */
  #heard = 0;
  #resumed = false;
  /** The floor as it is stored. */
  #storedFloor = 0;
  #reopenAt = 0;

  /** Opens the site's ledger and records `system.started`. Throws `BoundaryError` `ledger.*`, `head.*`, `database.*`. */
  constructor(options: EngineOptions) {
    this.#options = options;
    this.disk = new DiskGuard(options.disk ?? null, () => options.clock.now());
    const { paths, signer, keyFiles: files = null, keyMaxAgeMs: maxAgeMs = null, report } = options;
    this.#keys = new LedgerKeys({ paths, signer, files, maxAgeMs, report });
    this.#lock = lockWriter(options.paths.ledger);
    try {
      this.#head = openHeadStore(options.paths.head);
      const head = this.#head.read(options.signer.name);
      this.#storedFloor = head?.floorMs ?? 0;
      this.#heard = head?.size ?? 0;
      this.time = new TimeKeeper(options.clock, this.#storedFloor);
      this.#start();
    } catch (error) {
      this.#lock.release();
      throw error;
    }
  }

  /** A disk that is full must not keep a site from starting while there is a reserve to give back. */
  #start(): void {
    for (;;) {
      try {
        const state = this.#open();
        this.#state = state;
        this.#recordStart(state);
        return;
      } catch (error) {
        this.#state?.ledger.close();
        this.#state = null;
        if (!isFull(error) || !this.disk.full()) throw error;
      }
    }
  }

  /** What is open; null while the ledger cannot be used. */
  get state(): EngineState | null {
    return this.#state;
  }

  /** Why the ledger cannot be used, and since when; null while it can. */
  get trouble(): LedgerTrouble | null {
    return this.#trouble;
  }

  /** What is open, trying to open it again if it is time to. */
  recovered(): EngineState | null {
    return this.#state ?? this.#reopen();
  }

  /** Whatever made a batch fall, memory and file may disagree now: close. */
  fail(state: EngineState, error: unknown): void {
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
      const batch = new Batch(state, this.time.read());
      state.ledger.begin();
      systemResumed(batch, this.#trouble);
      state.ledger.seal();
      state.ledger.commit();
      this.#saveHead(state.ledger);
    } catch (error) {
      this.fail(state, error);
      return null;
    }
    this.#trouble = null;
    this.#state = state;
    return state;
  }

  /** Reports a failure once, not at every attempt to get over it: a log on a full disk must not make it worse. */
  #inTrouble(message: string, error: unknown): void {
    const cause = causeOf(error);
    if (isFull(error)) this.disk.full();
    if (cause !== this.#trouble?.cause) this.#options.report(message, error);
    this.#trouble = { since: this.#trouble?.since ?? this.#options.clock.now(), cause };
    this.#reopenAt = this.#options.clock.monotonic() + REOPEN_AFTER_MS;
  }

  #open(): EngineState {
    const { paths, site, profile, sealer, random } = this.#options;
    this.#keys.settle();
    const { signer } = this.#keys;
    const ledger = openLedger({ path: paths.ledger, headPath: paths.head, origin: signer.name, signer });
    assertStamp(ledger, { site, profile });
    const projections = new Projections(ledger.database);
    const suspended = readSuspended(projections);
    const policies = new Policies(paths.policy, suspended);
    const state = {
      site,
      profile,
      ledger,
      projections,
      policies,
      time: this.time,
      suspended,
      witnesses: new TlogPolicyFile(join(paths.trust, 'tlog-policy')),
      holds: new Holds(ledger.stream('policy')),
      peers: new Peers(policies, site, this.#options.peers ?? OPEN),
      halts: readHalts(ledger, projections),
      disk: this.disk,
      keys: this.#keys,
      former: this.#options.former ?? NO_FORMER_LOGS,
      breakglass: new BreakglassSessions(policies, this.time),
      limits: new ActorLimits(),
      sealer,
      envelopes: new EnvelopeKeeper(ledger, projections, sealer),
      random,
    };
    try {
      this.#keys.restore(ledger);
    } catch (error) {
      ledger.close();
      throw error;
    }
    this.#hear(state);
    const { applied, steps } = recordedPolicy(state);
    policies.anchoring.restore(ledger, projections);
    policies.activate(applied, steps);
    policies.age.advance(this.time.read(), this.time.floor());
    policies.anchoring.advance(this.time.read(), this.time.floor(), projections);
    state.breakglass.restore(ledger, projections);
    state.limits.restore(ledger, projections);
    return state;
  }

  /** What the entries say about the time: of this boot at the start of a run, and the words from outside that were not heard yet. */
  #hear(state: Pick<EngineState, 'ledger' | 'projections'>): void {
    const { ledger } = state;
    if (!this.#resumed) {
      this.#resumed = true;
      const { known, recorded, stretches } = readTimeHistory(state, this.time.boot);
      for (const { from, offset } of stretches) this.time.timeline.follow(from, offset);
      this.time.resume(known, recorded);
    }
    this.time.watch(() => ledger.size);
    for (const outside of outsideSince(state, this.#heard)) this.time.learn(outside);
    this.#heard = ledger.size;
  }

  /** What a batch says about keys and the time counts from now on: it is durable. */
  committed({ state, learned, toldTime }: Batch): void {
    this.#keys.committed(state.ledger);
    for (const outside of learned) this.time.learn(outside);
    if (toldTime) this.time.recorded();
    this.#heard = state.ledger.size;
  }

  #recordStart(state: EngineState): void {
    const { last } = state.ledger.streamHead('system');
    const bytes = last === null ? null : state.ledger.entry(last);
    const orderly = bytes !== null && ENDINGS.includes(decodeEntry(bytes).type);
    const time = this.time.read();
    state.ledger.begin();
    const batch = new Batch(state, time);
    systemStarted(batch, { version: VERSION, orderly, clock: clockRecord(this.time.latest()) });
    state.ledger.seal();
    state.ledger.commit();
    this.syncHead();
  }

  /** Carries the newest checkpoint and the time floor into the second database, by compare-and-swap. */
  syncHead(): void {
    const state = this.#state;
    if (state === null) return;
    try {
      this.#saveHead(state.ledger);
    } catch (error) {
      // Another process wrote under this origin, or the second disk failed: either way nobody may build on this ledger.
      this.fail(state, error);
    }
  }

  /** The floor first: what the stored checkpoint covers is not read for the time again. */
  #saveHead(ledger: EngineState['ledger']): void {
    const floor = Math.floor(this.time.floor());
    // Only a signed statement takes the floor back.
    if (floor >= this.#storedFloor) this.#head.raiseFloor(ledger.origin, floor);
    else if (!this.#head.setFloor(ledger.origin, this.#storedFloor, floor)) {
      throw new BoundaryError(
        'head.forked',
        `The time floor of ${ledger.origin} is not where this process left it: another one wrote. Stop the daemon and run ledger verify.`,
      );
    }
    this.#storedFloor = floor;
    saveHead(this.#head, ledger);
  }

  /** For idle moments: moves what the log holds into the main file, so that commits under load need not. */
  settle(): void {
    this.#state?.ledger.settle();
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
  const applied = entries.findLast(({ type }) => type === 'policy.applied');
  // Signed anew is not news: the policy goes on ageing from where it was.
  const at = entries.findLastIndex(
    ({ type, data }) => type === 'policy.applied' && data.renews === undefined,
  );
  const steps = new Map<string, FreshnessStep>();
  for (const { type, data } of entries.slice(at + 1)) {
    if (type === 'policy.degraded') steps.set(String(data.environment), data.step as FreshnessStep);
  }
  return { applied: applied === undefined ? null : (applied.data as unknown as AppliedPolicy), steps };
}

function isFull(error: unknown): boolean {
  return isStorageError(error) && causeOf(error) === 'SQLITE_FULL';
}

function causeOf(error: unknown): string {
  if (isStorageError(error) || error instanceof BoundaryError)
    return String((error as { code?: unknown }).code);
  return error instanceof Error ? error.name : 'unknown cause';
}
