import { type ApiClient, ApiUnreachable } from '../api/client.ts';
import { maskEntry } from '../core/masked.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import { decodeEntry, type Entry } from '../formats/entry.ts';
import type { SiteOptions } from './access.ts';
import { connect, openSite, type Site } from './access.ts';
import { type ReadOptions, recordRead } from './recorded-read.ts';
import { say } from './render/output.ts';
import { ownLogTrust } from './site.ts';

/** An entry and its position in the log. */
export interface IndexedEntry {
  index: number;
  entry: Entry;
}

interface ProveOptions {
  cosigned?: boolean;
  /** Entry that records the read. */
  read?: number;
}

/** Where entries are read from: the running daemon, or the ledger's file while none runs. */
export interface EntrySource {
  size: number;
  /** At most `limit` entries from an index on. */
  read(from: number, limit: number): Promise<IndexedEntry[]>;
  /** C2SP tlog-proof of an entry, entry included; `cosigned`: under a checkpoint that enough witnesses cosigned. */
  prove(index: number, options?: ProveOptions): Promise<string>;
  close(): void;
}

/** The daemon's answers where it runs, else the site's ledger file, opened for reading only. */
export async function openEntries(options: SiteOptions): Promise<EntrySource> {
  const site = openSite(options);
  try {
    return await throughDaemon(site);
  } catch (error) {
    const down =
      error instanceof ApiUnreachable && (error.reason === 'missing' || error.reason === 'refused');
    if (!down) throw error;
    say(
      'The daemon is not running; reading the ledger file. Payload values are not shown: nobody could record it.',
    );
    return fromFile(site);
  }
}

/** The daemon's answers about one entry with its payload values: the read of it is on record before. */
export async function openRawEntry(options: SiteOptions & ReadOptions, index: number): Promise<EntrySource> {
  const site = openSite(options);
  const client = connect(site, 'operator');
  const { size } = await client.entries({ limit: 1 });
  if (index >= size) return throughDaemon(site);
  const decision = options.breakglass === undefined ? null : await decisionAt(client, index);
  const about = decision === null ? { from: index, size: 1 } : { decision_id: decision };
  const { index: read } = await recordRead(client, site, 'raw', { what: 'entries', ...about }, options);
  client.close();
  return throughDaemon(site, read);
}

/** The daemon's answers about all entries with their payload values: the read of them is on record before. */
export async function openRawEntries(options: SiteOptions & ReadOptions): Promise<EntrySource> {
  const site = openSite(options);
  const client = connect(site, 'operator');
  const { size } = await client.entries({ limit: 1 });
  const subject = { what: 'entries', from: 0, size } as const;
  const { index: read } = await recordRead(client, site, 'raw', subject, options).finally(() =>
    client.close(),
  );
  return throughDaemon(site, read);
}

/** The same for the proof of one entry, which holds what the entry holds; only where a reason is given. */
export async function openForProof(options: SiteOptions & ReadOptions, index: number): Promise<EntrySource> {
  if (options.reason === undefined) return openEntries(options);
  const site = openSite(options);
  const client = connect(site, 'operator');
  const subject = { what: 'proof', from: index, size: 1 };
  const { index: read } = await recordRead(client, site, 'export', subject, options).finally(() =>
    client.close(),
  );
  return throughDaemon(site, read);
}

/** Break-glass opens decisions, not positions. */
async function decisionAt(client: ApiClient, index: number): Promise<string | null> {
  const { entries } = await client.entries({ from: index, limit: 1 });
  const stream = entries[0]?.entry.stream ?? '';
  return stream.startsWith('dec_') ? stream : null;
}

/** `read`: the entry that records the read; without it payload values are masked. */
async function throughDaemon(site: Site, read?: number): Promise<EntrySource> {
  const client = connect(site, 'operator');
  const { size } = await client.entries({ limit: 1 });
  const recorded = read === undefined ? {} : { read };
  return {
    size,
    read: async (from, limit) => (await client.entries({ from, limit, ...recorded })).entries,
    prove: (index, options) => client.proof(index, { ...options, ...recorded }),
    close: () => client.close(),
  };
}

async function fromFile(site: Site): Promise<EntrySource> {
  // Only here: most commands never need the database driver.
  const { viewLedger } = await import('../ledger/open.ts');
  const { proveIndex } = await import('../ledger/export.ts');
  const { origin, vkeys } = ownLogTrust(site);
  const view = viewLedger(site.paths.ledger, { origin, vkeys });
  return {
    size: view.size,
    read: async (from, limit) =>
      view.entries(from, limit).map(({ index, bytes }) => ({ index, entry: maskEntry(decodeEntry(bytes)) })),
    prove: async (index, { cosigned } = {}) => {
      if (cosigned === true) throw daemonOnly();
      return proveIndex(view, index);
    },
    close: () => view.close(),
  };
}

function daemonOnly(): BoundaryError {
  return new BoundaryError(
    'ledger.daemon_only',
    'Which checkpoints are cosigned only a running daemon tells; nothing was written. Start it: holdfast daemon',
  );
}
