import { existsSync } from 'node:fs';
import type { LedgerKeysReply } from '../api/client.ts';
import type { LogKey, LogLineage } from '../formats/log-keys.ts';
import type { KeysConfig } from '../host/config/keys.ts';
import type { SecretsConfig } from '../host/config/secrets.ts';
import { errorCode } from '../host/durable-file.ts';
import { readLineage } from '../host/log-lineage.ts';
import type { SitePaths } from '../host/site.ts';
import { authorityFile, readPem, registerDirectory } from '../identity/files.ts';
import { Register } from '../identity/register.ts';
import { certificateIn } from '../identity/tls.ts';

/** One key or certificate of a site; never the secret. */
export interface KnownKey {
  purpose: string;
  state: 'active' | 'replaced' | 'rewrapping' | 'missing';
  made_at: string | null;
  /** What others know it by: a vkey, or the SHA-256 of a certificate. */
  public_side: string;
  spiffe_id: string | null;
  /** Of a ledger key: the sizes of the checkpoints that it may sign, `from < size <= until`. */
  signs: Pick<LogKey, 'from' | 'until'> | null;
  /** What changes it; null where that is up to whoever holds it. */
  rotated: string | null;
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

/** The key that sensitive values lie under, as the daemon knows it; it has no public side. */
export function envelopeKey(
  told: LedgerKeysReply['envelope'] | null,
  { rotate_envelope }: SecretsConfig,
): KnownKey {
  const rotated = rotate_envelope === null ? 'by hand' : `by schedule: ${rotate_envelope} (UTC)`;
  const key = { ...NOTHING, purpose: 'envelope', rotated };
  if (told === null) return { ...key, public_side: 'none; the daemon, which does not answer, knows more' };
  const { epoch, since, at_hand, rewrapping_since } = told;
  const state = at_hand ? (rewrapping_since === null ? 'active' : 'rewrapping') : 'missing';
  return { ...key, state, made_at: since, public_side: `none; epoch ${epoch}` };
}

/** What changes the ledger key. */
export function ledgerRotation({ schedule, ledgerMaxAgeMs }: KeysConfig): string {
  const due = ledgerMaxAgeMs === null ? '' : `, due after ${Math.round(ledgerMaxAgeMs / 86_400_000)} days`;
  return schedule === null ? `by hand${due}` : `by schedule: ${schedule} (UTC)${due}`;
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

const NOTHING = { state: 'active', made_at: null, spiffe_id: null, signs: null, rotated: null } as const;

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
        rotated: null,
      }));
  } catch (error) {
    if (errorCode(error) === 'EACCES') return null;
    if (errorCode(error) === 'ENOENT') return [];
    throw error;
  }
}
