import { type Key, type Root, TargetFile, type Targets } from '@tufjs/models';
import { type Bundle, parseBundle } from '../../daemon/core/bundle.ts';
import { BoundaryError } from '../../daemon/formats/boundary-error.ts';
import { canonicalText } from '../../daemon/formats/canonical-json.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import {
  bundleTargetName,
  type EnvironmentTarget,
  isTargetName,
  parseSiteTarget,
  type SiteTarget,
  siteTargetName,
} from '../../daemon/formats/site-target.ts';
import { ROLES } from './keys.ts';
import { buildRoot, buildTargets, keyIdOf, keyName, type RoleKeys, regionsOf, rolesOf } from './roles.ts';
import { readStagedTarget, type StagedFile, type Staging } from './staging.ts';
import { droppedWords, isDropped } from './words-dropped.ts';

/** Puts a policy's change into sentences. */
export type DescribeBundles = (before: Bundle | null, after: Bundle) => string[];

/**
 * What signing a staged file says yes to, in words, one line each; what belongs to a line stands below it, indented. The
 * files behind the words were checked against the digests that are signed. Throws BoundaryError `sign.not_as_shown` when
 * they cannot be shown or contradict themselves: nobody should sign what they cannot see.
 */
export function describeStaged(staging: Staging, file: StagedFile, describe: DescribeBundles): string[] {
  const { role, metadata } = file;
  assertNothingElse(file);
  const { version, expires } = metadata.signed;
  const head = `${role} version ${version}, valid until ${expires}`;
  if (role === 'root')
    return [head, ...rootWords(staging.before.root?.signed ?? null, metadata.signed as Root)];
  const list = metadata.signed as Targets;
  const before = role === 'targets' ? staging.before.targets : staging.before.regions.get(role);
  const words = [
    ...(role === 'targets' ? regionWords(before?.signed ?? null, list) : scopeWords(staging, role, list)),
    ...targetWords(staging, before?.signed ?? null, list, describe),
  ];
  return [
    head,
    ...(words.length === 0
      ? [
          before === undefined || before === null
            ? '  An empty list.'
            : '  The same as before, only signed again.',
        ]
      : words),
  ];
}

/**
 * The words speak of keys, thresholds, regions, files, versions and times. A file that says anything beside that (a stamp, a
 * member that some reader knows, a key under a foreign id) would be signed unread.
 */
function assertNothingElse({ role, file, metadata }: StagedFile): void {
  const { version, expires } = metadata.signed;
  const keys =
    role === 'root'
      ? Object.values((metadata.signed as Root).keys)
      : Object.values((metadata.signed as Targets).delegations?.keys ?? {});
  if (keys.some((key) => key.keyID !== keyIdOf(key)))
    throw notShown(`a key in ${file} stands under an id that is not its own`);
  const spoken =
    role === 'root'
      ? buildRoot({ version, expires, roles: rolesOf(metadata.signed as Root), profile: null })
      : buildTargets({
          version,
          expires,
          targets: Object.fromEntries(
            Object.entries((metadata.signed as Targets).targets).map(([path, { length, hashes }]) => [
              path,
              new TargetFile({ path, length, hashes: { sha256: hashes.sha256 ?? '' } }),
            ]),
          ),
          regions: regionsOf(metadata.signed as Targets),
        });
  const text = (signed: Root | Targets): string => canonicalText(signed.toJSON() as JsonObject);
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(expires) || text(spoken) !== text(metadata.signed))
    throw notShown(`${file} says more than can be put into words here`);
}

function rootWords(before: Root | null, after: Root): string[] {
  const old = before === null ? null : rolesOf(before);
  const words = ROLES.flatMap((role) => keyWords(role, old?.[role] ?? null, rolesOf(after)[role]));
  return words.length === 0 ? ['  The same keys as before, only signed again.'] : words;
}

/** How the keys of a role or region change; nothing when they do not. */
function keyWords(role: string, before: RoleKeys | null, after: RoleKeys): string[] {
  const rule = ({ keys, threshold }: RoleKeys): string => `${threshold} of ${keys.length}`;
  if (before === null) return [`  ${role}: ${rule(after)} must sign: ${after.keys.map(named).join(', ')}`];
  const has = (keys: readonly Key[], key: Key): boolean => keys.some(({ keyID }) => keyID === key.keyID);
  const added = after.keys.filter((key) => !has(before.keys, key));
  const gone = before.keys.filter((key) => !has(after.keys, key));
  if (added.length === 0 && gone.length === 0 && before.threshold === after.threshold) return [];
  return [
    `  ${role}: ${rule(after)} must sign (so far ${rule(before)})`,
    ...added.map((key) => `    from now on: ${named(key)}`),
    ...gone.map((key) => `    no longer: ${named(key)}`),
    ...(after.threshold < before.threshold ? ['    FEWER signatures than so far will do.'] : []),
  ];
}

