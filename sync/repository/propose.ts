import { existsSync, readdirSync } from 'node:fs';
import { type Key, Metadata, TargetFile, type Targets } from '@tufjs/models';
import { BoundaryError } from '../../daemon/formats/boundary-error.ts';
import { sha256Hex } from '../../daemon/formats/digest.ts';
import { bundleTargetName, formatSiteTarget, siteTargetName } from '../../daemon/formats/site-target.ts';
import { makeDir } from '../../daemon/host/durable-file.ts';
import {
  type Draft,
  draftRegion,
  draftRoot,
  draftSiteFile,
  draftTargets,
  openDraft,
  putRegion,
  putRoot,
  putTargets,
  saveDraft,
} from './draft.ts';
import { assertNotDropped } from './dropped.ts';
import { ROLES, type RoleName } from './keys.ts';
import type { Lifetimes } from './metadata.ts';
import { keyName, type Region, type RoleKeys, regionsOf, rolesOf } from './roles.ts';
import { writeSettings } from './settings.ts';
import {
  assertVersionFree,
  type BundleFile,
  type EffectiveAt,
  nextSiteTarget,
  type ShadowFile,
} from './site-file.ts';
import type { StagedFile } from './staging.ts';

/*
 * Each of these makes unsigned metadata in the staging area and changes nothing that readers see.
 */

/** A new publisher in `dir` (missing or empty but for `keys/`): the first root and an empty list of targets, to be signed. */
export function proposeFirst(
  dir: string,
  { roles, lifetimes, now }: { roles: Record<RoleName, RoleKeys>; lifetimes: Lifetimes; now: number },
): StagedFile[] {
  if (existsSync(dir) && readdirSync(dir).some((name) => name !== 'keys'))
    throw new BoundaryError(
      'repository.exists',
      `There are files in ${dir} already; nothing was written. Repositories are added to, never made anew.`,
      { at: dir },
    );
  for (const role of ROLES) assertKeys(role, roles[role]);
  makeDir(dir, 0o755);
  writeSettings(dir, lifetimes);
  const draft = openDraft(dir, now);
  putRoot(draft, roles);
  putTargets(draft);
  return saveDraft(draft);
}

/** What `proposePublication` staged. */
export interface Proposal {
  staged: StagedFile[];
  digest: string;
  serial: number;
  /** The region that signs for the site; null for the top-level keys. */
  region: string | null;
}

/**
 * A bundle for some environments of a site: the bundle under the top-level keys, the site's file under those of its
 * region, if it has one. Throws BoundaryError `publish.version_taken`, `publish.not_newer`, `staging.signed`.
 */
export function proposePublication(
  dir: string,
  change: {
    bundle: BundleFile;
    site: string;
    environments: readonly string[];
    now: number;
    effective_at?: EffectiveAt;
    shadow?: ShadowFile | undefined;
  },
): Proposal {
  const { bundle, site, environments, now, shadow } = change;
  const draft = openDraft(dir, now);
  for (const file of [bundle, ...(shadow === undefined ? [] : [shadow.bundle])]) {
    const path = bundleTargetName(file.name, file.version);
    assertVersionFree(file, draftTargets(draft).targets[path]);
    assertNotDropped(dir, file);
    if (!Object.hasOwn(draftTargets(draft).targets, path)) addTarget(draft, null, path, file.bytes);
  }
  const name = siteTargetName(site);
  const region = regionsOf(draftTargets(draft)).find(({ sites }) => sites.includes(site))?.name ?? null;
  const list = region === null ? draftTargets(draft) : draftRegion(draft, region);
  const siteTarget = nextSiteTarget(draftSiteFile(draft, name, list), {
    site,
    environments,
    bundle,
    shadow,
    profile: null,
    now,
    effective_at: change.effective_at,
  });
  addTarget(draft, region, name, Buffer.from(formatSiteTarget(siteTarget), 'utf8'));
  const staged = saveDraft(draft);
  return { staged, digest: sha256Hex(bundle.bytes), serial: siteTarget.serial, region };
}

/**
 * Gives sites to a region: a new one with `keys`, or more sites for one that is there. The files of sites that had some
 * move along. Throws BoundaryError `region.*`, `role.*`, `staging.signed`.
 */
