import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import type { SearchQuery } from '../../core/search.ts';
import { DiskReserve } from '../../host/disk-reserve.ts';
import { stepBack } from '../../host/thread-rank.ts';
import { isCorruption } from '../../ledger/database.ts';
import { followLedger } from '../../ledger/follow.ts';
import { deleteSearchIndex } from '../../ledger/search-index.ts';
import { Pace } from './pace.ts';
import { Searcher, type SearchPage, type SearchResult } from './searcher.ts';

/*
 * Thread of `startSearch`: follows the ledger by a connection of its own that only reads, files what is new, and answers
 * queries between two steps. The writer knows nothing of it. While decisions need the CPUs it waits.
 */

/** What the thread is started with. */
export interface SearchJob {
  ledger: string;
  origin: string;
  /** File of the index. */
  index: string;
  /** Below so many free bytes nothing is filed: what is left of the disk is for what must be recorded. */
  low_bytes: number;
}

export interface SearchCall {
  id: number;
  query: SearchQuery;
  page: SearchPage;
}

/** Main → thread: a search, or the word that it is not needed for now. */
export type ToSearch = SearchCall | 'end';

/** How far the index has come, and why it stands still; null while it does not. */
export interface SearchProgress {
  indexed: number;
  size: number;
  trouble: string | null;
  /** It leaves the CPUs to decisions, and goes on when they need them less. */
  paused: boolean;
}

export type FromSearch =
  | { id: number; result: SearchResult }
  | { id: number; failed: string }
  | { progress: SearchProgress };

const ROUND_MS = 500;
/** After trouble with the disk. */
const PAUSE_MS = 10_000;

class SearchThread {
  readonly #port: MessagePort;
  readonly #job: SearchJob;
  readonly #source: ReturnType<typeof followLedger>;
  readonly #disk: DiskReserve;
  readonly #pace = new Pace();
  #searcher: Searcher;
  #said = '';
  #timer: NodeJS.Timeout | null = null;

  constructor(port: MessagePort, job: SearchJob) {
    this.#port = port;
    this.#job = job;
    this.#disk = new DiskReserve(job.index);
    this.#source = followLedger(job.ledger, job.origin);
    this.#searcher = new Searcher(this.#source, job.index);
    port.on('message', (message: ToSearch) => (message === 'end' ? this.#end() : this.#answer(message)));
    this.#round();
  }

  #answer({ id, query, page }: SearchCall): void {
    try {
      this.#tell({ id, result: this.#searcher.search(query, page) });
    } catch (error) {
      this.#tell({ id, failed: wordsOf(error) });
      this.#reopen(error);
    }
  }

  /** One step, then the queries that came meanwhile have their turn. */
  #round(): void {
    const size = this.#source.size();
    this.#pace.look(size, performance.now());
    const { wait, trouble, paused } = this.#file(size);
    const { indexed } = this.#searcher;
    this.#report({ indexed, size: this.#source.size(), trouble, paused });
    this.#timer = setTimeout(() => this.#round(), wait);
  }

  /** Files the next entries, if it may; says in how many ms to look again. */
  #file(size: number): { wait: number; trouble: string | null; paused: boolean } {
    const still = { wait: ROUND_MS, trouble: null, paused: false };
    const free = this.#disk.free();
    if (free !== null && free < this.#job.low_bytes)
      return { ...still, wait: PAUSE_MS, trouble: `the disk is low (${free} bytes are free)` };
    try {
      if (!this.#pace.mayFollow(size - this.#searcher.indexed)) return { ...still, paused: true };
      return { ...still, wait: this.#step(size) };
    } catch (error) {
      this.#reopen(error);
      return { ...still, wait: PAUSE_MS, trouble: wordsOf(error) };
    }
  }

  #step(size: number): number {
    const { indexed } = this.#searcher;
    const before = process.threadCpuUsage();
    const more = this.#searcher.step();
    const { user, system } = process.threadCpuUsage(before);
    const wait = this.#pace.filed(this.#searcher.indexed - indexed, user + system, size - indexed);
    return more ? wait : ROUND_MS;
  }

  /** Nothing keeps the thread then. */
  #end(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#searcher.close();
    this.#source.close();
    this.#port.close();
  }

  /** An index that cannot be read is no reason to fail for ever: it begins anew. */
  #reopen(error: unknown): void {
    this.#searcher.close();
    if (isCorruption(error)) deleteSearchIndex(this.#job.index);
    this.#searcher = new Searcher(this.#source, this.#job.index);
  }

  #report(progress: SearchProgress): void {
    const text = JSON.stringify(progress);
    if (text === this.#said) return;
    this.#said = text;
    this.#tell({ progress });
  }

  #tell(message: FromSearch): void {
    this.#port.postMessage(message);
  }
}

function wordsOf(error: unknown): string {
  const code = (error as { code?: unknown }).code;
  return typeof code === 'string' ? code : error instanceof Error ? error.message : String(error);
}

if (parentPort === null) throw new Error('engine/search/worker runs as a worker thread');
stepBack();
new SearchThread(parentPort, workerData as SearchJob);