function regionWords(before: Targets | null, after: Targets): string[] {
  const old = new Map((before === null ? [] : regionsOf(before)).map((region) => [region.name, region]));
  const now = regionsOf(after);
  return [
    ...now.flatMap((region) => {
      const known = old.get(region.name);
      const sites = region.sites.filter((site) => known?.sites.includes(site) !== true);
      const gone = known?.sites.filter((site) => !region.sites.includes(site)) ?? [];
      return [
        ...keyWords(`region ${region.name}`, known ?? null, region),
        ...sites.map((site) => `  region ${region.name} will sign for ${site}`),
        ...gone.map((site) => `  region ${region.name} will no longer sign for ${site}`),
      ];
    }),
    ...[...old.keys()]
      .filter((name) => !now.some((region) => region.name === name))
      .map((name) => `  region ${name} is dissolved`),
  ];
}

/** A region signs for its own sites only; anything else would be refused by every site. */
function scopeWords(staging: Staging, role: string, list: Targets): string[] {
  const targets = staging.targets ?? staging.before.targets;
  const region = targets === null ? undefined : regionsOf(targets.signed).find(({ name }) => name === role);
  const own = (region?.sites ?? []).map(siteTargetName);
  const stray = Object.keys(list.targets).find((name) => !own.includes(name));
  if (stray !== undefined || region === undefined)
    throw notShown(`${role} would speak for ${stray ?? 'sites'}, which was not given to it`);
  return [];
}

function targetWords(
  staging: Staging,
  before: Targets | null,
  after: Targets,
  describe: DescribeBundles,
): string[] {
  const names = [...new Set([...Object.keys(before?.targets ?? {}), ...Object.keys(after.targets)])].sort();
  const dropped = names.filter((name) => isDropped(name, after));
  const told = names
    .filter((name) => !dropped.includes(name))
    .flatMap((name) => {
      const old = own(before, name);
      const now = own(after, name);
      if (old?.hashes.sha256 === now?.hashes.sha256) return [];
      if (now === undefined) return [`  ${name} is no longer listed here`];
      if (!isTargetName(name))
        throw notShown(`${JSON.stringify(name.slice(0, 200))} is no name for a file of ours`);
      if (name.startsWith('sites/')) return siteWords(staging, name, now, describe);
      const { metadata } = bundleOf(staging, name, now);
      if (bundleTargetName(metadata.name, metadata.version) !== name)
        throw notShown(`${name} is the bundle ${metadata.name}@${metadata.version}`);
      return [
        `  new bundle ${metadata.name} version ${metadata.version} (${now.length} bytes, SHA-256 ${now.hashes.sha256})`,
        `    for ${metadata.sites.join(', ')}, issued ${metadata.issued_at}`,
      ];
    });
  return [...told, ...droppedWords(dropped)];
}

function siteWords(staging: Staging, name: string, now: TargetFile, describe: DescribeBundles): string[] {
  const after = siteOf(staging, name, now);
  const old = inForce(staging, name);
  const before = old === null ? null : siteOf(staging, name, old);
  const environments = new Set([
    ...Object.keys(before?.environments ?? {}),
    ...Object.keys(after.environments),
  ]);
  const said = new Map<string, string>();
  return [
    `  ${after.site}: serial ${before === null ? '' : `${before.serial} → `}${after.serial}, issued ${after.issued_at}`,
    ...timeWords(before, after),
    ...[...environments].flatMap((environment) => {
      const from = before?.environments[environment];
      const to = after.environments[environment];
      if (to === undefined) return [`    ${environment} gets no policy any more: everything is denied there`];
      const shadow = shadowWords(staging, after.site, environment, from, to);
      if (from?.digest === to.digest) return shadow;
      const next = bundleOf(staging, to.path, listed(staging, to.path));
      assertMeantFor(after.site, environment, next, to);
      const previous = from === undefined ? null : bundleOf(staging, from.path, listed(staging, from.path));
      const title = from === undefined ? 'nothing' : `${from.name}@${from.version}`;
      return [
        `    ${environment}: ${title} → ${to.name}@${to.version} (SHA-256 ${to.digest})`,
        ...changeWords(said, environment, [from?.digest, to.digest], () => describe(previous, next)),
        ...shadow,
      ];
    }),
  ];
}

