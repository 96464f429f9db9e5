import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { BoundaryError } from '../formats/boundary-error.ts';
import { spiffeIdOf } from '../formats/spiffe.ts';
import { makeDir, writeDurable } from '../host/durable-file.ts';
import { type KeyEncryptionKey, readKey, writeKey } from '../host/key-wrap.ts';
import type { SitePaths } from '../host/site.ts';
import {
  type Authority,
  certifyRequest,
  type IssuedCertificate,
  issueCertificate,
  newAuthority,
  openAuthority,
  type Subject,
} from './authority.ts';
import {
  AUTHORITY_KEY,
  authorityFile,
  identityFile,
  PEM_MAX_BYTES,
  readPem,
  registerDirectory,
  SITE_ROLES,
  type SiteRole,
} from './files.ts';
import { Register } from './register.ts';

const USES: Readonly<Record<SiteRole, Subject['use']>> = {
  daemon: 'server',
  gateway: 'both',
  sync: 'client',
  account: 'client',
};

/**
 * Makes a site's authority, and a certificate for each of its parts; what is there already stays as it is. Returns what
 * was made. A missing certificate of the authority with its key still there is not made up for: see `loadAuthority`.
 */
export async function setUpTls(
  paths: SitePaths,
  site: string,
  now: number,
  kek: KeyEncryptionKey | null = null,
): Promise<{ authority: boolean; roles: SiteRole[] }> {
  makeDir(join(paths.state, 'tls'), 0o700);
  makeDir(registerDirectory(paths), 0o700);
  const isNew = !existsSync(join(paths.keys, AUTHORITY_KEY));
  if (isNew) {
    const { certificate, key } = await newAuthority(site);
    writeDurable(authorityFile(paths), Buffer.from(certificate, 'utf8'), 0o644);
    // Last: with the key the authority exists.
    writeKey(join(paths.keys, AUTHORITY_KEY), Buffer.from(key, 'utf8'), 'tls-authority', kek);
  }
  const authority = await loadAuthority(paths, kek);
  // What another authority certified is of no use any more.
  const roles = SITE_ROLES.filter((role) => isNew || !existsSync(identityFile(paths, role)));
  for (const role of roles) await issueRole({ paths, site, now, authority }, role);
  return { authority: isNew, roles };
}

/** Where and when certificates are issued. */
export interface Issuing {
  paths: SitePaths;
  site: string;
  now: number;
  authority: Authority;
}

/** Opens the site's authority. Throws BoundaryError `authority.missing`, `authority.malformed` or `secret.*`. */
export async function loadAuthority(
  paths: SitePaths,
  kek: KeyEncryptionKey | null = null,
): Promise<Authority> {
  const key = join(paths.keys, AUTHORITY_KEY);
  if (!existsSync(key)) {
    throw new BoundaryError(
      'authority.missing',
      'This site has no authority for certificates yet; nothing was issued. Make one: holdfast keys tls setup',
      { at: key },
    );
  }
  const pem = Buffer.from(readKey(key, PEM_MAX_BYTES, 'tls-authority', kek)).toString('utf8');
  return openAuthority({ certificate: readPem(authorityFile(paths)), key: pem });
}

/**
 * A new certificate for a part of the site, in its file; `replaces` is the fingerprint of the one before. For parts whose
 * directory is at hand; the others ask for theirs (`renew.ts`).
 */
export async function issueRole(
  issuing: Issuing,
  role: SiteRole,
  replaces: string | null = null,
): Promise<string> {
  const subject = { name: role, spiffe_id: spiffeIdOf(issuing.site, `/${role}`), use: USES[role] };
  const issued = await issueCertificate(issuing.authority, subject);
  remember(issuing, subject, issued, replaces);
  const path = identityFile(issuing.paths, role);
  makeDir(dirname(path), 0o700);
  writeDurable(path, Buffer.from(`${issued.pem}${issued.key}`, 'utf8'), 0o600);
  return issued.fingerprint;
}

/** A new key and certificate for a principal. */
export async function issuePrincipal(
  issuing: Issuing,
  { name, spiffe_id }: { name: string; spiffe_id: string },
): Promise<IssuedCertificate & { key: string }> {
  const subject: Subject = { name, spiffe_id, use: 'client' };
  const issued = await issueCertificate(issuing.authority, subject);
  remember(issuing, subject, issued, null);
  return issued;
}

/** A certificate for the same principal or part as before, for a new key that only its sender has. */
export async function renewByRequest(
  issuing: Issuing,
  before: { name: string; spiffe_id: string; fingerprint: string },
  csr: string,
): Promise<IssuedCertificate> {
  const { name, spiffe_id, fingerprint } = before;
  const role = SITE_ROLES.find((part) => spiffe_id === spiffeIdOf(issuing.site, `/${part}`));
  const subject: Subject = { name, spiffe_id, use: role === undefined ? 'client' : USES[role] };
  const issued = await certifyRequest(issuing.authority, subject, csr);
  remember(issuing, subject, issued, fingerprint);
  return issued;
}

function remember(
  { paths, now }: Issuing,
  { name, spiffe_id }: Subject,
  { fingerprint, serial }: IssuedCertificate,
  replaces: string | null,
): void {
  const issued_at = new Date(now).toISOString();
  new Register(registerDirectory(paths)).add({
    fingerprint,
    spiffe_id,
    name,
    serial,
    issued_at,
    replaces,
    state: 'active',
  });
}
