import { BoundaryError } from '../formats/boundary-error.ts';
import type { AnchorsConfig } from './config/anchors.ts';
import type { DiskConfig } from './config/disk.ts';
import type { KeysConfig } from './config/keys.ts';
import type { IntegrityConfig } from './config/retention.ts';
import type { WatchConfig } from './config/watch.ts';
import type { Profile } from './site.ts';

/*
 * What an appliance cannot be talked out of by its own settings. That callers are known by certificate is demanded where
 * those settings are read (`config/peers.ts`); that policy is signed, the ledger chained and the gateway closed when in doubt
 * is no setting at all.
 */

const HOUR_MS = 3_600_000;
const MIB = 1_048_576;
/** Less than this, and denials may not be recordable when the disk is full. */
const DISK_MIN = 16 * MIB;
const HEARTBEAT_MAX_MS = 24 * HOUR_MS;

/** The sections that it looks at. */
interface Settings {
  profile: Profile;
  anchors: AnchorsConfig;
  watch: WatchConfig;
  integrity: IntegrityConfig;
  keys: KeysConfig;
  disk: DiskConfig;
}

interface Demand {
  pointer: string;
  isMet: (config: Settings) => boolean;
  /** Why an appliance needs it, and what to write. */
  why: string;
}

const DEMANDS: readonly Demand[] = [
  {
    pointer: '/anchors/schedule',
    isMet: ({ anchors }) => anchors.schedule !== null,
    why: 'its history must leave the site by itself: write five cron fields, or leave it out',
  },
  {
    pointer: '/watch/canary',
    isMet: ({ watch }) => watch.canary !== null,
    why: 'it tests by itself that its gateway refuses: write five cron fields, or leave it out',
  },
  {
    pointer: '/watch/heartbeat',
    isMet: ({ watch }) => watch.heartbeatMs <= HEARTBEAT_MAX_MS,
    why: 'a gap in its record must show within a day: write at most "24h", or leave it out',
  },
  {
    pointer: '/integrity/schedule',
    isMet: ({ integrity }) => integrity.schedule !== null,
    why: 'it verifies its whole ledger by itself: write five cron fields, or leave it out',
  },
  {
    pointer: '/keys/ledger_max_age',
    isMet: ({ keys }) => keys.ledgerMaxAgeMs !== null,
    why: 'its key must not get old unnoticed: write a number of days, or leave it out',
  },
  {
    pointer: '/disk/reserve_bytes',
    isMet: ({ disk }) => disk.reserve_bytes >= DISK_MIN,
    why: `refusals must be recordable on a full disk: write at least ${DISK_MIN}, or leave it out`,
  },
  {
    pointer: '/disk/low_bytes',
    isMet: ({ disk }) => disk.low_bytes >= DISK_MIN,
    why: `it must stop allowing before the disk is full: write at least ${DISK_MIN}, or leave it out`,
  },
];

/** Throws BoundaryError `config.appliance` when settings of an appliance switch off what protects it. `path` is for the message. */
export function assertAppliance(config: Settings, path: string): void {
  if (config.profile !== 'appliance') return;
  const broken = DEMANDS.find(({ isMet }) => !isMet(config));
  if (broken === undefined) return;
  throw new BoundaryError(
    'config.appliance',
    `${path}: ${broken.pointer} is not for an appliance: ${broken.why}. Nothing was started.`,
    { at: broken.pointer },
  );
}
