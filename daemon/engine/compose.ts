import { join } from 'node:path';
import type { NoteSigner } from '../formats/signed-note.ts';
import { systemClock } from '../host/clock.ts';
import { loadConfig, type SiteConfig } from '../host/config.ts';
import { DiskReserve } from '../host/disk-reserve.ts';
import { findKek } from '../host/kek.ts';
import { LedgerKeyFiles } from '../host/ledger-key.ts';
import { createLogger } from '../host/log.ts';
import { randomBytes, uuidv7 } from '../host/random.ts';
import { loadSealer } from '../host/sealer.ts';
import { type SitePaths, sitePaths } from '../host/site.ts';
import type { EngineOptions } from './engine.ts';
import { openFormerLogs } from './former-logs.ts';

/** File names of the daemon's keys under `state/keys`. */
export const LEDGER_KEY = 'ledger.key';
export const SEALING_KEY = 'sealing.key';

/** The engine's real surroundings: this site directory's keys and files, the system's clock and randomness. */
export function composeEngine({ dir }: { dir: string }): EngineOptions {
  const paths = sitePaths(dir);
  const config = loadConfig(dir);
  const kek = findKek(config.secrets);
  const log = createLogger('engine', config.log.level);
  const keyFiles = new LedgerKeyFiles(join(paths.keys, LEDGER_KEY), kek);
  const report = (message: string, error: unknown): void => log.error({ err: error }, message);
  return {
    paths,
    site: config.site,
    profile: config.profile,
    clock: systemClock,
    random: { uuidv7, bytes: randomBytes },
    signer: keyFiles.load(),
    keyFiles,
    keyMaxAgeMs: config.keys.ledgerMaxAgeMs,
    sealer: loadSealer(join(paths.keys, SEALING_KEY), kek),
    former: openFormerLogs(join(paths.state, 'former'), SEALING_KEY, kek, report),
    peers: { required: config.peers.require_identity, own_uid: process.geteuid?.() ?? null },
    heartbeatMs: config.watch.heartbeatMs,
    disk: { disk: new DiskReserve(paths.reserve), settings: config.disk },
    report,
  };
}

/** The ledger's signer as it is now, for what is signed beside the ledger (receipts, statements). Throws BoundaryError `secret.*`. */
export function ledgerSigner(paths: SitePaths, { secrets }: Pick<SiteConfig, 'secrets'>): NoteSigner {
  return new LedgerKeyFiles(join(paths.keys, LEDGER_KEY), findKek(secrets)).load();
}
