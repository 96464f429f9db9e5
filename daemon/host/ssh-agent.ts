import { connect, type Socket } from 'node:net';
import { BoundaryError } from '../formats/boundary-error.ts';
import { fingerprint, publicKeyType } from '../formats/ssh-public-key.ts';
import { concat, SshReader, sshString, sshUint32 } from '../formats/ssh-wire.ts';

/* Client of an ssh-agent (draft-ietf-sshm-ssh-agent): lists its keys and has it sign. Keys never leave the agent. */

const REQUEST_IDENTITIES = 11;
const IDENTITIES_ANSWER = 12;
const SIGN_REQUEST = 13;
const SIGN_RESPONSE = 14;
/** Of RSA keys; the SHA-1 that is the default without it counts nowhere. */
const RSA_SHA2_512 = 4;

/** OpenSSH's own limit for a message of its agent. */
const MAX_MESSAGE = 256 * 1024;
const MAX_IDENTITIES = 1_024;
const LIST_TIMEOUT_MS = 10_000;
/** The agent may ask its owner to confirm, to touch a security key or to type its PIN. */
const SIGN_TIMEOUT_MS = 120_000;

/** A key that an agent holds. */
export interface AgentKey {
  type: string;
  /** Public key blob. */
  blob: Uint8Array;
  comment: string;
  /** `SHA256:…`. */
  fingerprint: string;
}

/** An agent behind a Unix socket, as `SSH_AUTH_SOCK` names it. Every call throws BoundaryError `agent.*`. */
export class SshAgent {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  /** The keys it holds, in its own order. Blobs that are no keys are left out. */
  async keys(): Promise<AgentKey[]> {
    const reply = await this.#ask(Uint8Array.of(REQUEST_IDENTITIES), LIST_TIMEOUT_MS);
    const reader = new SshReader(reply, 'agent.malformed');
    if (reader.byte() !== IDENTITIES_ANSWER) throw unwilling('does not list its keys');
    const count = reader.uint32();
    if (count > MAX_IDENTITIES) throw unwilling(`says it holds ${count} keys`);
    const keys: AgentKey[] = [];
    for (let i = 0; i < count; i += 1) {
      const blob = reader.string();
      const comment = reader.text();
      const type = typeOf(blob);
      if (type !== null) keys.push({ type, blob, comment, fingerprint: fingerprint(blob) });
    }
    reader.end();
    return keys;
  }

  /** Has it sign; returns the SSH signature: its type, then data of that type. */
  async sign(key: AgentKey, data: Uint8Array): Promise<Uint8Array> {
    const flags = key.type === 'ssh-rsa' ? RSA_SHA2_512 : 0;
    const request = concat(
      Uint8Array.of(SIGN_REQUEST),
      sshString(key.blob),
      sshString(data),
      sshUint32(flags),
    );
    const reader = new SshReader(await this.#ask(request, SIGN_TIMEOUT_MS), 'agent.malformed');
    if (reader.byte() !== SIGN_RESPONSE)
      throw unwilling(
        `did not sign with ${key.fingerprint}: it is locked, its owner declined, or the security key was not touched in time`,
      );
    const signature = reader.string();
    reader.end();
    return signature;
  }

  /** One request on a connection of its own: length and body out, length and body back. */
  #ask(body: Uint8Array, timeoutMs: number): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const socket = connect(this.#path);
      const chunks: Buffer[] = [];
      const end = (act: () => void): void => {
        socket.destroy();
        act();
      };
      socket.setTimeout(timeoutMs, () => end(() => reject(unwilling('does not answer'))));
      socket.on('error', (cause) => end(() => reject(unreachable(this.#path, cause))));
      socket.on('close', () => reject(unwilling('hung up without an answer')));
      socket.on('data', (chunk) => {
        chunks.push(chunk);
        const message = messageOf(Buffer.concat(chunks));
        if (message === 'too large') end(() => reject(unwilling('answers with more than it may')));
        else if (message !== null) end(() => resolve(message));
      });
      write(socket, body);
    });
  }
}

function write(socket: Socket, body: Uint8Array): void {
  socket.write(sshString(body));
}

/** The body of the message that the bytes begin with; null while it is not complete. */
function messageOf(bytes: Buffer): Uint8Array | 'too large' | null {
  if (bytes.length < 4) return null;
  const length = bytes.readUInt32BE(0);
  if (length === 0 || length > MAX_MESSAGE || bytes.length > 4 + length) return 'too large';
  return bytes.length === 4 + length ? new Uint8Array(bytes.subarray(4)) : null;
}

function typeOf(blob: Uint8Array): string | null {
  try {
    return publicKeyType(blob);
  } catch (error) {
    if (error instanceof BoundaryError) return null;
    throw error;
  }
}

function unwilling(what: string): BoundaryError {
  return new BoundaryError('agent.failed', `The SSH agent ${what}. Nothing was signed or sent.`);
}

function unreachable(path: string, cause: Error): BoundaryError {
  return new BoundaryError(
    'agent.unreachable',
    `No SSH agent answers on ${path} (SSH_AUTH_SOCK). Nothing was signed or sent. Start one with ssh-agent, or name a key file.`,
    { at: path, cause },
  );
}
