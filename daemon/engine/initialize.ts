import { isoTime } from '../core/create.ts';
import { encodeEntry } from '../formats/entry.ts';
import type { JsonObject } from '../formats/json.ts';
import type { Profile, SitePaths } from '../host/site.ts';
import { VERSION } from '../host/version.ts';
import { openHeadStore, saveHead } from '../ledger/head-store.ts';
import type { NoteSigner } from '../ledger/ledger.ts';
import { createLedger } from '../ledger/open.ts';

/**
 * Creates a site's ledger with its first entry, `system.initialized`, which stamps the profile for good. Both database
 * files must not exist. The time floor starts at `now`: whoever provisions a site has just set its clock.
 */
export function initializeLedger(
  paths: SitePaths,
  options: {
    site: string;
    profile: Profile;
    signer: NoteSigner;
    rootDigest: string;
    /** Digest of the provisioning list that the site is made from; null when it is made from a root file. */
    provisioning?: string | null;
    now: number;
  },
): void {
  const { site, profile, signer, rootDigest, provisioning = null, now } = options;
  const ledger = createLedger({ path: paths.ledger, headPath: paths.head, origin: signer.name, signer });
  const data: JsonObject = {
    site,
    profile,
    origin: signer.name,
    vkey: signer.vkey,
    root_digest: rootDigest,
    version: VERSION,
    ...(provisioning === null ? {} : { provisioning }),
  };
  ledger.begin();
  ledger.append(
    'system',
    encodeEntry({
      v: 1,
      site,
      type: 'system.initialized',
      at: isoTime(now),
      time_trust: 'floor',
      stream: 'system',
      seq: 0,
      prev: null,
      actor: { id: null, role: 'system' },
      data,
    }),
  );
  ledger.seal();
  ledger.commit();
  const head = openHeadStore(paths.head);
  saveHead(head, ledger);
  head.raiseFloor(signer.name, now);
  head.close();
  ledger.close();
}
