import { realpathSync } from 'node:fs';
import type { CarriedAlong } from '../api/client.ts';
import { carryTo } from '../roles/daemon-anchors.ts';
import { actorForRecord, connect, type Site } from './access.ts';
import { count, folded, paint, plain } from './render/text.ts';

/** Takes the anchors that a medium lacks along to it, through the daemon. Null for a place within the site itself. Throws what the client throws. */
export async function carryThroughDaemon(
  site: Site,
  path: string,
  actor: string | undefined,
): Promise<CarriedAlong | null> {
  if (isWithin(site.paths.root, path)) return null;
  const client = connect(site, 'operator');
  try {
    return await client.carryAnchors(path, actorForRecord(actor, site));
  } finally {
    client.close();
  }
}

/** The same while no daemon runs. */
export async function carryDirectly(
  site: Site,
  path: string,
  actor: string | undefined,
): Promise<CarriedAlong | null> {
  if (isWithin(site.paths.root, path)) return null;
  const { openInlineEngine } = await import('../engine/inline.ts');
  const { paths, config } = site;
  const engine = await openInlineEngine(paths.root);
  try {
    return await carryTo(path, actorForRecord(actor, site), { config, paths, engine });
  } finally {
    await engine.stop('anchors taken along');
  }
}

function isWithin(root: string, path: string): boolean {
  return `${realpathSync(path)}/`.startsWith(`${realpathSync(root)}/`);
}

/** What was taken along, for people; nothing to say when there was nothing to take. */
export function renderCarried({
  directory,
  written,
  size,
  failure,
  contradiction,
}: CarriedAlong): string | null {
  if (contradiction !== null) return contradictionWords(contradiction);
  if (failure !== null) return `No anchors could be left on the medium: ${plain(failure)}.`;
  if (written.length === 0 || size === null) return null;
  const upTo = `the history up to ${count(size, 'entry', 'entries')}`;
  return `Took ${count(written.length, 'anchor')} along (${upTo}): ${plain(directory ?? '')}`;
}

function contradictionWords({
  name,
  size,
  kind,
  incident_id,
}: NonNullable<CarriedAlong['contradiction']>): string {
  const what =
    kind === 'ahead'
      ? `knows ${count(size, 'entry', 'entries')} of this ledger, which has fewer now: it was rolled back`
      : `knows another history of ${count(size, 'entry', 'entries')} than this ledger has now`;
  const halted = incident_id === null ? '' : ` The site is halted (${plain(incident_id)}).`;
  const next = `Nothing was added to it.${halted} Keep the medium as it is: it is proof. Then run: holdfast anchor verify DIRECTORY`;
  return `${paint('red', paint('bold', 'WARNING'))}  ${folded(`The anchor ${plain(name)} on the medium ${what}. ${next}`)}`;
}
