import { chmodSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { completeFromCopy } from '../../backup/complete.ts';
import { assertThere, type KnownHead, knownHeads } from '../../backup/known-heads.ts';
import type { Manifest } from '../../backup/manifest.ts';
import { readBackup } from '../../backup/read.ts';
import { type Unpacked, unpack } from '../../backup/unpack.ts';
import { checkProjectionsAside } from '../../engine/projection-aside.ts';
import { BoundaryError } from '../../formats/boundary-error.ts';
import { toBase64, toHex } from '../../formats/digest.ts';
import { followInLogs } from '../../formats/key-rotation.ts';
import { currentLog, type LogLineage } from '../../formats/log-keys.ts';
import { systemClock } from '../../host/clock.ts';
import { readBounded, syncDir } from '../../host/durable-file.ts';
import { readLineage } from '../../host/log-lineage.ts';
import { type SitePaths, sitePaths } from '../../host/site.ts';
import { setUpTls } from '../../identity/issue.ts';
import { openHeadStore } from '../../ledger/head-store.ts';
import { viewLedger } from '../../ledger/open.ts';
import type { LedgerReader } from '../../ledger/read.ts';
import { verifyLedger } from '../../ledger/verify.ts';
import type { LedgerTrust } from '../../ledger/verify-range.ts';
import { diskFailure, openBuilding } from '../init/building.ts';
import { freeDirectory } from '../init/site.ts';
import { makeDirectories } from '../init/skeleton.ts';
import { logsOf, readTrustFile } from '../trust.ts';
import { assertAtHead, judgeHeads, lostTail } from './heads.ts';
import type { RestoreOptions, RestoreReport } from './report.ts';
import { goOn } from './successor.ts';

/** What is known before the site is in its place. */
type BuiltReport = Omit<RestoreReport, 'cleared' | 'left'>;

/** Where the old log is built before it is known what becomes of it, under `state`. */
const UNPACKED = 'unpacked';
const ROOT_MAX_BYTES = 512 * 1024;

/**
 * Makes a site in `dir`, which must be missing or empty, from a backup. Everything is built beside it, verified there, and
 * moved there whole at the end: unpack → complete from the second copy → verify all of the ledger → hold it against every
 * head known elsewhere → go on, in a new log unless nothing can have been signed after it. Throws `BoundaryError`
 * `restore.*`, `backup.malformed`, `age.*`, `tiles.*`; nothing is left behind then.
 */
export async function restoreSite(options: RestoreOptions): Promise<RestoreReport> {
  const dir = freeDirectory(options.dir);
  for (const path of [options.file, options.copy ?? [], options.head ?? [], options.anchors].flat())
    assertThere(path);
  const building = openBuilding(dir);
  try {
    const report = await build(sitePaths(building.dir), options);
    chmodSync(building.dir, 0o755);
    syncDir(building.dir);
    // The point of no return: the site exists from here on.
    renameSync(building.dir, dir);
    syncDir(dirname(dir));
    const former = report.former === null ? null : join(dir, report.former);
    return { ...report, dir, former, cleared: building.cleared, left: building.left };
  } catch (error) {
    throw storageFailure(error, dir) ?? error;
  } finally {
    building.close();
  }
}

function storageFailure(error: unknown, dir: string): BoundaryError | null {
  const failure = diskFailure(error);
  if (failure === null) return null;
  return new BoundaryError(
    'restore.not_written',
    `Nothing was restored: ${failure.why} while ${dir} was built. What was begun is removed. ${failure.next}, or restore to another disk.`,
    { at: dir, cause: error },
  );
}

async function build(paths: SitePaths, options: RestoreOptions): Promise<BuiltReport> {
  makeDirectories(paths);
  const unpacked = join(paths.state, UNPACKED);
  mkdirSync(unpacked, { mode: 0o700 });
  const ledger = join(unpacked, 'ledger.sqlite');
  options.onStep?.('decrypting and unpacking');
  const contents = await unpackInto(paths, ledger, options);
  const { manifest } = contents;
  const logs = logsFor(paths, options.trust);
  const trust = trustIn(logs, manifest);
  const fromCopy = options.copy === null ? 0 : completeFromCopy(ledger, options.copy, trust);
  options.onStep?.('verifying the ledger');
  await assertIntact(ledger, trust, manifest, fromCopy);
  options.onStep?.('comparing with what is known elsewhere');
  const view = viewLedger(ledger, trust);
  try {
    const { heads, origins, unbelieved } = knownHeads(options, trust);
    const judged = judgeHeads(view, [...heads, ...ownHeads(paths, trust)]);
    if (judged.beyond !== null && !options.acceptLoss) throw lostTail(view, judged.beyond);
    if (options.sameLog) assertAtHead(view, judged, manifest.keys);
    const common = { ...reportOf(options, manifest, view), heads: judged.checked, unbelieved };
    const restored = { ...common.restored, from_copy: fromCopy };
    if (options.sameLog)
      return { ...common, restored, ...(await keepLog(paths, unpacked, view, contents, trust)) };
    const next = { paths, unpacked, view, contents, logs, judged, fromCopy, origins, options };
    return { ...common, restored, ...(await goOn(next)) };
  } finally {
    view.close();
  }
}

function unpackInto(paths: SitePaths, ledger: string, options: RestoreOptions): Promise<Unpacked> {
  return unpack(readBackup(options.file, options.identities), {
    root: paths.root,
    ledger,
    isSecret: (path) => path.startsWith('state/'),
    // Archive files belong to the log that they are of.
    placeOf: (path) => path.replace(/^state\/archive\//, `state/${UNPACKED}/archive/`),
  });
}

/**
 * The site's logs: by the trust file, and the keys that one of its keys vouches for in the backup (it may have been written
 * before a rotation); without one, as the backup has them.
 */
function logsFor({ trust }: SitePaths, file: string | null): LogLineage[] {
  const own = readLineage(trust);
  if (file === null) return own;
  const given = readTrustFile(file);
  const root = readBounded(join(trust, 'root.json'), ROOT_MAX_BYTES);
  if (toBase64(root) !== given.root) {
    throw new BoundaryError(
      'restore.other_root',
      `The backup pins another policy root than the trust file ${file}: whoever holds its keys could give this site any policy. Nothing was restored. Take a backup that you know, or the trust file of this site.`,
      { at: file },
    );
  }
  const statements = currentLog(own).keys.flatMap(({ rotation }) => rotation ?? []);
  return followInLogs(logsOf(given), statements);
}

/** Whose signatures count: the keys of the log that the backup says it is of. */
function trustIn(
  logs: readonly LogLineage[],
  { ledger }: Manifest,
): { origin: string; vkeys: LogLineage['keys'] } {
  const { origin, keys } = currentLog(logs);
  if (origin === ledger.origin) return { origin, vkeys: keys };
  const ended = logs.find(({ succeeds }) => succeeds?.origin === ledger.origin);
  if (ended !== undefined)
    throw new BoundaryError(
      'restore.other_log',
      `The backup is of the log ${ledger.origin}, which ended: by the keys given, ${ended.origin} goes on for it since an earlier restore. Nothing was restored. Take a backup of ${origin}. If there is none, give the trust file from before that restore, and the anchors of ${ended.origin} (or --log), so that its name is not taken twice.`,
    );
  throw new BoundaryError(
    'restore.other_log',
    `The backup is of the log ${ledger.origin}, and the keys given are those of ${origin}. Nothing was restored. Give the trust file of that site, or another backup.`,
  );
}

/** All of it, as `ledger verify` does; and it reaches the head that the backup claims. */
async function assertIntact(
  path: string,
  trust: { origin: string; vkeys: LogLineage['keys'] },
  { ledger }: Manifest,
  fromCopy: number,
): Promise<void> {
  const report = await verifyLedger({
    ledgerPath: path,
    trust,
    inPlace: true,
    projectionChecks: checkProjectionsAside,
  });
  const [first] = report.findings;
  if (report.code === 0 && report.entries === ledger.size + fromCopy) return;
  const words = first === undefined ? `it has ${report.entries} entries` : `${first.where}: ${first.detail}`;
  throw new BoundaryError(
    report.code === 13 ? 'restore.key' : 'restore.tampered',
    `The ledger in the backup does not verify (${words}). Nothing was restored. Keep the backup as evidence, and take an older one.`,
  );
}

/** Anchors that were still in the site's own outbox when the backup was made are held against it too. */
function ownHeads({ outbox }: SitePaths, trust: LedgerTrust): KnownHead[] {
  const own = join(outbox, 'anchors');
  const hasSome =
    existsSync(own) && readdirSync(own, { recursive: true }).some((name) => String(name).endsWith('.anchor'));
  if (!hasSome) return [];
  try {
    return knownHeads({ anchors: [own], head: null, copy: null }, trust).heads;
  } catch (error) {
    // Not given by anybody, so nobody has to take anything back.
    if (error instanceof BoundaryError && error.code === 'anchor.none') return [];
    throw error;
  }
}

function reportOf(options: RestoreOptions, manifest: Manifest, view: LedgerReader) {
  return {
    dir: options.dir,
    site: manifest.site,
    profile: manifest.profile,
    backup: { file: basename(options.file), made_at: manifest.made_at, keys: manifest.keys },
    restored: { origin: view.origin, size: view.size, root: toHex(view.root()) },
    trusted_by: options.trust === null ? ('backup' as const) : ('trust file' as const),
  };
}

/** The log goes on under its own name and key: nothing can have been signed after its head. */
async function keepLog(
  paths: SitePaths,
  unpacked: string,
  view: LedgerReader,
  { manifest, floorMs }: Unpacked,
  { origin, vkeys }: { origin: string; vkeys: LogLineage['keys'] },
): Promise<Pick<RestoreReport, 'log' | 'missing' | 'carried' | 'former'>> {
  const note = view.checkpoint() ?? '';
  view.close();
  for (const name of readdirSync(unpacked)) renameSync(join(unpacked, name), join(paths.state, name));
  rmSync(unpacked, { recursive: true });
  const head = openHeadStore(paths.head, { create: true });
  head.enroll(origin);
  head.advanceTo(note);
  head.raiseFloor(origin, floorMs);
  head.close();
  await setUpTls(paths, manifest.site, systemClock.now());
  const vkey = vkeys.at(-1)?.vkey ?? '';
  return { log: { origin, vkey, is_new: false }, missing: null, carried: null, former: null };
}
