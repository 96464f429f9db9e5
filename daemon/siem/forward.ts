import type { Worker } from 'node:worker_threads';
import type { Logger } from '../host/log.ts';
import { startThread } from '../host/thread.ts';
import type { FeedState } from './feed.ts';
import type { FeedName, FeedReport, SiemJob } from './worker.ts';

/** How the feeds of a site are doing, as far as their thread has said. */
export interface Forwarding {
  feeds(): { feed: FeedName; state: FeedState | null; trouble: string | null; since: string | null }[];
  stop(): Promise<void>;
}

/** A feed that was heard of. */
interface Heard extends FeedReport {
  /** Since when it is full or in trouble; null while all is well. */
  since: string | null;
}

const RETRY_MS = 10_000;
const HEAP_MB = 96;

/** Starts the feeds on a thread of their own: decisions never wait for them. A thread that ends is started again. */
export function startForwarding(job: SiemJob, log: Logger): Forwarding {
  const heard = new Map<FeedName, Heard>();
  let worker: Worker | null = null;
  let timer: NodeJS.Timeout | null = null;
  let stopped = false;

  const hear = (report: FeedReport): void => {
    const old = heard.get(report.feed);
    const bad = report.trouble !== null || report.state?.full === true;
    const since = bad ? (old?.since ?? new Date().toISOString()) : null;
    if (bad && old?.since == null) log.warn({ ...report }, 'a SIEM feed stands still');
    if (!bad && old?.since != null) log.info({ feed: report.feed }, 'a SIEM feed goes on');
    heard.set(report.feed, { ...report, since });
  };
  const start = (): void => {
    worker = startThread(new URL('./worker.ts', import.meta.url), {
      workerData: job,
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MB, maxYoungGenerationSizeMb: 4 },
    });
    worker.on('message', hear);
    worker.once('error', (error) => {
      log.error({ err: error }, 'the thread of the SIEM feeds failed; it is started again');
      for (const feed of ['file', 'outbox'] as const)
        if (job[feed] !== null) hear({ feed, state: heard.get(feed)?.state ?? null, trouble: error.message });
    });
    worker.once('exit', () => {
      if (!stopped) timer = setTimeout(start, RETRY_MS).unref();
    });
  };
  start();
  return {
    feeds: () =>
      [...heard.values()].map(({ feed, state, trouble, since }) => ({ feed, state, trouble, since })),
    async stop() {
      stopped = true;
      if (timer !== null) clearTimeout(timer);
      // At whatever point it is cut off, the next start goes on from what is durable.
      await worker?.terminate();
    },
  };
}
