import type { Worker } from 'node:worker_threads';
import type { Degraded } from '../engine/health/facts.ts';
import type { EngineEvent, EngineHandle } from '../engine/protocol.ts';
import type { JsonObject } from '../formats/json.ts';
import type { CopyConfig } from '../host/config/copy.ts';
import type { SiteConfig } from '../host/config.ts';
import type { Logger } from '../host/log.ts';
import { runBySchedule } from '../host/schedule.ts';
import type { SitePaths } from '../host/site.ts';
import { startThread } from '../host/thread.ts';
import type { FromCopier, ToCopier } from '../ledger/copy-worker.ts';
import type { CopyJob, CopyReport, CopyState } from '../ledger/second-copy.ts';

/** What the daemon does about the second copy of its ledger. */
export interface DaemonCopy {
  /** Null at a site that keeps none. */
  status(): JsonObject | null;
  degraded(): Degraded[];
  /** Starts the thread and the schedule; returns what ends them, after the engine has ended. */
  start(): Promise<() => Promise<void>>;
}

/** Following commits by so much is the normal case. */
const NOTICE_MS = 500;
const LATE_MS = 60_000;
/** How long an orderly stop waits for the last entries to be copied. */
const GRACE_MS = 10_000;

/** The second copy, kept by a thread of its own; nothing at a site without one. */
export function openCopy(
  { copy }: SiteConfig,
  paths: SitePaths,
  engine: Pick<EngineHandle, 'onEvents'>,
  log: Logger,
): DaemonCopy {
  if (copy === null) {
    return { status: () => null, degraded: () => [], start: async () => async () => {} };
  }
  const job = { ledgerPath: paths.ledger, trustPath: paths.trust, directory: copy.path };
  return new Copier(copy, job, engine, log);
}

type Verified =
  | { at: string; code: number; entries: number; findings: string[] }
  | { at: string; error: string };

class Copier implements DaemonCopy {
  readonly #config: CopyConfig;
  readonly #job: CopyJob;
  readonly #engine: Pick<EngineHandle, 'onEvents'>;
  readonly #log: Logger;
  #worker: Worker | null = null;
  #report: CopyReport | null = null;
  /** Entries of the ledger, as far as events tell. */
  #ledger = 0;
  /** Since when the copy lacks something; null while it does not. */
  #behindSince: number | null = null;
  #troubleSince: number | null = null;
  #verified: Verified | null = null;
  #notice: NodeJS.Timeout | null = null;

  constructor(config: CopyConfig, job: CopyJob, engine: Pick<EngineHandle, 'onEvents'>, log: Logger) {
    this.#config = config;
    this.#job = job;
    this.#engine = engine;
    this.#log = log;
  }

