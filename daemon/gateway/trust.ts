import { join } from 'node:path';
import { BoundaryError } from '../formats/boundary-error.ts';
import type { LogVkey } from '../formats/log-keys.ts';
import type { SiteConfig } from '../host/config.ts';
import { readBounded } from '../host/durable-file.ts';
import type { Profile, SitePaths } from '../host/site.ts';
import { KnownKeys } from './known-keys.ts';

/**
 * What the gateway believes without asking anyone: its own copy of the site's name, the ledger's origin and keys, and the
 * pinned policy root. Read at start; the engine cannot change it, but that a key which is believed may name the next one.
 */
export interface GatewayTrust {
  site: string;
  profile: Profile;
  /** Permits must name it. */
  audience: string;
  /** Name of the site's log. */
  readonly origin: string;
  /** Keys of that log as they stand when they are asked for, each with the checkpoints that it may sign. */
  readonly vkeys: readonly LogVkey[];
  /** Bytes of the pinned TUF root. */
  root: Uint8Array;
}

const ROOT_MAX_BYTES = 512 * 1024;

/** The ledger's keys, held against what this gateway has seen before. Throws BoundaryError `trust.*`, `file.*`. */
export function openKnownKeys(paths: SitePaths): KnownKeys {
  return KnownKeys.open(paths.trust, join(paths.gateway, 'keys.json'));
}

/** Throws BoundaryError when a trust file is missing, malformed or of another site: then the gateway does not start. */
export function loadTrust(
  paths: SitePaths,
  config: SiteConfig,
  known: Pick<KnownKeys, 'origin' | 'keys'> = openKnownKeys(paths),
): GatewayTrust {
  const { origin } = known;
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
    get vkeys() {
      return known.keys;
    },
    root: readBounded(join(paths.trust, 'root.json'), ROOT_MAX_BYTES),
  };
}
