import { resolve } from 'node:path';
import { Command } from 'commander';
import {
  type RepositoryReport,
  type RoleReport,
  reportOf,
  type SiteReport,
} from '../../../sync/repository/report.ts';
import type { SiteOptions } from '../access.ts';
import { print, printJson } from '../render/output.ts';
import { instant, paint, table } from '../render/text.ts';
import { renderStaged } from './staged.ts';

/** Days before an expiry from which on it is pointed at. */
const SOON_DAYS = 30;

/** `repo show`: who signed what, what is missing, what expires when. */
export function showCommand(): Command {
  return new Command('show')
    .description('Tell who signed what, what is missing and what expires when.')
    .argument('<dir>', "publisher's directory")
    .action((dir: string, options: SiteOptions) => {
      const report = reportOf(resolve(dir));
      if (options.json) printJson(report);
      else print(render(report));
    });
}

function render({ published, staged }: RepositoryReport): string {
  const parts = [
    published === null ? 'Nothing is published yet.' : renderRoles(published.roles),
    ...(published === null ? [] : [renderSites(published.sites)]),
    staged === null
      ? 'Nothing waits to be signed.'
      : `${paint('bold', 'To be signed')}\n${renderStaged(staged)}`,
  ];
  return parts.join('\n\n');
}

function renderRoles(roles: readonly RoleReport[]): string {
  return `${paint('bold', 'Published')}\n${table(
    ['role', 'version', 'must sign', 'keys (* signed it)', 'valid until'],
    roles.map(({ role, version, threshold, keys, signed, expires }) => [
      role,
      String(version),
      `${threshold} of ${keys.length}`,
      keys.map(({ name, id }) => `${name}${signed.some((key) => key.id === id) ? '*' : ''}`).join(', '),
      due(expires),
    ]),
  )}`;
}

function renderSites(sites: readonly SiteReport[]): string {
  if (sites.length === 0) return 'No site has policy from here yet.';
  return table(
    ['site', 'signed by', 'serial', 'runs'],
    sites.map(({ site, region, serial, environments }) => [
      site,
      region ?? 'targets',
      String(serial),
      Object.entries(environments)
        .map(([environment, { name, version }]) => `${environment}: ${name}@${version}`)
        .join(', '),
    ]),
  );
}

function due(expires: string): string {
  const days = (Date.parse(expires) - Date.now()) / 86_400_000;
  const text = instant(expires);
  if (days <= 0) return paint('red', `${text}: EXPIRED`);
  return days < SOON_DAYS ? paint('yellow', `${text}: soon`) : text;
}
