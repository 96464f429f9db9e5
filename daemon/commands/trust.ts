import { BoundaryError } from '../formats/boundary-error.ts';
import { fromBase64, sha256Hex } from '../formats/digest.ts';
import type { DsseEnvelope } from '../formats/dsse.ts';
import type { Json } from '../formats/json.ts';
import { currentLog, keysOfLogs, type LogKey, type LogLineage, parseLogs } from '../formats/log-keys.ts';
import { parseVkey } from '../formats/signed-note.ts';
import { type LogTrust, parsePolicy } from '../formats/tlog-policy.ts';
import { trustEnvelope } from '../formats/trust-envelope.ts';
import { parseNamed, readText } from './access.ts';

const TRUST_MAX_BYTES = 1_048_576;

/**
 * What an auditor needs to verify one site's files elsewhere: `site export-trust` writes it, every verifier reads it.
 * It is trusted because of how it was carried, so carry it by hand or have headquarters sign it.
 */
export interface TrustFile {
  v: 1;
  site: string;
  /** Origin of the ledger. */
  origin: string;
  profile: string;
  /** C2SP verifier key of the ledger that is in use. */
  vkeys: string[];
  /** Every key that the ledger, and those before it, ever had, with the checkpoints that each may sign; absent in old files. */
  logs?: LogLineage[];
  /** The pinned policy root (TUF root.json), base64. */
  root: string;
}

/** A trust file, and the envelope of headquarters' countersignatures around it; null where it is plain. */
export interface SealedTrust {
  trust: TrustFile;
  envelope: DsseEnvelope | null;
  /** The trust file's own bytes: what the site wrote and headquarters signs. */
  bytes: Uint8Array;
}

/** Reads and checks a trust file, countersigned or plain. Throws BoundaryError `trust.*`, naming the member. */
export function readTrustFile(path: string): TrustFile {
  return readSealedTrust(path).trust;
}

/** The same with the envelope, whose signatures are not verified here. */
export function readSealedTrust(path: string): SealedTrust {
  const text = readText(path, TRUST_MAX_BYTES);
  const envelope = trustEnvelope(text);
  const bytes = envelope === null ? Buffer.from(text, 'utf8') : envelope.payload;
  return { trust: parseTrust(Buffer.from(bytes).toString('utf8'), path), envelope, bytes };
}

/** What two people compare over a way that they trust: SHA-256 of what the site wrote, countersigned or not. */
export function trustFingerprint(bytes: Uint8Array): string {
  return fingerprintWords(sha256Hex(bytes));
}

/** A hex digest in groups that can be read aloud. */
export function fingerprintWords(digest: string): string {
  return (digest.match(/.{8}/g) ?? []).join(' ');
}

/** The file as a site writes it, and headquarters signs it. */
export function trustBytes(trust: TrustFile): Uint8Array {
  return Buffer.from(`${JSON.stringify(trust, null, 2)}\n`, 'utf8');
}

function parseTrust(contents: string, path: string): TrustFile {
  const value = parseNamed(contents, path, { maxBytes: TRUST_MAX_BYTES, maxDepth: 7 });
  const wrong = (at: string, wanted: string): BoundaryError =>
    new BoundaryError(
      'trust.malformed',
      `${path} is not a trust file of holdfast: ${at} should be ${wanted}. Nothing was checked.`,
      { at: path },
    );
  if (value === null || typeof value !== 'object' || Array.isArray(value))
    throw wrong('the file', 'a JSON object');
  const known = ['v', 'site', 'origin', 'profile', 'vkeys', 'logs', 'root'];
  const stray = Object.keys(value).find((key) => !known.includes(key));
  if (stray !== undefined) throw wrong(stray.slice(0, 64), 'absent');
  if (value.v !== 1) throw wrong('v', '1');
  const text = (key: string): string => {
    const member: Json | undefined = value[key];
    if (typeof member !== 'string' || member === '') throw wrong(key, 'a text');
    return member;
  };
  const { vkeys } = value;
  if (!Array.isArray(vkeys) || vkeys.length === 0 || vkeys.length > 64)
    throw wrong('vkeys', 'a list of verifier keys');
  const readable = <T>(at: string, wanted: string, read: () => T): T => {
    try {
      return read();
    } catch (cause) {
      throw cause instanceof BoundaryError ? wrong(at, `${wanted} (${cause.message})`) : cause;
    }
  };
  const keys = vkeys.map((vkey) => {
    if (typeof vkey !== 'string') throw wrong('vkeys', 'a list of texts');
    return readable('vkeys', 'a list of verifier keys', () => parseVkey(vkey).text);
  });
  readable('root', 'base64', () => fromBase64(text('root')));
  const logs =
    value.logs === undefined ? undefined : readable('logs', "the site's logs", () => parseLogs(value.logs));
  if (logs !== undefined && currentLog(logs).origin !== value.origin) throw wrong('logs', 'about the origin');
  return {
    v: 1,
    site: text('site'),
    origin: text('origin'),
    profile: text('profile'),
    vkeys: keys,
    ...(logs === undefined ? {} : { logs }),
    root: text('root'),
  };
}

/** The site's logs as a trust file has them, oldest first. One from before keys had sizes names keys that sign everything. */
export function logsOf({ origin, vkeys, logs }: TrustFile): LogLineage[] {
  if (logs !== undefined) return logs;
  return [{ origin, keys: vkeys.map((vkey) => ({ vkey, from: 0, until: null })) }];
}

/**
 * Whom a trust file believes, for every verifier: the name of the log in use, and the keys of it and of the logs before it,
 * each for the checkpoints that it may sign. `vkeys` of the file itself would do for the key in use only.
 */
export function logTrust(trust: TrustFile): { origin: string; vkeys: LogKey[]; logs: LogLineage[] } {
  const logs = logsOf(trust);
  return { origin: trust.origin, vkeys: keysOfLogs(logs), logs };
}

/** Trust in a log from one of the two kinds of file: a trust file of the site, or a C2SP tlog-policy. */
export function readLogTrust(options: { trust?: string; policy?: string }): LogTrust | null {
  if (options.trust !== undefined && options.policy !== undefined) {
    throw new BoundaryError('trust.both', 'Give either --trust or --policy, not both; nothing was checked.');
  }
  if (options.policy !== undefined) return { policy: parsePolicy(readText(options.policy, TRUST_MAX_BYTES)) };
  if (options.trust === undefined) return null;
  // Without the origin: a proof may be of a log that this site's goes on for.
  return { vkeys: logTrust(readTrustFile(options.trust)).vkeys };
}