/** A change that another environment makes too is said once: a signer who skims over a copy misses what is not one. */
function changeWords(
  said: Map<string, string>,
  environment: string,
  change: readonly (string | undefined)[],
  describe: () => string[],
): string[] {
  const known = said.get(change.join(' '));
  if (known !== undefined) return [`      The same change as in ${known}.`];
  said.set(change.join(' '), environment);
  return describe().map((line) => `      ${line}`);
}

/** What an environment has in shadow from now on, where that changes. */
function shadowWords(
  staging: Staging,
  site: string,
  environment: string,
  from: EnvironmentTarget | undefined,
  { shadow }: EnvironmentTarget,
): string[] {
  const text = (target: object | undefined): string => canonicalText((target ?? null) as JsonObject | null);
  if (text(from?.shadow) === text(shadow)) return [];
  if (shadow === undefined)
    return [`    ${environment}: ${from?.shadow?.name}@${from?.shadow?.version} is in shadow no longer`];
  assertMeantFor(site, environment, bundleOf(staging, shadow.path, listed(staging, shadow.path)), shadow);
  const asked = shadow.classes === undefined ? 'every action class' : shadow.classes.join(', ');
  return [
    `    ${environment}: ${shadow.name}@${shadow.version} in shadow (SHA-256 ${shadow.digest})`,
    `      judged beside what is in force for ${asked}, recorded, never enforced`,
  ];
}

function timeWords(before: SiteTarget | null, after: SiteTarget): string[] {
  if (after.effective_at !== undefined) return [`    takes effect at ${after.effective_at}, not before`];
  const pending = before?.effective_at;
  return pending !== undefined && pending > after.issued_at
    ? [`    takes effect at once, no longer at ${pending}`]
    : [];
}

function siteOf(staging: Staging, name: string, info: TargetFile): SiteTarget {
  const site = parseSiteTarget(bytesOf(staging, name, info));
  if (siteTargetName(site.site) !== name) throw notShown(`${name} calls itself ${site.site}`);
  return site;
}

function bundleOf(staging: Staging, name: string, info: TargetFile | null): Bundle {
  return parseBundle(bytesOf(staging, name, info)).bundle;
}

function assertMeantFor(
  site: string,
  environment: string,
  { metadata, environments }: Bundle,
  pinned: { name: string; version: number },
): void {
  if (metadata.name !== pinned.name || metadata.version !== pinned.version)
    throw notShown(
      `the bundle calls itself ${metadata.name}@${metadata.version}, not ${pinned.name}@${pinned.version}`,
    );
  if (!metadata.sites.includes(site))
    throw notShown(`the bundle does not name ${site}, which would refuse it`);
  if (!Object.hasOwn(environments, environment)) throw notShown(`the bundle does not know ${environment}`);
}

function bytesOf(staging: Staging, name: string, info: TargetFile | null): Uint8Array {
  const bytes = info === null ? null : readStagedTarget(staging.dir, name, info);
  if (bytes === null) throw notShown(`the file ${name} is not in the staging area`);
  return bytes;
}

/** A bundle as the top-level list will name it. */
function listed({ targets, before }: Staging, name: string): TargetFile | null {
  return (
    own(targets?.signed ?? before.targets?.signed ?? null, name) ??
    own(before.targets?.signed ?? null, name) ??
    null
  );
}

/** A site's file as readers find it now, whoever signed for it. */
function inForce({ before }: Staging, name: string): TargetFile | null {
  const lists = [before.targets, ...before.regions.values()];
  return lists.map((list) => own(list?.signed ?? null, name)).find((info) => info !== undefined) ?? null;
}

function own(list: Targets | null, name: string): TargetFile | undefined {
  return list !== null && Object.hasOwn(list.targets, name) ? list.targets[name] : undefined;
}

function named(key: Key): string {
  return `${keyName(key)} (${key.keyID.slice(0, 16)})`;
}

function notShown(why: string): BoundaryError {
  return new BoundaryError(
    'sign.not_as_shown',
    `What is staged cannot be shown truthfully: ${why}. Nothing was signed. Get the staging area again from whoever made it.`,
  );
}
