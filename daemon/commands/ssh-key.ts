import { spawn } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { BoundaryError } from '../formats/boundary-error.ts';
import { parsePrivateKey } from '../formats/openssh-key.ts';
import { ed25519Blob, fingerprint as fingerprintOf } from '../formats/ssh-public-key.ts';
import { parsePublicKeyLine, signSshsig } from '../formats/sshsig.ts';

const KEY_MAX_BYTES = 64 * 1024;

/** A person's SSH key, ready to sign; where the secret lies is its own business (file, agent, token). */
export interface SigningKey {
  /** `SHA256:…` as `ssh-keygen -l` prints it; null when no public half was found to tell. */
  fingerprint: string | null;
  /** SSHSIG armor over `message` in `namespace`. */
  sign(message: Uint8Array, namespace: string): Promise<string>;
}

/**
 * Opens what `--key` names: an unprotected Ed25519 private key is used directly; a public key (the private half is in
 * the agent), a key with a passphrase, or one on a security token is left to `ssh-keygen -Y sign`, which asks its owner.
 * Throws BoundaryError `key.missing`, `key.too_open`, `sshkey.malformed`.
 */
export function openSigningKey(path: string): SigningKey {
  const text = readKey(path);
  if (!text.startsWith('-----BEGIN')) {
    if (!/^(ssh|ecdsa|sk)-/.test(text)) throw noKey(path);
    return { fingerprint: parsePublicKeyLine(text).fingerprint, sign: signThroughOpenssh(path) };
  }
  assertPrivate(path);
  try {
    const { seed, publicKey } = parsePrivateKey(text);
    const fingerprint = fingerprintOf(ed25519Blob(publicKey));
    return {
      fingerprint,
      sign: async (message, namespace) => signSshsig({ seed, publicKey, namespace, message }),
    };
  } catch (error) {
    if (
      error instanceof BoundaryError &&
      (error.code === 'sshkey.encrypted' || error.code === 'sshkey.type')
    ) {
      return { fingerprint: publicHalf(path), sign: signThroughOpenssh(path) };
    }
    throw error;
  }
}

function noKey(path: string): BoundaryError {
  return new BoundaryError('sshkey.malformed', 'The file is neither a private nor a public SSH key.', {
    at: path,
  });
}

function readKey(path: string): string {
  if (!existsSync(path)) {
    throw new BoundaryError(
      'key.missing',
      'There is no such key file. Name a private key, or the .pub file of a key in your agent; nothing was signed.',
      { at: path },
    );
  }
  // Not `readBounded`: a link to a key is usual in people's home directories.
  const { size } = statSync(path);
  if (size > KEY_MAX_BYTES) throw noKey(path);
  return readFileSync(path, 'utf8');
}

/** As ssh does: a key that others can read is not used. */
function assertPrivate(path: string): void {
  if ((statSync(path).mode & 0o077) !== 0) {
    throw new BoundaryError(
      'key.too_open',
      `Others can read this key, so it is not used. Run: chmod 600 ${path}`,
      {
        at: path,
      },
    );
  }
}

function publicHalf(path: string): string | null {
  const pub = `${path}.pub`;
  return existsSync(pub) ? parsePublicKeyLine(readKey(pub)).fingerprint : null;
}

/** `ssh-keygen -Y sign` with the message on stdin; its prompts (passphrase, touch) go to the person's terminal. */
function signThroughOpenssh(path: string): SigningKey['sign'] {
  return (message, namespace) =>
    new Promise((resolve, reject) => {
      const args = ['-q', '-Y', 'sign', '-n', namespace, '-f', path];
      const child = spawn('ssh-keygen', args, { stdio: ['pipe', 'pipe', 'inherit'], shell: false });
      const chunks: Buffer[] = [];
      child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
      // It may end without reading, for example when the agent lacks the key; the exit code tells.
      child.stdin.on('error', () => {});
      child.on('error', (cause) =>
        reject(failed('ssh-keygen could not be started (openssh-client).', path, cause)),
      );
      child.on('close', (code) => {
        if (code === 0) resolve(Buffer.concat(chunks).toString('utf8'));
        else reject(failed('ssh-keygen did not sign; it says why above.', path));
      });
      child.stdin.end(message);
    });
}

function failed(what: string, path: string, cause?: unknown): BoundaryError {
  return new BoundaryError('key.not_signed', `${what} Nothing was signed or sent.`, { at: path, cause });
}
