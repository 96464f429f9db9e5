import { join } from 'node:path';
import { readBounded } from '../host/durable-file.ts';
import { readSecretFile } from '../host/secret-file.ts';
import type { SitePaths } from '../host/site.ts';

/** The parts of a site that have a certificate of their own, each with its path in the site's trust domain. */
export const SITE_ROLES = ['daemon', 'gateway', 'sync', 'account'] as const;
export type SiteRole = (typeof SITE_ROLES)[number];

/** Largest PEM file that is read. */
export const PEM_MAX_BYTES = 65_536;

/** File of the authority's key, under `state/keys`. */
export const AUTHORITY_KEY = 'tls-authority.key';

/** Public: the certificate that every certificate of the site leads back to. */
export function authorityFile(paths: SitePaths): string {
  return join(paths.trust, 'tls-authority.pem');
}

/** Where the daemon remembers which certificates it gave out. */
export function registerDirectory(paths: SitePaths): string {
  return join(paths.state, 'tls', 'issued');
}

/**
 * Certificate and key of a part of the site, in one file, so that both are renewed at once; 0600, of that part's user.
 * `account` is for commands by whoever has the account of the site.
 */
export function identityFile(paths: SitePaths, role: SiteRole): string {
  const home = { daemon: paths.state, account: paths.state, gateway: paths.gateway, sync: paths.sync }[role];
  return join(home, 'tls', `${role}.pem`);
}

/** What one side of a TLS connection shows and trusts; all PEM. */
export interface TlsIdentity {
  certificate: string;
  key: string;
  authority: string;
}

/** Reads a part's certificate and key, and the site's authority. Throws BoundaryError `file.*`, `secret.*`. */
export function readIdentity(paths: SitePaths, role: SiteRole): TlsIdentity {
  const text = readKeyFile(identityFile(paths, role));
  return { certificate: text, key: text, authority: readPem(authorityFile(paths)) };
}

/** A PEM file that anybody may read. */
export function readPem(path: string): string {
  return Buffer.from(readBounded(path, PEM_MAX_BYTES)).toString('utf8');
}

/** A PEM file with a key: refused when others could have read it. */
export function readKeyFile(path: string): string {
  return Buffer.from(readSecretFile(path, PEM_MAX_BYTES)).toString('utf8');
}
