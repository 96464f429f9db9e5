import { existsSync } from 'node:fs';
import type { LogKey, LogLineage } from '../formats/log-keys.ts';
import { errorCode } from '../host/durable-file.ts';
import { readLineage } from '../host/log-lineage.ts';
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
  /** Of a ledger key: the sizes of the checkpoints that it may sign, `from < size <= until`. */
  signs: Pick<LogKey, 'from' | 'until'> | null;
}

/** What the site's files say of its keys. `hidden`: certificates are left out, because the caller may not look. */
export function knownKeys(paths: SitePaths): { keys: KnownKey[]; hidden: boolean } {
  const keys = readLineage(paths.trust).flatMap(ledgerKeys);
  const authority = authorityFile(paths);
  if (existsSync(authority)) {
    const { fingerprint } = certificateIn(readPem(authority));
    keys.push({ ...NOTHING, purpose: 'certificate authority', public_side: fingerprint });
  }
  const issued = issuedKeys(paths);
  return { keys: [...keys, ...(issued ?? [])], hidden: issued === null };
}

/** The keys of one log, the newest first. */
function ledgerKeys({ origin, keys }: LogLineage): KnownKey[] {
  return keys.toReversed().map(({ vkey, from, until }) => ({
    ...NOTHING,
    state: until === null ? 'active' : 'replaced',
    purpose: origin.endsWith('/ledger') ? 'ledger' : `ledger ${origin}`,
    public_side: vkey,
    signs: { from, until },
  }));
}

const NOTHING = { state: 'active', made_at: null, spiffe_id: null, signs: null } as const;

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
        signs: null,
      }));
  } catch (error) {
    if (errorCode(error) === 'EACCES') return null;
    if (errorCode(error) === 'ENOENT') return [];
    throw error;
  }
}