  async start(): Promise<() => Promise<void>> {
    this.#begin();
    const unfollow = this.#engine.onEvents((events) => this.#grew(events));
    const { verify } = this.#config;
    const endSchedule =
      verify === null
        ? async () => {}
        : await runBySchedule(verify, '/copy/verify', async () => this.#tell('verify'), this.#log);
    return async () => {
      unfollow();
      await endSchedule();
      await this.#end();
    };
  }

  #begin(): void {
    const worker = startThread(new URL('../ledger/copy-worker.ts', import.meta.url), {
      workerData: this.#job,
      stdin: false,
    });
    worker.on('message', (message: FromCopier) => this.#hear(message));
    worker.once('error', (error) => this.#gone(error.message));
    worker.once('exit', (code) => {
      if (code !== 0) this.#gone(`its thread ended with code ${code}`);
      this.#worker = null;
    });
    this.#worker = worker;
  }

  #tell(message: ToCopier): void {
    this.#worker?.postMessage(message);
  }

  /** Runs for every batch: no more than a comparison and, twice a second, a message. */
  #grew(events: readonly EngineEvent[]): void {
    const newest = events.at(-1);
    if (newest === undefined) return;
    this.#ledger = newest.index + 1;
    this.#behindSince ??= Date.now();
    this.#notice ??= setTimeout(() => {
      this.#notice = null;
      this.#tell('grew');
    }, NOTICE_MS);
  }

  #hear(message: FromCopier): void {
    const at = new Date().toISOString();
    if ('report' in message) this.#follow(message.report);
    else if ('unverified' in message) this.#verified = { at, error: message.unverified };
    else {
      const { code, entries, findings } = message.verified;
      const words = findings.map(({ where, detail }) => `${where}: ${detail}`);
      this.#verified = { at, code, entries, findings: words };
      if (code === 0) this.#log.info({ entries }, 'the second copy is intact');
      else this.#log.error({ code, findings: words }, 'the second copy does not verify');
    }
  }

  #follow(report: CopyReport): void {
    const before = this.#report?.state;
    this.#report = { ...report, size: report.size ?? this.#report?.size ?? null };
    this.#ledger = Math.max(this.#ledger, report.ledger ?? 0);
    const size = report.size ?? -1;
    if (size >= this.#ledger) this.#behindSince = null;
    else this.#behindSince ??= Date.now();
    const isTrouble = TROUBLE[report.state] !== undefined;
    this.#troubleSince = isTrouble ? (this.#troubleSince ?? Date.now()) : null;
    if (report.state === before) return;
    const { state, cause } = report;
    if (isTrouble) this.#log.error({ state, cause }, 'nothing is written to the second copy');
    else if (before !== undefined && TROUBLE[before] !== undefined)
      this.#log.info({ state, size: report.size }, 'the second copy is written to again');
  }

  /** A defect of ours, never silence: what is degraded says so until the daemon is started again. */
  #gone(cause: string): void {
    this.#log.error({ cause }, 'the second copy is not kept any more');
    this.#follow({ state: 'failed', size: null, ledger: null, cause });
  }

  async #end(): Promise<void> {
    if (this.#notice !== null) clearTimeout(this.#notice);
    const worker = this.#worker;
    if (worker === null) return;
    const ended = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
    this.#tell('stop');
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, GRACE_MS);
    await Promise.race([ended, late]);
    clearTimeout(timer);
    await worker.terminate();
  }

  status(): JsonObject {
    const { state = 'behind', size = null, cause = null } = this.#report ?? {};
    const lag = size === null ? null : Math.max(0, this.#ledger - size);
    return {
      path: this.#config.path,
      state: state === 'current' && lag !== null && lag > 0 ? 'behind' : state,
      entries: size,
      behind_entries: lag,
      behind_since: this.#behindSince === null ? null : new Date(this.#behindSince).toISOString(),
      behind_seconds: this.#behindSince === null ? 0 : Math.round((Date.now() - this.#behindSince) / 1000),
      cause,
      verified: this.#verified,
    };
  }

  degraded(): Degraded[] {
    const found: Degraded[] = [];
    const { state, cause } = this.#report ?? { state: 'behind' as CopyState, cause: null };
    const trouble = TROUBLE[state];
    const component = 'copy';
    if (trouble !== undefined) {
      const since = isoOrNull(this.#troubleSince);
      found.push({
        component,
        cause: `${trouble.what} (${cause})`,
        since,
        effect: EFFECT,
        instruction: trouble.do,
      });
    } else if (this.#behindSince !== null && Date.now() - this.#behindSince > LATE_MS) {
      const since = isoOrNull(this.#behindSince);
      const words = `the second copy lacks ${this.#ledger - (this.#report?.size ?? 0)} entries`;
      found.push({ component, cause: words, since, effect: EFFECT, instruction: SLOW });
    }
    const verified = this.#verified;
    if (verified !== null && ('error' in verified || verified.code !== 0)) {
      const words = 'error' in verified ? verified.error : verified.findings[0];
      found.push({
        component,
        cause: `the second copy does not verify: ${words}`,
        since: verified.at,
        effect: 'What was copied cannot be relied on.',
        instruction: DAMAGED,
      });
    }
    return found;
  }
}

function isoOrNull(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString();
}

const EFFECT = 'Decisions go on. Should the first disk be lost now, so are the entries that the copy lacks.';
const SLOW = 'If it does not catch up by itself, its disk is too slow or nearly full: look at it.';
const DAMAGED =
  'Run ledger verify on the site, and ledger verify --tiles on the copy. If only the copy is damaged, keep it as evidence and begin another: holdfast copy new DIR';

/** What people are told of each state in which nothing can be written. */
const TROUBLE: Readonly<Partial<Record<CopyState, { what: string; do: string }>>> = {
  away: {
    what: 'the second copy is not there',
    do: 'Put its disk back and mount it; the copy catches up by itself. If that disk is gone, begin a copy on another: holdfast copy new DIR, and name DIR as copy.path in holdfast.json.',
  },
  full: {
    what: "the second copy's disk is full",
    do: 'Make room on it, or begin a copy on a larger one: holdfast copy new DIR. It catches up by itself.',
  },
  read_only: {
    what: 'the second copy cannot be written to',
    do: 'Mount its disk for writing, and give the directory to the account of the daemon. It catches up by itself.',
  },
  refused: {
    what: 'the second copy is not a copy of this ledger',
    do: 'Do not delete it: it may know what the ledger has lost. Run ledger verify on the site, and ledger verify --tiles on the copy. If the wrong disk is mounted, mount the right one; after a restore, begin another copy: holdfast copy new DIR',
  },
  failed: {
    what: 'the second copy failed',
    do: 'Read the log of the daemon, run ledger verify, and start the daemon again.',
  },
};
