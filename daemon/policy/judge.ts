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
  /** The site's inbox, where the private copy is made. */
  inbox: string;
  site: string;
  /** The policy store's directory. */
  store: string;
  /** File of the root pinned at provisioning. */
  root: string;
  /** The update in force and its bundles; null before the first. */
  inForce: { updateId: string; digests: string[] } | null;
  /** Milliseconds since 1970; the best lower bound of the time. */
  now: number;
  /** Where recent decisions are counted that the update would have changed; null: they are not. */
  ledger: LedgerToRead | null;
  limits?: Partial<StagingLimits>;
}

/** An update that was found good in every respect, and lies in the store. */
export interface GoodUpdate extends Pick<VerifiedUpdate, 'updateId' | 'versions' | 'siteTarget'> {
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
  const { updateId, versions, siteTarget } = update;
  const isChange = updateId !== job.inForce?.updateId;
  const bundles = isChange ? checkBundles(update.bundles, provenKeys(job, store)) : null;
  // Durable before the entry that makes it count: an entry must never name a bundle that a power cut took away.
  const good: GoodUpdate = { updateId, versions, siteTarget, added: store.keep(update) };
  onGood(good);
  const flips = bundles === null || job.ledger === null ? null : flipsOf(job.ledger, siteTarget, bundles);
  return { ...good, flips };
}

/** Verifies a private copy: nobody can change or pull what is being judged. */
async function verifyCopy(
  { path, inbox, site, limits, root, inForce, now }: JudgeJob,
  store: PolicyStore,
  medium: Medium | undefined,
): Promise<VerifiedUpdate> {
  const staged = await stageRepository({
    path,
    inbox,
    site,
    ...(medium === undefined ? {} : { medium }),
    ...(limits === undefined ? {} : { limits }),
  });
  try {
    return await verifyUpdate({
      repositoryDir: staged,
      trustedRoot: readBounded(root, ROOT_MAX_BYTES),
      trustedMetadataDir: store.trustedMetadataDir(inForce?.updateId ?? null),
      site,
      now,
      expiry: 'enforce',
    });
  } finally {
    clearStaging(inbox);
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
