import { existsSync, mkdirSync, readdirSync, renameSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Unpacked } from '../../backup/unpack.ts';
import { LEDGER_KEY, SEALING_KEY } from '../../engine/compose.ts';
import { initializeSuccessor } from '../../engine/succeed.ts';
import { sha256Hex, toHex } from '../../formats/digest.ts';
import { type LogLineage, succeeded } from '../../formats/log-keys.ts';
import { systemClock } from '../../host/clock.ts';
import { loadConfig } from '../../host/config.ts';
import { readBounded, writeDurable } from '../../host/durable-file.ts';
import { findKek } from '../../host/kek.ts';
import { writeLineage } from '../../host/log-lineage.ts';
import { createSealingKey } from '../../host/sealer.ts';
import { destroySecretFile } from '../../host/secret-file.ts';
import { createSigningKey, loadSigner } from '../../host/signer.ts';
import type { SitePaths } from '../../host/site.ts';
import { VERSION } from '../../host/version.ts';
import { AUTHORITY_KEY } from '../../identity/files.ts';
import { setUpTls } from '../../identity/issue.ts';
import type { LedgerReader } from '../../ledger/read.ts';
import type { HeadJudgement } from './heads.ts';
import type { RestoreOptions, RestoreReport } from './report.ts';

/** A restored ledger, verified, that another one is to go on for. */
export interface Successor {
  paths: SitePaths;
  /** Directory of the old log's files. */
  unpacked: string;
  view: LedgerReader;
  contents: Unpacked;
  /** The site's logs up to now. */
  logs: readonly LogLineage[];
  judged: HeadJudgement;
  fromCopy: number;
  /** Names of logs that are known to be taken. */
  origins: ReadonlySet<string>;
  options: RestoreOptions;
}

const ROOT_MAX_BYTES = 512 * 1024;
const POLICY_MAX_BYTES = 256 * 1024;

/**
 * Begins the new log: its own name, new keys, its first entry; then the public files that say so. The old log is kept beside
 * it with the keys of its envelopes; its signing key is destroyed.
 */
export async function goOn(
  next: Successor,
): Promise<Pick<RestoreReport, 'log' | 'missing' | 'carried' | 'former'>> {
  const { paths, view, contents, logs, judged, fromCopy, options } = next;
  const { manifest, floorMs } = contents;
  const origin = freeOrigin(next);
  const kek = findKek(loadConfig(paths.root).secrets);
  const former = keepFormer(next, logs.length);
  const { vkey } = createSigningKey(join(paths.keys, LEDGER_KEY), origin, kek);
  createSealingKey(join(paths.keys, SEALING_KEY), kek);
  const head = { origin: view.origin, size: view.size, root: toHex(view.root()) };
  const missing = {
    from: view.size,
    until: judged.beyond?.size ?? null,
    known_from: judged.beyond === null ? null : basename(judged.beyond.where),
  };
  const now = systemClock.now();
  const carried = initializeSuccessor(
    {
      paths,
      site: manifest.site,
      profile: manifest.profile,
      rootDigest: sha256Hex(readBounded(join(paths.trust, 'root.json'), ROOT_MAX_BYTES)),
      version: VERSION,
      signer: loadSigner(join(paths.keys, LEDGER_KEY), kek),
      actor: options.actor,
      now,
      floorMs,
    },
    view,
    {
      former: head,
      backup: { file: basename(options.file), made_at: manifest.made_at, keys: manifest.keys },
      missing,
      from_copy: fromCopy,
      reason: options.reason,
    },
  );
  // What is known to have been signed stays provable: the old log is closed there, not where the backup ends.
  const closed = judged.beyond ?? head;
  writeLineage(paths.trust, succeeded(logs, { origin, vkey, size: closed.size, root: closed.root }));
  nameInPolicy(paths.trust, logs, vkey);
  await setUpTls(paths, manifest.site, now, kek);
  return { log: { origin, vkey, is_new: true }, missing, carried, former };
}

/**
 * The new log's name. Logs that began from the same backup before, and are lost, had names too: what anchors claim to be of
 * is left out.
 */
function freeOrigin({ logs, origins, contents, options }: Successor): string {
  const name = (n: number): string => `${contents.manifest.site}/ledger/${n}`;
  const taken = new Set([...origins, ...logs.map(({ origin }) => origin)]);
  let n = options.logNumber ?? logs.length + 1;
  while (taken.has(name(n))) n++;
  return name(n);
}

/** Moves the old log to `state/former/<n>`, with the keys of its envelopes. Returns the path inside the site. */
function keepFormer({ paths, unpacked }: Successor, n: number): string {
  const former = join('state', 'former', String(n));
  const directory = join(paths.root, former);
  mkdirSync(join(paths.state, 'former'), { recursive: true, mode: 0o700 });
  renameSync(unpacked, directory);
  mkdirSync(join(directory, 'keys'), { mode: 0o700 });
  for (const name of readdirSync(paths.keys)) {
    const path = join(paths.keys, name);
    // A log that is closed signs nothing more.
    if (name.startsWith(LEDGER_KEY)) destroySecretFile(path);
    else if (name !== AUTHORITY_KEY) renameSync(path, join(directory, 'keys', name));
  }
  return former;
}

/** The new log in place of the old one in the site's tlog-policy; its witnesses stay. */
function nameInPolicy(trust: string, logs: readonly LogLineage[], vkey: string): void {
  const path = join(trust, 'tlog-policy');
  if (!existsSync(path)) return;
  const former = new Set(logs.flatMap(({ keys }) => keys.map((key) => key.vkey)));
  const lines = Buffer.from(readBounded(path, POLICY_MAX_BYTES)).toString('utf8').split('\n');
  const kept = lines.filter((line) => !(line.startsWith('log ') && former.has(line.split(/\s+/)[1] ?? '')));
  writeDurable(path, Buffer.from([`log ${vkey}`, ...kept].join('\n'), 'utf8'), 0o644);
}
