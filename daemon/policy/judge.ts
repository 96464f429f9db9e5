import { type Bundle, keyLines, parseBundle } from '../core/bundle.ts';
import { type CompiledBundle, compileBundle } from '../core/compile.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import type { SiteTarget } from '../formats/site-target.ts';
import { readBounded } from '../host/durable-file.ts';
import { countFlips, type FlipCounts, type LedgerToRead } from './flips.ts';
import type { Medium } from './medium.ts';
import { clearStaging, type StagingLimits, stageRepository } from './staging.ts';
import { type Added, PolicyStore } from './store.ts';
import { notAccepted } from './update-failure.ts';
import { ROOT_MAX_BYTES } from './update-root.ts';
import { type VerifiedUpdate, verifyUpdate } from './verify-update.ts';

/** What is needed to judge an update; plain data, so that another thread can do it. */
export interface JudgeJob {
  /** Directory that holds `metadata/` and `targets/`. Trusted with nothing. */
  path: string;
  /** Where the private copy is made: nobody else may write there, least of all whoever fills the inbox. */
  area: string;
  site: string;
  /** The policy store's directory. */
  store: string;
  /** File of the root pinned at provisioning. */
  root: string;
  /** The update in force and its bundles; null before the first. */
  inForce: { updateId: string; digests: string[] } | null;
  /** The newest update that was accepted here: the one in force, or one that was to wait. Nothing older gets in. */
  newest?: string | null;
  /** Milliseconds since 1970; the best lower bound of the time. */
  now: number;
  /** Where recent decisions are counted that the update would have changed; null: they are not. */
  ledger: LedgerToRead | null;
  limits?: Partial<StagingLimits>;
}

/** An update that was found good in every respect, and lies in the store. */
export interface GoodUpdate
  extends Pick<VerifiedUpdate, 'updateId' | 'versions' | 'siteTarget' | 'expiresAt'> {
  /** What the store had not before. */
  added: Added;
}

export interface Judgement extends GoodUpdate {
  /** What it would have changed; null when nobody counted. */
  flips: FlipCounts | null;
}

/**
 * What an import does before the engine decides about it: copy from the medium → verify → check the bundles → store
 * durably → count what they would have changed. `onGood` hears of the update as soon as it is stored. Throws
 * `BoundaryError` `update.*` for everything that is refused; then nothing was stored.
 */
export async function judgeUpdate(
  job: JudgeJob,
  onGood: (update: GoodUpdate) => void,
  medium?: Medium,
): Promise<Judgement> {
  const store = new PolicyStore(job.store);
  const update = await verifyCopy(job, store, medium);
  const { updateId, versions, siteTarget, expiresAt } = update;
  const isChange = updateId !== job.inForce?.updateId;
  const bundles = isChange ? checkBundles(update.bundles, provenKeys(job, store)) : null;
  // Durable before the entry that makes it count: an entry must never name a bundle that a power cut took away.
  const good: GoodUpdate = { updateId, versions, siteTarget, expiresAt, added: store.keep(update) };
  onGood(good);
  const flips = bundles === null || job.ledger === null ? null : flipsOf(job.ledger, siteTarget, bundles);
  return { ...good, flips };
}

/** Verifies a private copy: nobody can change or pull what is being judged. */
async function verifyCopy(
  { path, area, site, limits, root, inForce, newest, now }: JudgeJob,
  store: PolicyStore,
  medium: Medium | undefined,
): Promise<VerifiedUpdate> {
  const staged = await stageRepository({
    path,
    area,
    site,
    ...(medium === undefined ? {} : { medium }),
    ...(limits === undefined ? {} : { limits }),
  });
  try {
    const trustedRoot = readBounded(root, ROOT_MAX_BYTES);
    const verify = (trustedMetadataDir: string | null, expiry: 'enforce' | 'ignore' = 'enforce') =>
      verifyUpdate({ repositoryDir: staged, trustedRoot, trustedMetadataDir, site, now, expiry });
    const current = store.trustedMetadataDir(inForce?.updateId ?? null);
    const waiting = store.trustedMetadataDir(newest ?? null) ?? current;
    if (inForce?.digests.some((digest) => store.bundle(digest) === null)) {
      // It is in force, expired or not: what was damaged here may come back from its own medium.
      const repair = await verify(current, 'ignore').catch(() => null);
      if (repair?.updateId === inForce.updateId) return repair;
    }
    if (waiting === current) return await verify(current);
    return await newerOrSame(verify, { current, waiting, inForce: inForce?.updateId ?? null });
  } finally {
    clearStaging(area);
  }
}

/**
 * Where an update waits to be put in force, its metadata is the measure: it was verified, so nothing older may take its
 * place, and nothing that only keys sign which it took away (TUF §5.3: roots count when they are seen). The very update in
 * force may come again, to repair what was damaged here.
 */
async function newerOrSame(
  verify: (trustedMetadataDir: string | null) => Promise<VerifiedUpdate>,
  dirs: { current: string | null; waiting: string | null; inForce: string | null },
): Promise<VerifiedUpdate> {
  try {
    return await verify(dirs.waiting);
  } catch (error) {
    if (dirs.inForce === null) throw error;
    const again = await verify(dirs.current).catch(() => null);
    if (again?.updateId !== dirs.inForce) throw error;
    return again;
  }
}

/** Keys of the bundles in force: they were looked at when those came. */
function provenKeys({ inForce }: JudgeJob, store: PolicyStore): ReadonlySet<string> {
  const bundles = (inForce?.digests ?? []).map((digest) => store.bundle(digest));
  return new Set(
    bundles.flatMap((bytes) =>
      bytes === null ? [] : keyLines(JSON.parse(Buffer.from(bytes).toString('utf8')) as Bundle),
    ),
  );
}

/** A signed bundle may be defective all the same; one defect anywhere, and nothing of the update is used. */
function checkBundles(
  bundles: VerifiedUpdate['bundles'],
  proven: ReadonlySet<string>,
): ReadonlyMap<string, CompiledBundle> {
  const checked = [...bundles].map(([digest, bytes]) => {
    try {
      return [digest, compileBundle(parseBundle(bytes).bundle, digest, proven)] as const;
    } catch (error) {
      if (!(error instanceof BoundaryError)) throw error;
      throw notAccepted(
        'update.bundle_defective',
        `the bundle ${digest} is defective: ${error.message}`,
        error,
      );
    }
  });
  return new Map(checked);
}

/** Numbers for the record. Not having them is no reason to keep a site from an update that may revoke a key. */
function flipsOf(
  ledger: LedgerToRead,
  { environments }: SiteTarget,
  bundles: ReadonlyMap<string, CompiledBundle>,
): FlipCounts | null {
  const candidate = new Map<string, CompiledBundle>();
  for (const [environment, { digest }] of Object.entries(environments)) {
    const bundle = bundles.get(digest);
    if (bundle !== undefined) candidate.set(environment, bundle);
  }
  try {
    return countFlips(ledger, candidate);
  } catch {
    return null;
  }
}
