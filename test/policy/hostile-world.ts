import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryDir } from '../host/temporary.ts';
import { CeremonyWorld } from '../sync/ceremony-world.ts';
import { SITE } from './publisher-world.ts';
import { SiteWorld } from './site-world.ts';

export const OTHER = 'outpost-9.example';

/** A repository that a site is about to get, and a site that runs the update before it. */
export interface Offer {
  /** Headquarters: root and targets 2 of alice, bob, carol; the site belongs to the region north (nora), OTHER to south (sam). */
  hq: CeremonyWorld;
  site: SiteWorld;
  /** Copies of the repository as the site imported it, and as it is offered before anybody spoils it. */
  first: string;
  good: string;
}

/** Version 1 is in force; version 2 is published, good, and not imported yet. */
export async function offer(): Promise<Offer> {
  const hq = new CeremonyWorld();
  hq.delegate('north', [SITE], ['nora']);
  hq.delegate('south', [OTHER], ['sam']);
  hq.propose(1, { sites: [SITE, OTHER] });
  hq.propose(1, { site: OTHER, sites: [SITE, OTHER] });
  hq.ceremony(['alice', 'bob', 'nora', 'sam']);
  const site = new SiteWorld(hq.root);
  const first = copyOf(hq);
  const applied = await site.import(first);
  if (!applied.applied) throw new Error('the first update was not applied');
  hq.propose(2);
  hq.ceremony(['alice', 'bob', 'nora']);
  return { hq, site, first, good: copyOf(hq) };
}

/** The repository as it is now, on a medium of its own. */
export function copyOf(hq: CeremonyWorld): string {
  const medium = join(temporaryDir(), 'medium');
  cpSync(hq.repository, medium, { recursive: true });
  return medium;
}
