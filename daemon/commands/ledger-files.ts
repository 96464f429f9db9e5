import { existsSync, readdirSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type RebuiltTable, rebuildProjections } from '../engine/rebuild.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import { viewLedger } from '../ledger/open.ts';
import { deleteSearchIndex } from '../ledger/search-index.ts';
import { extendTileDirectory } from '../ledger/tile-directory.ts';
import { lockWriter } from '../ledger/writer-lock.ts';
import { connect, openSite, type Site, type SiteOptions } from './access.ts';
import { type ReadOptions, recordRead } from './recorded-read.ts';
import { print, printJson } from './render/output.ts';
import { count, table } from './render/text.ts';
import { ownLogTrust } from './site.ts';

/** Writes the tile directory from one consistent view of the ledger; the daemon may run. */
export async function exportAndReport(options: SiteOptions & ReadOptions & { tiles: string }): Promise<void> {
  const site = openSite(options);
  const directory = resolve(options.tiles);
  assertOwn(directory);
  await recordExport(site, options);
  const trust = ownLogTrust(site);
  const { origin } = trust;
  const view = viewLedger(site.paths.ledger, trust);
  try {
    const onProgress = progress(options, 'exporting');
    const { from, size } = extendTileDirectory(view, directory, { trust, onProgress });
    clearProgress(options);
    if (options.json) printJson({ directory, origin, from, size });
    else print(exported(directory, origin, from, size));
  } finally {
    view.close();
  }
}

/** No record, no export: without a daemon that writes it down nothing leaves the site. */
async function recordExport(site: Site, options: ReadOptions): Promise<void> {
  const client = connect(site, 'operator');
  try {
    await recordRead(client, site, 'export', { what: 'tiles' }, options);
  } finally {
    client.close();
  }
}

function exported(directory: string, origin: string, from: number, size: number): string {
  if (from === size)
    return `${directory} had all ${count(size, 'entry', 'entries')} of ${origin} already; nothing was written.`;
  const since = from === 0 ? '' : ` (it had ${count(from, 'entry', 'entries')})`;
  return `Wrote ${count(size, 'entry', 'entries')} of ${origin} to ${directory}${since}: checkpoint, tile/.`;
}

/** Only an earlier export is brought up to date; among other files its own would be lost from sight. */
function assertOwn(directory: string): void {
  if (statSync(directory, { throwIfNoEntry: false })?.isDirectory() !== true) return;
  if (existsSync(join(directory, 'checkpoint')) || readdirSync(directory).length === 0) return;
  throw new BoundaryError(
    'export.not_free',
    `There are files in ${directory} that are no earlier export; nothing was written. Name an empty directory or a new one.`,
    { at: directory },
  );
}

/** Derives the projections from the entries again and says which rows were wrong before. The daemon must not run. */
export function rebuildAndReport(options: SiteOptions): void {
  const site = openSite(options);
  const onEntries = progress(options, 'rebuilding');
  const tables = rebuildLocked(site.paths.ledger, (entries) => onEntries?.(entries, entries));
  // Made anew by the daemon, or by the next search.
  deleteSearchIndex(site.paths.search);
  clearProgress(options);
  if (options.json) {
    printJson({ tables });
    return;
  }
  const repaired = tables.reduce((sum, { repaired: rows }) => sum + rows, 0);
  print(
    table(
      ['table', 'rows', 'repaired'],
      tables.map(({ table: name, rows, repaired: wrong }) => [name, String(rows), String(wrong)]),
    ),
  );
  print(
    repaired === 0 ? 'Nothing had to be repaired.' : `Repaired ${count(repaired, 'row')} from the entries.`,
  );
}

/** The daemon is the one writer; while it holds the lock, nothing is rebuilt (`ledger.in_use`). */
function rebuildLocked(path: string, onProgress: (entries: number) => void): RebuiltTable[] {
  const lock = lockWriter(path);
  try {
    return rebuildProjections(path, onProgress);
  } finally {
    lock.release();
  }
}

function isShown(options: SiteOptions): boolean {
  return process.stderr.isTTY === true && options.json !== true;
}

function progress(options: SiteOptions, doing: string): ((done: number, total: number) => void) | undefined {
  if (!isShown(options)) return undefined;
  return (done, total) => {
    const of = total > done ? ` of ${total}` : '';
    process.stderr.write(`\r${doing} ${count(done, 'entry', 'entries')}${of}`);
  };
}

function clearProgress(options: SiteOptions): void {
  if (isShown(options)) process.stderr.write('\r\u001b[K');
}