export function proposeDelegation(
  dir: string,
  change: { region: string; sites: readonly string[]; keys: RoleKeys | null; now: number },
): StagedFile[] {
  const draft = openDraft(dir, change.now);
  const regions = regionsOf(draftTargets(draft));
  const known = regions.find(({ name }) => name === change.region);
  if (known !== undefined && change.keys !== null)
    throw new BoundaryError(
      'region.exists',
      `${change.region} has keys already; nothing was staged. Change them with "repo rotate ${change.region}".`,
    );
  const keys = known ?? change.keys;
  if (keys === null)
    throw new BoundaryError(
      'region.unknown',
      `There is no region ${change.region} yet; nothing was staged. Give its keys with --key.`,
    );
  const next: Region = {
    name: change.region,
    keys: keys.keys,
    threshold: keys.threshold,
    sites: [...new Set([...(known?.sites ?? []), ...change.sites])],
  };
  assertKeys(change.region, next);
  moveSites(draft, regions, next, change.sites);
  return saveDraft(draft);
}

/**
 * Takes sites back from their regions: the top-level targets keys speak for them again, and their files move along. A region
 * that is left without sites is dissolved; one that keeps some must sign its list anew. Throws BoundaryError
 * `region.not_delegated`, `staging.signed`.
 */
export function proposeReturn(dir: string, change: { sites: readonly string[]; now: number }): StagedFile[] {
  const draft = openDraft(dir, change.now);
  const regions = regionsOf(draftTargets(draft));
  const own = change.sites.find((site) => !regions.some(({ sites }) => sites.includes(site)));
  if (own !== undefined)
    throw new BoundaryError(
      'region.not_delegated',
      `No region signs for ${own.slice(0, 200)}; nothing was staged. The targets keys do already, or nobody does ("repo show" tells).`,
    );
  moveSites(draft, regions, null, change.sites);
  return saveDraft(draft);
}

/** The same again with a later expiry, for `root`, `targets` or a region. Throws BoundaryError `role.unknown`, `staging.signed`. */
export function proposeRenewal(dir: string, { role, now }: { role: string; now: number }): StagedFile[] {
  const draft = openDraft(dir, now);
  const region = draftRegion(draft, role);
  if (role === 'root') putRoot(draft, rolesOf(draftRoot(draft)));
  else if (role === 'targets') putTargets(draft);
  else if (region !== null) putRegion(draft, role, region.targets);
  else
    throw new BoundaryError(
      'role.unknown',
      `People sign root, targets and regions, not ${role.slice(0, 64)}; nothing was staged. The online key's files are renewed by "repo refresh".`,
    );
  return saveDraft(draft);
}

/** Changes who signs a role or region, and stages again what would no longer be signed by enough of them. */
export function proposeKeys(
  dir: string,
  { role, change, now }: { role: string; change: (keys: RoleKeys) => RoleKeys; now: number },
): StagedFile[] {
  const draft = openDraft(dir, now);
  changeKeys(draft, role, change);
  resignOrphans(draft);
  return saveDraft(draft);
}

/**
 * Takes a key (its id, the start of it, or its holder's name) out of every role and region, puts `replacement` in its
 * place, and stages again what it had signed. Throws BoundaryError `key.unknown`, `role.threshold`, `staging.signed`.
 */
export function proposeRevocation(
  dir: string,
  change: { key: string; replacement: RoleKeys['keys']; now: number },
): { roles: string[]; staged: StagedFile[] } {
  const draft = openDraft(dir, change.now);
  const root = draftRoot(draft);
  const everyone: (readonly [string, RoleKeys])[] = [
    ...ROLES.map((role) => [role, rolesOf(root)[role]] as const),
    ...regionsOf(draftTargets(draft)).map((region) => [region.name, region] as const),
  ];
  const isGone = (key: Key): boolean => isKey(key, change.key);
  const roles = everyone.filter(([, { keys }]) => keys.some(isGone)).map(([role]) => role);
  if (roles.length === 0)
    throw new BoundaryError('key.unknown', 'No role or region has such a key; nothing was staged.');
  for (const role of roles)
    changeKeys(draft, role, ({ keys, threshold }) => ({
      threshold,
      keys: [
        ...keys.filter((key) => !isGone(key)),
        ...change.replacement.filter((key) => !keys.some(({ keyID }) => keyID === key.keyID)),
      ],
    }));
  resignOrphans(draft);
  return { roles, staged: saveDraft(draft) };
}

/** Whether somebody who says `wanted` means this key. */
export function isKey(key: Key, wanted: string): boolean {
  return keyName(key) === wanted || (/^[0-9a-f]{8,64}$/.test(wanted) && key.keyID.startsWith(wanted));
}

