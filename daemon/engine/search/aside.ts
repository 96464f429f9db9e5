import type { Worker } from 'node:worker_threads';
import type { SearchQuery } from '../../core/search.ts';
import type { Logger } from '../../host/log.ts';
import { startThread } from '../../host/thread.ts';
import { Pace } from './pace.ts';
import type { SearchPage, SearchResult } from './searcher.ts';
import type { FromSearch, SearchCall, SearchJob, SearchProgress, ToSearch } from './worker.ts';

/** Search over a site's ledger, on a thread of its own: neither decisions nor sockets wait for it. */
export interface LedgerSearch {
  /** Throws `SearchUnavailable` while the thread is gone or has too much to do. */
  search(query: SearchQuery, page: SearchPage): Promise<SearchResult>;
  /** Says that the ledger has so many entries now. */
  recorded(size: number): void;
  /** Null until it is first heard of. */
  progress(): (SearchProgress & { since: string | null }) | null;
  stop(): Promise<void>;
}

interface Waiting {
  call: SearchCall;
  resolve(result: SearchResult): void;
  reject(error: Error): void;
}

const STOPPING = 'The daemon is stopping.';
/** Queries that may wait for their turn. */
const WAITING_MAX = 32;
const RETRY_MS = 5_000;
const HEAP_MB = 128;
/** Entries behind the ledger for which a thread is started. */
const MANY = 500;
/** In milliseconds. */
const TIMES = {
  /** How often it is looked whether the thread is needed. */
  look: 1_000,
  /** When it first is: an index that does not fit shall be known before anybody searches. */
  first: 3_000,
  /** How long fewer entries than many wait for it. */
  few: 5 * 60_000,
  /** A thread that nobody asked anything, and that had little to file for so long, ends. */
  quiet: 60_000,
};

/**
 * Search that takes a thread while somebody searches or there is much to file, and no memory at rest. A thread that fails is
 * started again. The index is made anew whenever it does not fit.
 */
export function startSearch(job: SearchJob, log: Logger, times = TIMES): LedgerSearch {
  return new SearchLink(job, log, times);
}

class SearchLink implements LedgerSearch {
  readonly #job: SearchJob;
  readonly #log: Logger;
  readonly #times: typeof TIMES;
  readonly #waiting = new Map<number, Waiting>();
  readonly #pace = new Pace();
  readonly #timer: NodeJS.Timeout;
  #worker: Worker | null = null;
  /** It was told to end, and has not yet. */
  #ending = false;
  #lastId = 0;
  /** Entries of the ledger, as far as was heard. */
  #size = 0;
  #progress: SearchProgress | null = null;
  /** Since when it stands still. */
  #since: string | null = null;
  /** When the thread last had something to do, and how far the index was then. */
  #used = { at: 0, indexed: 0 };
  /** Before then no thread is started unasked. */
  #notBefore: number;
  #failed = false;
  #stopped = false;

  constructor(job: SearchJob, log: Logger, times: typeof TIMES) {
    this.#job = job;
    this.#log = log;
    this.#times = times;
    this.#notBefore = performance.now() + times.first;
    this.#timer = setInterval(() => this.#look(), times.look).unref();
  }

  search(query: SearchQuery, page: SearchPage): Promise<SearchResult> {
    if (this.#stopped) return Promise.reject(unavailable(STOPPING));
    if (this.#failed) return Promise.reject(unavailable('The search is being started again.'));
    if (this.#waiting.size >= WAITING_MAX)
      return Promise.reject(unavailable(`${WAITING_MAX} searches are waiting already.`));
    return new Promise((resolve, reject) => {
      this.#lastId += 1;
      const call: SearchCall = { id: this.#lastId, query, page };
      this.#waiting.set(call.id, { call, resolve, reject });
      // One that is ending makes room for another, which is given what waits.
      if (this.#worker === null) this.#start();
      else if (!this.#ending) this.#send(call);
    });
  }

  recorded(size: number): void {
    this.#size = size;
  }

  progress(): (SearchProgress & { since: string | null }) | null {
    if (this.#progress === null) return null;
    const { indexed, trouble } = this.#progress;
    const size = Math.max(this.#progress.size, this.#size);
    const waits = this.#worker === null && !this.#pace.mayFollow(size - indexed);
    return { indexed, size, trouble, paused: this.#progress.paused || waits, since: this.#since };
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#timer);
    this.#abandon(STOPPING);
    // At whatever point it is cut off, the next start goes on from what the index has.
    await this.#worker?.terminate();
  }

  /** Starts the thread where it is needed unasked, ends it where it is not needed any more. */
  #look(): void {
    const now = performance.now();
    if (this.#size > 0) this.#pace.look(this.#size, now);
    if (this.#worker === null) {
      if (now >= this.#notBefore && this.#isNeeded(now)) this.#start();
    } else if (!this.#ending && this.#isQuiet(now)) {
      this.#ending = true;
      this.#send('end');
    }
  }

  #isNeeded(now: number): boolean {
    const known = this.progress();
    if (this.#failed || (known !== null && known.trouble !== null)) return true;
    if (known === null) return this.#pace.mayFollow(0) || now - this.#notBefore > this.#times.few;
    const behind = known.size - known.indexed;
    if (behind < MANY) return behind > 0 && now - this.#used.at > this.#times.few;
    return this.#pace.mayFollow(behind);
  }

  #isQuiet(now: number): boolean {
    const known = this.progress();
    if (known === null || known.trouble !== null || this.#waiting.size > 0) return false;
    if (known.indexed - this.#used.indexed >= MANY) this.#used = { at: now, indexed: known.indexed };
    return known.size - known.indexed < MANY && now - this.#used.at > this.#times.quiet;
  }

  /** Gives the thread all that waits for one. */
  #start(): void {
    const worker = startThread(new URL('./worker.ts', import.meta.url), {
      workerData: this.#job,
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MB, maxYoungGenerationSizeMb: 4 },
    });
    this.#worker = worker;
    this.#failed = false;
    this.#used = { at: performance.now(), indexed: this.#progress?.indexed ?? 0 };
    for (const { call } of this.#waiting.values()) this.#send(call);
    worker.on('message', (message: FromSearch) => this.#hear(message));
    worker.once('error', (error) => {
      this.#log.error({ err: error }, 'the search thread failed; it is started again');
      this.#note({ indexed: 0, size: 0, paused: false, ...this.#progress, trouble: error.message });
    });
    worker.once('exit', () => this.#ended());
  }

  #ended(): void {
    this.#worker = null;
    if (this.#stopped) return;
    const asked = this.#ending;
    this.#ending = false;
    if (asked) {
      if (this.#waiting.size > 0) this.#start();
      return;
    }
    this.#failed = true;
    this.#notBefore = performance.now() + RETRY_MS;
    this.#abandon('The search ended before it was done.');
  }

  #send(message: ToSearch): void {
    this.#used.at = performance.now();
    this.#worker?.postMessage(message);
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
