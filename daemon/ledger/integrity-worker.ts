import { setTimeout as sleep } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { currentLog, keysOfLogs } from '../formats/log-keys.ts';
import { TILE_WIDTH } from '../formats/tile.ts';
import { readLineage } from '../host/log-lineage.ts';
import type { Finding } from './finding.ts';
import { type ChunkReport, IntegrityChecker } from './integrity.ts';
import { type IntegrityProgress, readProgress, writeProgress } from './integrity-progress.ts';

/** What the thread of the background check is started with. */
export interface IntegrityJob {
  ledger: string;
  archive: string;
  /** The site's trust directory. */
  trust: string;
  /** File that keeps the progress. */
  progress: string;
  entriesPerSecond: number;
}

/** Main → thread. */
export type ToIntegrity = 'pass' | 'stop';
/** Thread → main: where it is; what it found, after a second look. */
export type FromIntegrity =
  | { progress: IntegrityProgress }
  | { findings: Finding[] }
  /** Why it cannot look at the moment; null when it can again. */
  | { trouble: string | null };

const SAVE_MS = 30_000;
/** Between two looks for new entries. */
const IDLE_MS = 20_000;
/** Findings of one look that are handed on. */
const SENT = 20;
/** After something failed. */
const RETRY_MS = 60_000;
/** Before the second look. */
const DOUBT_MS = 5_000;

const job = workerData as IntegrityJob;
let wake = new AbortController();
let stopping = false;
let renew = false;

parentPort?.on('message', (message: ToIntegrity) => {
  if (message === 'stop') stopping = true;
  else renew = true;
  wake.abort();
});

/** A pass over everything, then whatever is new, until the next pass is asked for. */
class Passes {
  readonly #checker = new IntegrityChecker(job.ledger, job.archive, () => {
    const logs = readLineage(job.trust);
    return { origin: currentLog(logs).origin, vkeys: keysOfLogs(logs) };
  });
  readonly #origin = currentLog(readLineage(job.trust)).origin;
  #progress = readProgress(job.progress, this.#origin) ?? begin(this.#origin);
  #savedAt = 0;

  /** Ends when it is told to. What fails on the way (a full disk, a lock) is said and tried again. */
  async run(): Promise<void> {
    let troubled = false;
    this.#tell(false);
    while (!stopping) {
      try {
        await this.#step();
        if (troubled) post({ trouble: null });
        troubled = false;
      } catch (error) {
        post({ trouble: error instanceof Error ? error.message : String(error) });
        troubled = true;
        await pause(RETRY_MS);
        this.#checker.reopen();
      }
    }
    this.#tell(true);
    this.#checker.close();
  }

  /** One piece and the rest that the rate asks for; a longer one where nothing is new. */
  async #step(): Promise<void> {
    if (renew) await this.#renew();
    const started = performance.now();
    const looked = await lookAt(this.#checker, this.#progress.next);
    if (looked === null) {
      if (!this.#progress.done) {
        this.#progress = finished(this.#progress);
        this.#tell(true);
      }
      return pause(IDLE_MS);
    }
    const { next, size, findings } = looked;
    const checked = next - firstOfTile(this.#progress.next);
    this.#progress = { ...this.#progress, next, size, found: this.#progress.found + findings.length };
    this.#tell(false);
    return pause((1_000 * checked) / job.entriesPerSecond - (performance.now() - started));
  }

  async #renew(): Promise<void> {
    renew = false;
    this.#progress = { ...begin(this.#origin), last: this.#progress.last };
    await report(this.#checker, () => this.#checker.frame());
  }

  #tell(durable: boolean): void {
    post({ progress: this.#progress });
    if (!durable && performance.now() - this.#savedAt < SAVE_MS) return;
    writeProgress(job.progress, this.#progress);
    this.#savedAt = performance.now();
  }
}

function post(message: FromIntegrity): void {
  parentPort?.postMessage(message);
}

function begin(origin: string): IntegrityProgress {
  return {
    v: 1,
    origin,
    started_at: new Date().toISOString(),
    next: 0,
    size: 0,
    found: 0,
    done: false,
    last: null,
  };
}

/** A pass is over when it has reached the end; what comes later is looked at as it comes. */
function finished(progress: IntegrityProgress): IntegrityProgress {
  const { started_at, next, found } = progress;
  return {
    ...progress,
    done: true,
    last: { started_at, finished_at: new Date().toISOString(), entries: next, found },
  };
}

function firstOfTile(index: number): number {
  return index - (index % TILE_WIDTH);
}

/** The piece at `next`, from the start of its tile; null when nothing is new. */
async function lookAt(checker: IntegrityChecker, next: number): Promise<ChunkReport | null> {
  const from = firstOfTile(next);
  let looked = null as ChunkReport | null;
  await report(checker, () => {
    looked = checker.chunk(from);
    return looked?.findings ?? [];
  });
  return looked === null || looked.next <= next ? null : looked;
}

/**
 * Hands findings on, only if a second look some seconds later, with everything read anew, has them too: a key that was
 * changed a moment ago must not halt a site.
 */
async function report(checker: IntegrityChecker, look: () => Finding[]): Promise<void> {
  if (look().length === 0) return;
  await pause(DOUBT_MS);
  checker.reopen();
  const findings = look();
  if (findings.length > 0) post({ findings: findings.slice(0, SENT) });
}

async function pause(ms: number): Promise<void> {
  if (ms <= 0 || stopping || renew) return;
  wake = new AbortController();
  await sleep(ms, undefined, { signal: wake.signal }).catch(() => {});
}

// No `await` at the top: in an executable threads are functions of one script. A rejection ends the thread all the same.
void new Passes().run().then(() => parentPort?.close());
