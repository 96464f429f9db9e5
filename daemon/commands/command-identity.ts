import { BoundaryError } from '../formats/boundary-error.ts';
import type { PeersConfig } from '../host/config/peers.ts';
import type { SitePaths } from '../host/site.ts';
import { authorityFile, readIdentity, readKeyFile, readPem, type TlsIdentity } from '../identity/files.ts';

/** Names of the files with the certificate and key of whoever runs a command: never the key itself. */
const CERTIFICATE = 'HOLDFAST_TLS_CERT';
const KEY = 'HOLDFAST_TLS_KEY';

/**
 * The certificate that a command shows on the site's sockets: the one that the environment names, else the one of
 * `holdfast.json`, else that of the site's own account, if the caller may read it. Throws BoundaryError `tls.no_identity`.
 */
export function commandIdentity(
  paths: SitePaths,
  { certificate, key }: Pick<PeersConfig, 'certificate' | 'key'>,
  env: Record<string, string | undefined> = process.env,
): TlsIdentity {
  const named = nonEmpty(env[CERTIFICATE]);
  // One file may hold both.
  if (named !== null) return read(paths, named, nonEmpty(env[KEY]) ?? named);
  if (certificate !== null && key !== null) return read(paths, certificate, key);
  try {
    return readIdentity(paths, 'account');
  } catch (cause) {
    if (!(cause instanceof BoundaryError) && !isDenied(cause)) throw cause;
    throw new BoundaryError(
      'tls.no_identity',
      `The sockets of this site answer nobody without a certificate, and none is named; nothing was asked. Name the files with ${CERTIFICATE} and ${KEY}. The site's account makes one: holdfast keys tls issue NAME --spiffe URI -o DIR`,
      { cause },
    );
  }
}

function read(paths: SitePaths, certificate: string, key: string): TlsIdentity {
  return {
    certificate: readPem(certificate),
    key: readKeyFile(key),
    authority: readPem(authorityFile(paths)),
  };
}

function nonEmpty(text: string | undefined): string | null {
  return text === undefined || text === '' ? null : text;
}

function isDenied(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'EACCES' || error.code === 'EPERM');
}
