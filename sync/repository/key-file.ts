import { armor, Decrypter, Encrypter } from 'age-encryption';
import { BoundaryError } from '../../daemon/formats/boundary-error.ts';
import { type NoteSigner, parseVkey, type Vkey } from '../../daemon/formats/signed-note.ts';
import { readBounded, writeDurable } from '../../daemon/host/durable-file.ts';
import { readSecretFile, writeSecretFile } from '../../daemon/host/secret-file.ts';
import { newSigningKey, parseSigningKey } from '../../daemon/host/signer.ts';

/*
 * A publisher's key: the text form of Go's note package inside an armored age file under a passphrase (scrypt), so that
 * `age -d` opens it without us. Beside it FILE.pub with the public half, a vkey: that is what others are given.
 */

const MAX_KEY_FILE = 8_192;
/** log2 of scrypt's N; about a second of work for every guess. */
const WORK_FACTOR = 18;
const MIN_PASSPHRASE = 10;
const KEY_NAME = /^[A-Za-z0-9][A-Za-z0-9._@/-]{0,63}$/;

export interface NewKey {
  name: string;
  passphrase: string;
  workFactor?: number;
  /** How the public half is written down, for keys that are no publisher's; else as the vkey of a note's signer. */
  publicAs?: (vkey: string) => string;
}

/**
 * Makes a key named `name` at `path` (0600) under `passphrase`, and `path.pub`. Never replaces a file. Throws
 * BoundaryError `key.bad_name`, `key.weak_passphrase`, `secret.exists`.
 */
export async function createKeyFile(
  path: string,
  { name, passphrase, workFactor = WORK_FACTOR, publicAs = (vkey) => vkey }: NewKey,
): Promise<{ vkey: string }> {
  if (!KEY_NAME.test(name))
    throw new BoundaryError(
      'key.bad_name',
      'Name the key after its holder with letters, digits and ._@/- (at most 64); no key was made.',
      { at: '--name' },
    );
  if ([...passphrase].length < MIN_PASSPHRASE)
    throw new BoundaryError(
      'key.weak_passphrase',
      `A passphrase has at least ${MIN_PASSPHRASE} characters; five random words are a good one. No key was made.`,
    );
  const { text, vkey: signs } = newSigningKey(name);
  const vkey = publicAs(signs);
  const encrypter = new Encrypter();
  encrypter.setPassphrase(passphrase);
  encrypter.setScryptWorkFactor(workFactor);
  const sealed = armor.encode(await encrypter.encrypt(text));
  writeSecretFile(path, Buffer.from(sealed.endsWith('\n') ? sealed : `${sealed}\n`, 'utf8'));
  writeDurable(`${path}.pub`, Buffer.from(`${vkey}\n`, 'utf8'), 0o644);
  return { vkey };
}

/**
 * Opens a key file. Throws BoundaryError `secret.*` (missing, wrong mode or owner), `key.unprotected` (no age file),
 * `key.wrong_passphrase`.
 */
export async function openKeyFile(path: string, passphrase: string): Promise<NoteSigner> {
  const sealed = Buffer.from(readSecretFile(path, MAX_KEY_FILE)).toString('utf8');
  let bytes: Uint8Array;
  try {
    bytes = armor.decode(sealed);
  } catch (cause) {
    throw new BoundaryError(
      'key.unprotected',
      `${path} is not a key under a passphrase as "repo new-key" makes them; nothing was signed.`,
      { at: path, cause },
    );
  }
  const decrypter = new Decrypter();
  decrypter.addPassphrase(passphrase);
  let text: string;
  try {
    text = await decrypter.decrypt(bytes, 'text');
  } catch {
    // The cause could say something about the file's contents.
    throw new BoundaryError(
      'key.wrong_passphrase',
      `The passphrase does not open ${path}, or the file is damaged; nothing was signed.`,
      { at: path },
    );
  }
  return parseSigningKey(text, path);
}

/** The public half in a `.pub` file. Throws BoundaryError `file.*`, `vkey.*`, `key.is_private` for a private key. */
export function readPublicKey(path: string): Vkey {
  const text = Buffer.from(readBounded(path, MAX_KEY_FILE)).toString('utf8').trim();
  if (text.startsWith('-----BEGIN') || text.startsWith('PRIVATE'))
    throw new BoundaryError(
      'key.is_private',
      `${path} is a private key; name its public half, ${path}.pub. Private keys stay with their holders.`,
      { at: path },
    );
  const vkey = parseVkey(text);
  if (!KEY_NAME.test(vkey.name))
    throw new BoundaryError('key.bad_name', `${path} carries a name that no key of ours has.`, { at: path });
  return vkey;
}
