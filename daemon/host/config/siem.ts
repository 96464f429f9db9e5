import type { Section } from './section.ts';

/** How events are written for a SIEM. */
export const FEED_FORMATS = ['ocsf', 'cef', 'syslog'] as const;
export type FeedFormat = (typeof FEED_FORMATS)[number];

interface FeedSettings {
  format: FeedFormat;
  /** Where a feed without a past begins: with the ledger's first entry, or with what comes from now on. */
  from: 'start' | 'now';
  /** Most bytes that may lie uncollected; then the feed waits, and the ledger keeps what is to come. */
  budget_bytes: number;
}

/** Lines appended to a file that a collector on this host follows. */
export interface FileFeed extends FeedSettings {
  path: string;
  /** Beyond this the file is put aside under the range of its events. */
  rotate_bytes: number;
}

/** Files in the outbox, for headquarters. */
export interface OutboxFeed extends FeedSettings {
  /** An event waits at most this long for others to share its file. */
  batch_seconds: number;
  batch_bytes: number;
}

/** What a SIEM is told, and how; both null at a site without one. */
export interface SiemConfig {
  file: FileFeed | null;
  outbox: OutboxFeed | null;
}

export const SIEM_SETTINGS: readonly string[] = ['file', 'outbox'];
const FEED_SETTINGS = ['format', 'from', 'budget_bytes'];

const MIB = 1_048_576;
const GIB = 1_024 * MIB;

/** The checked `siem` section of `holdfast.json`. Throws BoundaryError `config.*` naming the place and what to write. */
export function parseSiem(section: Section): SiemConfig {
  return {
    file: section.value('file') === undefined ? null : fileFeed(section),
    outbox: section.value('outbox') === undefined ? null : outboxFeed(section),
  };
}

function fileFeed(section: Section): FileFeed {
  const feed = section.section('file', [...FEED_SETTINGS, 'path', 'rotate_bytes']);
  return {
    ...common(feed, 256 * MIB),
    path: feed.text(
      'path',
      null,
      /^\/[^\0]*[^\0/]$/,
      'the absolute path of a file in a directory of its own',
    ),
    rotate_bytes: feed.count('rotate_bytes', 16 * MIB, GIB),
  };
}

function outboxFeed(section: Section): OutboxFeed {
  const feed = section.section('outbox', [...FEED_SETTINGS, 'batch_seconds', 'batch_bytes']);
  return {
    ...common(feed, 64 * MIB),
    batch_seconds: feed.count('batch_seconds', 900, 86_400),
    // What sync carries in one piece.
    batch_bytes: feed.count('batch_bytes', MIB, 4 * MIB),
  };
}

function common(feed: Section, budget: number): FeedSettings {
  return {
    format: feed.choice('format', FEED_FORMATS, 'ocsf'),
    from: feed.choice('from', ['start', 'now'] as const, 'start'),
    budget_bytes: feed.count('budget_bytes', budget, 1_024 * GIB),
  };
}
