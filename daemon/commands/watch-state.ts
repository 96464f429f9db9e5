import { setTimeout as sleep } from 'node:timers/promises';
import type { ApiClient, DecisionReply, SearchHit } from '../api/client.ts';
import { parseSearch } from '../core/search-request.ts';
import { connect, type Site } from './access.ts';
import { followSearch, isPassing } from './entry-follower.ts';
import { type Answer, text } from './render/status-answer.ts';
import { type Summary, summarize } from './render/status-summary.ts';
import type { WatchView } from './render/watch.ts';
import { askStatus, titleOf } from './status.ts';

/** What a watcher is told, as it happens. */
export interface Watcher {
  status: (summary: Summary, daemon: Answer, gateway: Answer) => void;
  pending: (decisions: readonly DecisionReply[]) => void;
  entry: (hit: SearchHit) => void;
  /** Something that is shown may have changed. */
  changed: () => void;
}

const STATUS_MS = 2_000;
const RETRY_MS = 1_000;
const PENDING_MAX = 50;
const ENTRIES_KEPT = 200;
/** Entries that stand there when it begins. */
const ENTRIES_FIRST = 30;
/** Comes every minute and says nothing new. */
const DULL: readonly string[] = ['system.heartbeat'];

/** Asks and listens until `over` aborts, and keeps what it heard. Whatever goes away is waited for. */
export class WatchState {
  readonly #site: Site;
  readonly #watcher: Watcher;
  readonly #client: ApiClient;
  readonly #over: AbortController;
  readonly #signal: AbortSignal;
  #summary: Summary | null = null;
  #pending: readonly DecisionReply[] = [];
  #more = false;
  #entries: SearchHit[] = [];
  #clock: { site: number; heard: number } | null = null;

  constructor(site: Site, watcher: Watcher, over: AbortController) {
    this.#site = site;
    this.#watcher = watcher;
    this.#over = over;
    this.#signal = over.signal;
    this.#client = connect(site, 'operator');
  }

  /** Resolves when it is over; throws what does not pass by itself, and is over then, too. */
  async run(): Promise<void> {
    try {
      await Promise.all([this.#poll(), this.#follow()]);
    } finally {
      this.#over.abort();
      this.#client.close();
    }
  }

  view(): WatchView {
    const clock = this.#clock;
    return {
      title: titleOf(this.#site),
      summary: this.#summary,
      pending: this.#pending,
      more: this.#more,
      entries: this.#entries,
      now: clock === null ? null : clock.site + performance.now() - clock.heard,
    };
  }

  async #poll(): Promise<void> {
    while (!this.#signal.aborted) {
      const [daemon, gateway] = await Promise.all([
        askStatus(this.#site, 'operator'),
        askStatus(this.#site, 'gateway'),
      ]);
      this.#summary = summarize(daemon, gateway, this.#site.paths.root);
      const now = Date.parse(text(daemon.status?.now) ?? '');
      this.#clock = Number.isNaN(now) ? null : { site: now, heard: performance.now() };
      this.#watcher.status(this.#summary, daemon, gateway);
      await this.#askPending();
      this.#watcher.changed();
      await this.#pause(STATUS_MS);
    }
  }

  /** What waits, as of now; what was known stays while the daemon does not answer. */
  async #askPending(): Promise<void> {
    try {
      const query = { status: 'pending_authority', limit: PENDING_MAX } as const;
      const { decisions, next } = await this.#client.listDecisions(query);
      this.#pending = decisions;
      this.#more = next !== null;
      this.#watcher.pending(decisions);
    } catch (error) {
      if (!isPassing(error)) throw error;
    }
  }

  async #follow(): Promise<void> {
    const from = await this.#newest();
    if (from === null) return;
    const shows = (hit: SearchHit): void => this.#take(hit);
    await followSearch(this.#site, parseSearch({}), from, { shows, linked: () => {} }, this.#signal);
  }

  /** Takes the newest entries, as soon as there is a daemon; returns the index behind them, or null when it is over. */
  async #newest(): Promise<number | null> {
    while (!this.#signal.aborted) {
      try {
        const { entries, size } = await this.#client.search({ limit: ENTRIES_FIRST });
        for (const hit of entries.toReversed()) if (hit.index < size) this.#take(hit);
        return size;
      } catch (error) {
        if (!isPassing(error)) throw error;
        await this.#pause(RETRY_MS);
      }
    }
    return null;
  }

  #take(hit: SearchHit): void {
    if (DULL.includes(hit.type)) return;
    this.#entries.push(hit);
    if (this.#entries.length > ENTRIES_KEPT) this.#entries = this.#entries.slice(-ENTRIES_KEPT / 2);
    this.#watcher.entry(hit);
    this.#watcher.changed();
  }

  async #pause(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.#signal }).catch(() => {});
  }
}
