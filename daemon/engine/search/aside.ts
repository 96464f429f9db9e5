import type { Worker } from 'node:worker_threads';
import type { SearchQuery } from '../../core/search.ts';
import type { Logger } from '../../host/log.ts';
import { startThread } from '../../host/thread.ts';
import type { SearchPage, SearchResult } from './searcher.ts';
import type { FromSearch, SearchCall, SearchJob, SearchProgress } from './worker.ts';

/** Search over a site's ledger, on a thread of its own: neither decisions nor sockets wait for it. */
export interface LedgerSearch {
  /** Throws `SearchUnavailable` while the thread is gone or has too much to do. */
  search(query: SearchQuery, page: SearchPage): Promise<SearchResult>;
  /** Null until it is first heard of. */
  progress(): (SearchProgress & { since: string | null }) | null;
  stop(): Promise<void>;
}

interface Waiting {
  resolve(result: SearchResult): void;
  reject(error: Error): void;
}

/** Queries that may wait for their turn. */
const WAITING_MAX = 32;
const RETRY_MS = 5_000;
const HEAP_MB = 128;

/** Starts the thread; one that ends is started again. The index is made anew whenever it does not fit. */
export function startSearch(job: SearchJob, log: Logger): LedgerSearch {
  return new SearchLink(job, log);
}

class SearchLink implements LedgerSearch {
  readonly #job: SearchJob;
  readonly #log: Logger;
  readonly #waiting = new Map<number, Waiting>();
  #worker: Worker | null = null;
  #timer: NodeJS.Timeout | null = null;
  #lastId = 0;
  #progress: SearchProgress | null = null;
  /** Since when it stands still. */
  #since: string | null = null;
  #stopped = false;

  constructor(job: SearchJob, log: Logger) {
    this.#job = job;
    this.#log = log;
    this.#start();
  }

  search(query: SearchQuery, page: SearchPage): Promise<SearchResult> {
    const worker = this.#worker;
    if (worker === null) return Promise.reject(unavailable('The search is being started again.'));
    if (this.#waiting.size >= WAITING_MAX)
      return Promise.reject(unavailable(`${WAITING_MAX} searches are waiting already.`));
    return new Promise((resolve, reject) => {
      this.#lastId += 1;
      this.#waiting.set(this.#lastId, { resolve, reject });
      worker.postMessage({ id: this.#lastId, query, page } satisfies SearchCall);
    });
  }

  progress(): (SearchProgress & { since: string | null }) | null {
    return this.#progress === null ? null : { ...this.#progress, since: this.#since };
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#abandon('The daemon is stopping.');
    // At whatever point it is cut off, the next start goes on from what the index has.
    await this.#worker?.terminate();
  }

  #start(): void {
    const worker = startThread(new URL('./worker.ts', import.meta.url), {
      workerData: this.#job,
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MB, maxYoungGenerationSizeMb: 4 },
    });
    this.#worker = worker;
    worker.on('message', (message: FromSearch) => this.#hear(message));
    worker.once('error', (error) => {
      this.#log.error({ err: error }, 'the search thread failed; it is started again');
      this.#note({ indexed: 0, size: 0, ...this.#progress, trouble: error.message });
    });
    worker.once('exit', () => {
      this.#worker = null;
      this.#abandon('The search ended before it was done.');
      if (!this.#stopped) this.#timer = setTimeout(() => this.#start(), RETRY_MS).unref();
    });
  }

  #hear(message: FromSearch): void {
    if ('progress' in message) {
      this.#note(message.progress);
      return;
    }
    const waiting = this.#waiting.get(message.id);
    this.#waiting.delete(message.id);
    if ('result' in message) waiting?.resolve(message.result);
    else waiting?.reject(unavailable(`The index could not be read (${message.failed}); it is made anew.`));
  }

  #note(progress: SearchProgress): void {
    const { trouble } = progress;
    if (trouble !== null && this.#since === null) {
      this.#since = new Date().toISOString();
      this.#log.warn({ trouble }, 'the search index stands still');
    } else if (trouble === null) this.#since = null;
    this.#progress = progress;
  }

  #abandon(words: string): void {
    for (const { reject } of this.#waiting.values()) reject(unavailable(words));
    this.#waiting.clear();
  }
}

/** Nothing was searched; it may work again in some seconds. */
export class SearchUnavailable extends Error {
  override readonly name = 'SearchUnavailable';
}

function unavailable(words: string): SearchUnavailable {
  return new SearchUnavailable(`${words} Nothing was searched; ask again in some seconds.`);
}
