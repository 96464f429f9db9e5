import { join } from 'node:path';
import { BoundaryError } from '../formats/boundary-error.ts';
import { parseVkey } from '../formats/signed-note.ts';
import type { SiteConfig } from '../host/config.ts';
import { readBounded } from '../host/durable-file.ts';
import type { Profile, SitePaths } from '../host/site.ts';

/**
 * What the gateway believes without asking anyone: its own copy of the site's name, the ledger's origin and key, and the
 * pinned policy root. Read once at start; the engine cannot change it.
 */
export interface GatewayTrust {
  site: string;
  profile: Profile;
  /** Permits must name it. */
  audience: string;
  /** Name of the site's log. */
  origin: string;
  /** C2SP vkeys of the ledger. */
  vkeys: string[];
  /** Bytes of the pinned TUF root. */
  root: Uint8Array;
}

const ROOT_MAX_BYTES = 512 * 1024;
const VKEY_MAX_BYTES = 1_024;

/** Throws BoundaryError when a trust file is missing, malformed or of another site: then the gateway does not start. */
export function loadTrust(paths: SitePaths, config: SiteConfig): GatewayTrust {
  const vkey = new TextDecoder().decode(readBounded(join(paths.trust, 'ledger.vkey'), VKEY_MAX_BYTES)).trim();
  const origin = parseVkey(vkey).name;
  const own = `${config.site}/ledger`;
  // A ledger that was restored goes on as `<site>/ledger/<n>` (design: "Ledger").
  if (origin !== own && !origin.startsWith(`${own}/`)) {
    throw new BoundaryError(
      'trust.wrong_site',
      `trust/ledger.vkey is of "${origin}", but this site is ${config.site}. The gateway was not started. Put the key of this ` +
        'site there (`site export-trust` on the site writes it).',
      { at: 'trust/ledger.vkey' },
    );
  }
  return {
    site: config.site,
    profile: config.profile,
    audience: config.gateway.audience,
    origin,
    vkeys: [vkey],
    root: readBounded(join(paths.trust, 'root.json'), ROOT_MAX_BYTES),
  };
}
