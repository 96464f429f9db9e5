import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { errorCode } from '../host/durable-file.ts';
import type { SitePaths } from '../host/site.ts';
import { authorityFile, readPem, registerDirectory } from '../identity/files.ts';
import { Register } from '../identity/register.ts';
import { certificateIn } from '../identity/tls.ts';

/** One key or certificate of a site; never the secret. */
export interface KnownKey {
  purpose: string;
  state: 'active' | 'replaced';
  made_at: string | null;
  /** What others know it by: a vkey, or the SHA-256 of a certificate. */
  public_side: string;
  spiffe_id: string | null;
}

/** What the site's files say of its keys. `hidden`: certificates are left out, because the caller may not look. */
export function knownKeys(paths: SitePaths): { keys: KnownKey[]; hidden: boolean } {
  const keys: KnownKey[] = readPem(join(paths.trust, 'ledger.vkey'))
    .split('\n')
    .filter((vkey) => vkey !== '')
    .map((vkey) => ({ ...NOTHING, purpose: 'ledger', public_side: vkey }));
  const authority = authorityFile(paths);
  if (existsSync(authority)) {
    const { fingerprint } = certificateIn(readPem(authority));
    keys.push({ ...NOTHING, purpose: 'certificate authority', public_side: fingerprint });
  }
  const issued = issuedKeys(paths);
  return { keys: [...keys, ...(issued ?? [])], hidden: issued === null };
}

const NOTHING = { state: 'active', made_at: null, spiffe_id: null } as const;

/** Null when the caller may not look. */
function issuedKeys(paths: SitePaths): KnownKey[] | null {
  try {
    return new Register(registerDirectory(paths))
      .list()
      .map(({ spiffe_id, state, issued_at, fingerprint }) => ({
        purpose: spiffe_id,
        state,
        made_at: issued_at,
        public_side: fingerprint,
        spiffe_id,
      }));
  } catch (error) {
    if (errorCode(error) === 'EACCES') return null;
    if (errorCode(error) === 'ENOENT') return [];
    throw error;
  }
}
