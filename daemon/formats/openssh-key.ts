import { BoundaryError } from './boundary-error.ts';
import { equalBytes, sha256 } from './digest.ts';
import { publicKeyOf, SEED_BYTES } from './ed25519.ts';
import { ED25519, ed25519Blob } from './ssh-public-key.ts';
import { armor, concat, SshReader, sshString, sshUint32, unarmor } from './ssh-wire.ts';

const LABEL = 'OPENSSH PRIVATE KEY';
const MAGIC = new TextEncoder().encode('openssh-key-v1\0');
const MAX_PEM = 64 * 1024;
/** Padding of the unencrypted private section. */
const BLOCK = 8;

/** An Ed25519 key pair of a file. `seed` is secret. */
export interface OpensshKey {
  seed: Uint8Array;
  publicKey: Uint8Array;
  comment: string;
}

/** An unencrypted `openssh-key-v1` file (PROTOCOL.key) of an Ed25519 key, as `ssh-keygen -N ''` writes it. */
export function encodePrivateKey(key: { seed: Uint8Array; comment: string }): string {
  const publicKey = publicKeyOf(key.seed);
  const blob = ed25519Blob(publicKey);
  // OpenSSH draws the check number to notice a wrong passphrase; without one any number does.
  const check = sha256(blob).subarray(0, 4);
  const secret = concat(
    check,
    check,
    sshString(ED25519),
    sshString(publicKey),
    sshString(concat(key.seed, publicKey)),
    sshString(key.comment),
  );
  const padding = Uint8Array.from({ length: (BLOCK - (secret.length % BLOCK)) % BLOCK }, (_, i) => i + 1);
  return armor(
    LABEL,
    concat(
      MAGIC,
      sshString('none'),
      sshString('none'),
      sshString(''),
      sshUint32(1),
      sshString(blob),
      sshString(concat(secret, padding)),
    ),
  );
}

/**
 * Reads such a file. Throws `BoundaryError`: `sshkey.malformed`, `sshkey.encrypted` (needs a passphrase: use the
 * agent), `sshkey.type` (not Ed25519; security keys sign through `ssh-keygen -Y sign`). Messages never hold key bytes.
 */
export function parsePrivateKey(pem: string): OpensshKey {
  const { cipher, kdf, blob, secret } = readContainer(pem);
  if (cipher !== 'none' || kdf !== 'none') {
    throw new BoundaryError(
      'sshkey.encrypted',
      'The SSH key is protected by a passphrase. Sign with ssh-keygen -Y sign, or use an unprotected key.',
    );
  }
  return readSecret(secret, blob);
}

/**
 * The public key blob in a private key file: it is never encrypted. Whether it belongs to the private half only a
 * signature shows. Throws `BoundaryError` `sshkey.malformed`.
 */
export function publicBlobOf(pem: string): Uint8Array {
  return readContainer(pem).blob.slice();
}

interface Container {
  cipher: string;
  kdf: string;
  blob: Uint8Array;
  secret: Uint8Array;
}

/** PROTOCOL.key: how it is protected, the public key, the (encrypted) private section. */
function readContainer(pem: string): Container {
  const bytes = unarmor(LABEL, pem, MAX_PEM);
  if (bytes === null) {
    throw malformed('is not an OpenSSH private key');
  }
  const reader = new SshReader(bytes, 'sshkey.malformed');
  if (!equalBytes(reader.raw(MAGIC.length), MAGIC)) {
    throw malformed('is not of format openssh-key-v1');
  }
  const cipher = reader.text();
  const kdf = reader.text();
  reader.string();
  if (reader.uint32() !== 1) {
    throw malformed('does not hold exactly one key');
  }
  const blob = reader.string();
  const secret = reader.string();
  // Ciphers with authentication (aes256-gcm, chacha20-poly1305) leave their tag behind the private section.
  if (cipher === 'none') {
    reader.end();
  }
  return { cipher, kdf, blob, secret };
}

function readSecret(secret: Uint8Array, blob: Uint8Array): OpensshKey {
  const reader = new SshReader(secret, 'sshkey.malformed');
  const checks = [reader.uint32(), reader.uint32()];
  if (secret.length % BLOCK !== 0 || checks[0] !== checks[1]) {
    throw malformed('is damaged');
  }
  const type = reader.text();
  if (type !== ED25519) {
    throw new BoundaryError(
      'sshkey.type',
      `The SSH key is of type ${type.slice(0, 64)}; only ${ED25519} can sign here.`,
    );
  }
  const publicKey = reader.string();
  const pair = reader.string();
  const comment = reader.text();
  const padding = reader.rest();
  // Views of the file's buffer would keep the whole of it alive; the seed gets its own bytes, which a caller can wipe.
  const seed = pair.slice(0, SEED_BYTES);
  const consistent =
    pair.length === 2 * SEED_BYTES &&
    padding.length < BLOCK &&
    padding.every((byte, i) => byte === i + 1) &&
    equalBytes(publicKeyOf(seed), publicKey) &&
    equalBytes(pair.subarray(SEED_BYTES), publicKey) &&
    equalBytes(blob, ed25519Blob(publicKey));
  if (!consistent) {
    throw malformed('is damaged: its parts do not belong together');
  }
  return { seed, publicKey: publicKey.slice(), comment };
}

function malformed(what: string): BoundaryError {
  return new BoundaryError('sshkey.malformed', `The file ${what}.`);
}
