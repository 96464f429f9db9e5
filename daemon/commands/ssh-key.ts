import { spawn } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { BoundaryError } from '../formats/boundary-error.ts';
import { parsePrivateKey, publicBlobOf } from '../formats/openssh-key.ts';
import { ed25519Blob, fingerprint as fingerprintOf } from '../formats/ssh-public-key.ts';
import { formatSshSignature, parsePublicKeyLine, signSshsig, sshsigToSign } from '../formats/sshsig.ts';
import { type AgentKey, SshAgent } from '../host/ssh-agent.ts';
import { say } from './render/output.ts';

const KEY_MAX_BYTES = 64 * 1024;

/** A person's SSH key, ready to sign; where the secret lies is its own business (file, agent, token). */
export interface SigningKey {
  /** `SHA256:…` as `ssh-keygen -l` prints it. */
  fingerprint: string;
  /** SSHSIG armor over `message` in `namespace`. */
  sign(message: Uint8Array, namespace: string): Promise<string>;
}

/** What `--key` may name, for help texts. */
export const KEY_HELP =
  'key file, .pub file of a key in the agent or on a token, SHA256:… of a key in the agent, or "agent" for its only one';

/**
 * Opens what `--key` names. An unprotected Ed25519 private key signs directly. Everything else is first looked for in
 * the agent (`SSH_AUTH_SOCK`) and then left to `ssh-keygen -Y sign`, which asks its owner for passphrase, PIN or touch.
 * Throws BoundaryError `key.*`, `agent.*`, `sshkey.malformed`.
 */
export async function openSigningKey(named: string): Promise<SigningKey> {
  if (named === 'agent' || named.startsWith('SHA256:')) return agentKey(named);
  const text = readKey(named);
  if (!text.startsWith('-----BEGIN')) {
    if (!/^(ssh|ecdsa|sk)-/.test(text)) throw noKey(named);
    return elsewhere(named, parsePublicKeyLine(text).fingerprint);
  }
  assertPrivate(named);
  try {
    const { seed, publicKey } = parsePrivateKey(text);
    const fingerprint = fingerprintOf(ed25519Blob(publicKey));
    return {
      fingerprint,
      sign: async (message, namespace) => signSshsig({ seed, publicKey, namespace, message }),
    };
  } catch (error) {
    if (!(error instanceof BoundaryError)) throw error;
    if (error.code !== 'sshkey.encrypted' && error.code !== 'sshkey.type') throw error;
    return elsewhere(named, fingerprintOf(publicBlobOf(text)));
  }
}

/** A key that the agent holds, by its fingerprint, or the only one that it holds. */
async function agentKey(named: string): Promise<SigningKey> {
  const agent = runningAgent();
  if (agent === null) {
    throw new BoundaryError(
      'agent.none',
      'SSH_AUTH_SOCK names no agent, so there is no key to sign with. Nothing was signed. Start one with ssh-agent, or name a key file.',
    );
  }
  const keys = await agent.keys();
  const wanted = named === 'agent' ? keys : keys.filter(({ fingerprint }) => fingerprint === named);
  const [key] = wanted;
  if (key === undefined || wanted.length > 1) throw notOne(named, keys);
  return { fingerprint: key.fingerprint, sign: signThroughAgent(agent, key) };
}

function notOne(named: string, keys: readonly AgentKey[]): BoundaryError {
  const held = keys.map(({ fingerprint, type, comment }) => `${fingerprint} ${type} ${comment}`).join('\n  ');
  const why = named === 'agent' ? `${keys.length} keys, not one` : `no key ${named}`;
  return new BoundaryError(
    'agent.no_key',
    `The agent holds ${why}. Nothing was signed. ${held === '' ? 'Load one with ssh-add.' : `It holds:\n  ${held}`}`,
  );
}

function runningAgent(): SshAgent | null {
  const path = process.env.SSH_AUTH_SOCK ?? '';
  return path === '' ? null : new SshAgent(path);
}

/** A key whose private half is not at hand here: in the agent if it has it, else where ssh-keygen finds it. */
async function elsewhere(path: string, fingerprint: string): Promise<SigningKey> {
  const agent = runningAgent();
  // An agent that does not answer is no obstacle: ssh-keygen may still find the key.
  const held = agent === null ? [] : await agent.keys().catch(() => []);
  const key = held.find((one) => one.fingerprint === fingerprint);
  const sign = agent === null || key === undefined ? signThroughOpenssh(path) : signThroughAgent(agent, key);
  return { fingerprint, sign };
}

function signThroughAgent(agent: SshAgent, key: AgentKey): SigningKey['sign'] {
  return async (message, namespace) => {
    if (key.type.startsWith('sk-')) say('Touch the security key when it blinks.');
    const signature = await agent.sign(key, sshsigToSign({ namespace, message }));
    return formatSshSignature({ publicKey: key.blob, namespace }, signature);
  };
}

function noKey(path: string): BoundaryError {
  const message = 'The file is neither a private nor a public SSH key; nothing was signed.';
  return new BoundaryError('sshkey.malformed', message, { at: path });
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
  const file = statSync(path);
  // A pipe or a device has no size, and no end.
  if (!file.isFile() || file.size > KEY_MAX_BYTES) throw noKey(path);
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
