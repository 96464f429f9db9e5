import { join } from 'node:path';
import { LEDGER_KEY, SEALING_KEY } from '../../engine/compose.ts';
import { initializeLedger } from '../../engine/initialize.ts';
import { sha256Hex } from '../../formats/digest.ts';
import { formatConfig } from '../../host/config.ts';
import { makeDir, writeDurable } from '../../host/durable-file.ts';
import type { KeyEncryptionKey } from '../../host/key-wrap.ts';
import { createSealingKey } from '../../host/sealer.ts';
import { createSigningKey, loadSigner } from '../../host/signer.ts';
import type { Profile, SitePaths } from '../../host/site.ts';

export interface SkeletonOptions {
  site: string;
  profile: Profile;
  /** Bytes of the policy root to pin. */
  root: Uint8Array;
  /** Whom the command line names by default; null for nobody. */
  operatorActor: string | null;
  now: number;
  /** What the keys are made under; null: they lie open. */
  kek: KeyEncryptionKey | null;
  /** What headquarters sent for it; null: the settings that `init` writes. */
  provisioned?: { config: Uint8Array; digest: string } | null;
}

/** Modes are part of the design: what the daemon alone may read, what groups share, what is public. */
export function makeDirectories(paths: SitePaths): void {
  makeDir(paths.trust, 0o755);
  makeDir(paths.state, 0o700);
  makeDir(paths.keys, 0o700);
  makeDir(paths.policy, 0o700);
  makeDir(paths.gateway, 0o700);
  makeDir(paths.sync, 0o700);
  makeDir(paths.run, 0o750);
  makeDir(paths.inbox, 0o770);
  makeDir(paths.outbox, 0o770);
}

/** Keys, public trust files, configuration, and the ledger with its first entry. Returns what others may know. */
export function makeSite(
  paths: SitePaths,
  { site, profile, root, operatorActor, now, kek, provisioned = null }: SkeletonOptions,
): { origin: string; vkey: string; rootDigest: string } {
  const origin = `${site}/ledger`;
  const { vkey } = createSigningKey(join(paths.keys, LEDGER_KEY), origin, kek);
  createSealingKey(join(paths.keys, SEALING_KEY), kek);
  writePublic(join(paths.trust, 'root.json'), root);
  writePublic(join(paths.trust, 'ledger.vkey'), `${vkey}\n`);
  // No witnesses yet: the log's own signature is all that a verifier can ask for.
  writePublic(join(paths.trust, 'tlog-policy'), `log ${vkey}\nquorum none\n`);
  writePublic(paths.config, provisioned?.config ?? formatConfig({ site, profile, operatorActor }));
  const rootDigest = sha256Hex(root);
  initializeLedger(paths, {
    site,
    profile,
    signer: loadSigner(join(paths.keys, LEDGER_KEY), kek),
    rootDigest,
    provisioning: provisioned?.digest ?? null,
    now,
  });
  return { origin, vkey, rootDigest };
}

function writePublic(path: string, content: Uint8Array | string): void {
  writeDurable(path, typeof content === 'string' ? Buffer.from(content, 'utf8') : content, 0o644);
}
