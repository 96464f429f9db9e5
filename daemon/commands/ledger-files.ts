import { resolve } from 'node:path';
import { rebuildProjections } from '../engine/rebuild.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import { exportTiles } from '../ledger/export.ts';
import { viewLedger } from '../ledger/open.ts';
import { connect, openSite, type Site, type SiteOptions } from './access.ts';
import { print, printJson } from './render/output.ts';
import { count, table } from './render/text.ts';
import { trustOf } from './site.ts';

/** Writes the tile directory from one consistent view of the ledger; the daemon may run. */
export function exportAndReport(options: SiteOptions & { tiles: string }): void {
  const site = openSite(options);
  const { origin, vkeys } = trustOf(site);
  const view = viewLedger(site.paths.ledger, { origin, vkeys });
  try {
    const directory = resolve(options.tiles);
    const size = exportTiles(view, directory, progress(options, 'exporting'));
    clearProgress(options);
    if (options.json) printJson({ directory, origin, size });
    else print(`Wrote ${count(size, 'entry', 'entries')} of ${origin} to ${directory}: checkpoint, tile/.`);
  } finally {
    view.close();
  }
}

/** Derives the projections from the entries again and says which rows were wrong before. */
export async function rebuildAndReport(options: SiteOptions): Promise<void> {
  const site = openSite(options);
  await assertStopped(site);
  const onEntries = progress(options, 'rebuilding');
  const tables = rebuildProjections(site.paths.ledger, (entries) => onEntries?.(entries, entries));
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

/** The daemon is the one writer; a second one beside it would be two. */
async function assertStopped(site: Site): Promise<void> {
  const client = connect(site, 'operator');
  const answered = await client.ready().then(
    () => true,
    () => false,
  );
  client.close();
  if (!answered) return;
  throw new BoundaryError(
    'daemon.running',
    'The daemon is running and is the only writer; nothing was rebuilt. Stop it first, then repeat this.',
  );
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