function changeKeys(draft: Draft, role: string, change: (keys: RoleKeys) => RoleKeys): void {
  const topLevel = ROLES.find((name) => name === role);
  if (topLevel !== undefined) {
    const roles = rolesOf(draftRoot(draft));
    const next = change(roles[topLevel]);
    assertKeys(topLevel, next);
    putRoot(draft, { ...roles, [topLevel]: next });
    return;
  }
  const regions = regionsOf(draftTargets(draft));
  const region = regions.find(({ name }) => name === role);
  if (region === undefined)
    throw new BoundaryError(
      'role.unknown',
      `There is no role or region ${role.slice(0, 64)}; there are ${[...ROLES, ...regions.map(({ name }) => name)].join(', ')}. Nothing was staged.`,
    );
  const next = { ...region, ...change(region) };
  assertKeys(role, next);
  putTargets(draft, { regions: regions.map((other) => (other === region ? next : other)) });
}

/** What was signed by keys that count no longer must be signed again, or no reader would accept it. */
function resignOrphans(draft: Draft): void {
  const { before } = draft;
  if (before === null) return;
  const root = new Metadata(draftRoot(draft));
  if (draft.targets === null && !isSignedFor(root, 'targets', before.targets)) putTargets(draft);
  const targets = new Metadata(draftTargets(draft));
  for (const [name, region] of before.regions) {
    const stays = regionsOf(targets.signed).some((other) => other.name === name);
    if (stays && !draft.regions.has(name) && !isSignedFor(targets, name, region))
      putRegion(draft, name, region.signed.targets);
  }
}

function isSignedFor(
  delegator: Metadata<ReturnType<typeof draftRoot>> | Metadata<Targets>,
  role: string,
  metadata: Metadata<Targets>,
): boolean {
  try {
    delegator.verifyDelegate(role, metadata);
    return true;
  } catch {
    return false;
  }
}

/** Takes sites from wherever they were listed and gives them, with their files, to `next`; null: to the top-level keys. */
function moveSites(
  draft: Draft,
  regions: readonly Region[],
  next: Region | null,
  sites: readonly string[],
): void {
  const moved: Record<string, TargetFile> = {};
  const without = (list: Targets): Record<string, TargetFile> => {
    const kept = { ...list.targets };
    for (const name of sites.map(siteTargetName)) {
      if (kept[name] !== undefined) moved[name] = kept[name];
      delete kept[name];
    }
    return kept;
  };
  const others = regions.filter(({ name }) => name !== next?.name);
  const left = others
    .map((region) => ({ ...region, sites: region.sites.filter((site) => !sites.includes(site)) }))
    .filter((region) => region.sites.length > 0);
  for (const { name, sites: own } of others) {
    const list = draftRegion(draft, name);
    if (list === null || !own.some((site) => sites.includes(site))) continue;
    const kept = without(list);
    // A region without sites is dissolved: nobody signs for it any more.
    if (left.some((region) => region.name === name)) putRegion(draft, name, kept);
    else draft.regions.delete(name);
  }
  const top = without(draftTargets(draft));
  if (next === null) {
    putTargets(draft, { targets: { ...top, ...moved }, regions: left });
    return;
  }
  putTargets(draft, { targets: top, regions: [...left, next] });
  putRegion(draft, next.name, { ...draftRegion(draft, next.name)?.targets, ...moved });
}

function addTarget(draft: Draft, region: string | null, name: string, bytes: Uint8Array): void {
  const file = new TargetFile({ path: name, length: bytes.length, hashes: { sha256: sha256Hex(bytes) } });
  draft.files.set(name, bytes);
  if (region === null) putTargets(draft, { targets: { ...draftTargets(draft).targets, [name]: file } });
  else putRegion(draft, region, { ...draftRegion(draft, region)?.targets, [name]: file });
}

/** Throws BoundaryError `role.threshold` unless there are enough different keys. */
function assertKeys(role: string, { keys, threshold }: RoleKeys): void {
  const different = new Set(keys.map(({ keyID }) => keyID)).size;
  if (
    different === keys.length &&
    Number.isSafeInteger(threshold) &&
    threshold >= 1 &&
    threshold <= different
  )
    return;
  throw new BoundaryError(
    'role.threshold',
    different < keys.length
      ? `The same key stands twice in ${role}; nothing was staged.`
      : `${role} would have ${different} keys and needs the signatures of ${threshold}; nothing was staged. Give more keys, or lower the threshold with --threshold.`,
  );
}
