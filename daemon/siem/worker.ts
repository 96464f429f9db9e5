import { join } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import type { SiemConfig } from '../host/config/siem.ts';
import { followLedger } from '../ledger/follow.ts';
import { Feed, type FeedState } from './feed.ts';
import { FileSink } from './file-sink.ts';
import { OutboxSink } from './outbox-sink.ts';

/** What the thread is started with. */
export interface SiemJob extends SiemConfig {
  ledger: string;
  origin: string;
  /** Directory of the feeds' positions. */
  state: string;
  /** `outbox/siem`. */
  outboxDir: string;
}

export type FeedName = 'file' | 'outbox';

/** Thread → main, when something changed. */
export interface FeedReport {
  feed: FeedName;
  state: FeedState | null;
  /** Why it stands still; it is tried again. */
  trouble: string | null;
}

/** Entries may come without a word, and waiting ones fall due. */
const ROUND_MS = 1_000;

const job = workerData as SiemJob;
const port = parentPort;
const said = new Map<FeedName, string>();
const feeds = new Map<FeedName, Feed>();

function report(feed: FeedName, state: FeedState | null, trouble: string | null): void {
  const message: FeedReport = { feed, state, trouble };
  const text = JSON.stringify(message);
  if (said.get(feed) === text) return;
  said.set(feed, text);
  port?.postMessage(message);
}

/** Opened when it is first needed: the directory of a collector may not be there yet. */
function feedOf(name: FeedName): Feed | null {
  const known = feeds.get(name);
  if (known !== undefined) return known;
  const position = join(job.state, `${name}.json`);
  const { ledger, origin, file, outbox } = job;
  const feed =
    name === 'file'
      ? file && { ...file, sink: new FileSink(file) }
      : outbox && {
          ...outbox,
          sink: new OutboxSink({ ...outbox, dir: job.outboxDir, batch_ms: outbox.batch_seconds * 1_000 }),
        };
  if (feed === null) return null;
  const { sink, format, from } = feed;
  const made = new Feed({ source: followLedger(ledger, origin), sink, format, position, from });
  feeds.set(name, made);
  return made;
}

/** One step of one feed; whether there is more at once. */
function advance(name: FeedName): boolean {
  try {
    const feed = feedOf(name);
    if (feed === null) return false;
    const more = feed.step(Date.now());
    report(name, feed.state(), null);
    return more;
  } catch (error) {
    // A sink's disk or directory; the position is that of what is durable, so trying again loses and repeats nothing.
    feeds.delete(name);
    report(name, null, (error as Error).message);
    return false;
  }
}

function round(): void {
  const more = [advance('file'), advance('outbox')].includes(true);
  setTimeout(round, more ? 0 : ROUND_MS);
}

round();
