import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Key, Metadata, Root, Targets } from '@tufjs/models';
import { type SiteTarget, siteTargetName } from '../../daemon/formats/site-target.ts';
import { ROLES } from './keys.ts';
import { repositoryDir } from './publisher.ts';
import { keyName, type RoleKeys, regionsOf, rolesOf } from './roles.ts';
import { readSettings, stagingDir } from './settings.ts';
import { progressOf, signersOf } from './signatures.ts';
import { isStaging, readStaging } from './staging.ts';
import { profileOf, type RepositoryState, readSiteFile, readState } from './state.ts';

/** A key as people know it. */
export interface KeyReport {
  name: string;
  id: string;
}

/** Who signs a role or region. */
export interface RoleReport {
  role: string;
  version: number;
  expires: string;
  threshold: number;
  keys: KeyReport[];
  /** Who signed the version in force. */
  signed: KeyReport[];
  /** Regions only. */
  sites?: string[];
}

/** A site's file in force. */
export interface SiteReport {
  site: string;
  /** Region that signs for it; null for the top-level keys. */
  region: string | null;
  serial: number;
  issued_at: string;
  environments: Record<string, { name: string; version: number; digest: string }>;
}

/** A staged file and whose signatures it has and needs. */
export interface StagedReport {
  file: string;
  expires: string;
  complete: boolean;
  needs: { by: string; threshold: number; signed: KeyReport[]; open: KeyReport[] }[];
}

/** Everything about a publisher's repository: who signed what, what is missing, what expires when. */
export interface RepositoryReport {
  /** Null before the first publication. */
  published: { profile: 'dev' | null; roles: RoleReport[]; sites: SiteReport[] } | null;
  /** Null when nothing waits to be signed. */
  staged: StagedReport[] | null;
}

/** Throws BoundaryError `publish.no_publisher` where nothing is published, staged or set up: a misspelt name looks so. */
export function assertPublisher(dir: string): void {
  if (!isPublished(dir) && !existsSync(stagingDir(dir))) readSettings(dir);
}

/** Reads it all. Throws BoundaryError `publish.no_publisher`, `repository.*`, `staging.*`, `file.*`. */
export function reportOf(dir: string): RepositoryReport {
  assertPublisher(dir);
  const repository = repositoryDir(dir);
  const state = isPublished(dir) ? readState(repository) : null;
  return {
    published:
      state === null
        ? null
        : {
            profile: profileOf(state.root),
            roles: [...topLevel(state), ...regions(state)],
            sites: sites(repository, state),
          },
    staged: isStaging(stagingDir(dir)) ? stagedReport(stagingDir(dir)) : null,
  };
}

function isPublished(dir: string): boolean {
  return existsSync(join(repositoryDir(dir), 'metadata', 'timestamp.json'));
}

/** How far a staging area is, wherever it lies. */
export function stagedReport(dir: string): StagedReport[] {
  return progressOf(readStaging(dir)).map(({ file, metadata, complete, requirements }) => ({
    file,
    expires: metadata.signed.expires,
    complete,
    needs: requirements.map(({ by, threshold, keys, signed }) => ({
      by,
      threshold,
      signed: signed.map(keyReport),
      open: keys.filter((key) => !signed.includes(key)).map(keyReport),
    })),
  }));
}

function topLevel(state: RepositoryState): RoleReport[] {
  const roles = rolesOf(state.root.signed);
  return ROLES.map((role) =>
    roleReport(role, state[role] as Metadata<Root> | Metadata<Targets>, roles[role]),
  );
}

function regions(state: RepositoryState): RoleReport[] {
  return regionsOf(state.targets.signed).flatMap((region) => {
    const metadata = state.regions.get(region.name);
    return metadata === undefined
      ? []
      : [{ ...roleReport(region.name, metadata, region), sites: [...region.sites] }];
  });
}

function roleReport(
  role: string,
  metadata: Metadata<Root> | Metadata<Targets>,
  { keys, threshold }: RoleKeys,
): RoleReport {
  return {
    role,
    version: metadata.signed.version,
    expires: metadata.signed.expires,
    threshold,
    keys: keys.map(keyReport),
    signed: signersOf(metadata, keys).map(keyReport),
  };
}

function sites(repository: string, state: RepositoryState): SiteReport[] {
  const lists: [string | null, Targets][] = [
    [null, state.targets.signed],
    ...[...state.regions].map(([name, { signed }]): [string, Targets] => [name, signed]),
  ];
  return lists
    .flatMap(([region, list]) =>
      Object.keys(list.targets)
        .filter((name) => name.startsWith('sites/'))
        .flatMap((name) => siteReport(region, readSiteFile(repository, list, name), name)),
    )
    .sort((a, b) => (a.site < b.site ? -1 : 1));
}

function siteReport(region: string | null, site: SiteTarget | null, name: string): SiteReport[] {
  if (site === null || siteTargetName(site.site) !== name) return [];
  const environments = Object.fromEntries(
    Object.entries(site.environments).map(([environment, pinned]) => [
      environment,
      { name: pinned.name, version: pinned.version, digest: pinned.digest },
    ]),
  );
  return [{ site: site.site, region, serial: site.serial, issued_at: site.issued_at, environments }];
}

function keyReport(key: Key): KeyReport {
  return { name: keyName(key), id: key.keyID };
}
