import { BoundaryError } from '../formats/boundary-error.ts';
import { fromBase64, toBase64 } from '../formats/digest.ts';
import { ed25519Signer, publicKeyOf } from '../formats/ed25519.ts';
import { formatVkey, type NoteSigner } from '../formats/signed-note.ts';
import { type KeyEncryptionKey, readKey, writeKey } from './key-wrap.ts';
import { randomBytes } from './random.ts';

/*
 * Signing keys lie in the text form of Go's note package (`PRIVATE+KEY+NAME+HASH+BASE64`), so that other people's tools
 * can take them over. The public half is the C2SP vkey `NAME+HASH+BASE64`.
 */

const PREFIX = 'PRIVATE+KEY+';
const ED25519 = 0x01;
const MAX_KEY_FILE = 1_024;

/** Makes an Ed25519 key for `origin` at `path` (0600) and returns its public half. Never replaces a file (`secret.exists`). */
export function createSigningKey(
  path: string,
  origin: string,
  kek: KeyEncryptionKey | null = null,
): { vkey: string } {
  const { text, vkey } = newSigningKey(origin);
  writeKey(path, Buffer.from(text, 'utf8'), 'signing', kek);
  return { vkey };
}

/** A new Ed25519 key for `origin`: the text of its file, secret, and its public half. */
export function newSigningKey(origin: string): { text: string; vkey: string } {
  const seed = randomBytes(32);
  const vkey = formatVkey(origin, publicKeyOf(seed));
  // The vkey's last part is base64 and may hold a plus sign itself.
  const nameAndHash = vkey.slice(0, origin.length + 1 + 8);
  return { text: `${PREFIX}${nameAndHash}+${encodeSeed(seed)}\n`, vkey };
}

/** Loads a key file. Throws BoundaryError `secret.*` for a wrong mode or owner, or a file that is no such key. */
export function loadSigner(path: string, kek: KeyEncryptionKey | null = null): NoteSigner {
  return parseSigningKey(Buffer.from(readKey(path, MAX_KEY_FILE, 'signing', kek)).toString('utf8'), path);
}

/** The signer of a key file's text. Throws BoundaryError `secret.malformed` with `at` = path. */
export function parseSigningKey(text: string, path: string): NoteSigner {
  const parts = /^PRIVATE\+KEY\+([^\s+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)\n?$/.exec(text);
  const [, name, hash, encoded] = parts ?? [];
  if (name === undefined || hash === undefined || encoded === undefined) throw malformed(path);
  const seed = decodeSeed(encoded, path);
  const signer = ed25519Signer(seed);
  const vkey = formatVkey(name, signer.publicKey);
  seed.fill(0);
  // The hash covers name and public key: a file whose name was edited would sign for another log.
  if (!vkey.startsWith(`${name}+${hash}+`)) throw malformed(path);
  return { name, vkey, sign: signer.sign };
}

function encodeSeed(seed: Uint8Array): string {
  return toBase64(Uint8Array.of(ED25519, ...seed));
}

function decodeSeed(encoded: string, path: string): Uint8Array {
  let bytes: Uint8Array;
  try {
    bytes = fromBase64(encoded);
  } catch {
    // The cause would quote the key.
    throw malformed(path);
  }
  if (bytes.length !== 33 || bytes[0] !== ED25519) throw malformed(path);
  return bytes.slice(1);
}

function malformed(path: string): BoundaryError {
  return new BoundaryError(
    'secret.malformed',
    `${path} is not a signing key as \`holdfast init\` writes them; nothing can be signed. Restore it from a backup.`,
    { at: path },
  );
}
