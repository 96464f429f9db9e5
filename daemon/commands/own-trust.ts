import { join } from 'node:path';
import { toBase64 } from '../formats/digest.ts';
import { currentLog, newestKey } from '../formats/log-keys.ts';
import { readBounded } from '../host/durable-file.ts';
import { readLineage } from '../host/log-lineage.ts';
import type { Site } from './access.ts';
import { logTrust, type TrustFile } from './trust.ts';

/** Public keys and pinned policy root of a site, from the files under `trust/`. */
export function trustOf(site: Site): TrustFile {
  const { paths, config } = site;
  const logs = readLineage(paths.trust);
  const log = currentLog(logs);
  return {
    v: 1,
    site: config.site,
    origin: log.origin,
    profile: config.profile,
    vkeys: [newestKey(log).vkey],
    logs,
    root: toBase64(readBounded(join(paths.trust, 'root.json'), 1_048_576)),
  };
}

/** Whom this site's own commands believe: the keys of its ledger, each for the checkpoints that it may sign. */
export function ownLogTrust(site: Site): ReturnType<typeof logTrust> {
  return logTrust(trustOf(site));
}
