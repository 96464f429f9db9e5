import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { Certificates } from './certificates.ts';

/*
 * A networked witness, written from the text of C2SP tlog-witness, tlog-cosignature, signed-note and RFC 6962 alone: it
 * shares nothing with the code under test, not even how a note is taken apart.
 */

interface Known {
  size: number;
  root: Buffer;
}

interface Answer {
  status: number;
  type?: string;
  body?: string;
}

const SPKI = Buffer.from('302a300506032b6570032100', 'hex');
const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex');
const hash = (...parts: (Buffer | string)[]): Buffer => {
  const sum = createHash('sha256');
  for (const part of parts) sum.update(part);
  return sum.digest();
};

export class WitnessServer {
  readonly name: string;
  readonly vkey: string;
  readonly known = new Map<string, Known>();
  /** Origin → public keys by `name+id`. */
  readonly logs = new Map<string, Map<string, KeyObject>>();
  /** Bodies that were posted, and what was answered. */
  readonly asked: { path: string; body: string; status: number }[] = [];
  /** Instead of the protocol, when set. */
  misbehave: ((request: IncomingMessage, response: ServerResponse) => void) | null = null;
  /** Unix seconds. */
  time = 1_930_000_000;
  readonly #key: KeyObject;
  readonly #id: Buffer;
  #server: Server | null = null;

  constructor(name: string, seed: number) {
    this.name = name;
    const raw = Buffer.concat([PKCS8, Buffer.alloc(32, seed)]);
    this.#key = createPrivateKey({ key: raw, format: 'der', type: 'pkcs8' });
    const publicKey = createPublicKey(this.#key).export({ format: 'der', type: 'spki' }).subarray(-32);
    const typed = Buffer.concat([Buffer.of(4), publicKey]);
    this.#id = hash(`${name}\n`, typed).subarray(0, 4);
    this.vkey = `${name}+${this.#id.toString('hex')}+${typed.toString('base64')}`;
  }

  /** `vkey` of a log: name, id, base64 of type byte and key. */
  trust(vkey: string): void {
    const [name = '', id = '', ...rest] = vkey.split('+');
    const raw = Buffer.from(rest.join('+'), 'base64').subarray(1);
    const key = createPublicKey({ key: Buffer.concat([SPKI, raw]), format: 'der', type: 'spki' });
    const keys = this.logs.get(name) ?? new Map<string, KeyObject>();
    this.logs.set(name, keys.set(`${name}+${id}`, key));
  }

  async start({ server, ca }: Certificates): Promise<string> {
    const tls = {
      cert: readFileSync(server.certificate),
      key: readFileSync(server.key),
      ca: readFileSync(ca),
      requestCert: true,
    };
    this.#server = createServer(tls, (request, response) => void this.#serve(request, response));
    await new Promise<void>((done) => this.#server?.listen(0, '127.0.0.1', done));
    const address = this.#server.address();
    return `https://localhost:${typeof address === 'object' ? address?.port : 0}/w/`;
  }

  async stop(): Promise<void> {
    this.#server?.closeAllConnections();
    await new Promise((done) => this.#server?.close(done));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    const body = Buffer.concat(chunks).toString('utf8');
    if (this.misbehave !== null) {
      this.asked.push({ path: request.url ?? '', body, status: 0 });
      this.misbehave(request, response);
      return;
    }
    const isCall = request.method === 'POST' && request.url === '/w/add-checkpoint';
    const answer = isCall ? this.addCheckpoint(body) : { status: 405 };
    this.asked.push({ path: request.url ?? '', body, status: answer.status });
    response.writeHead(answer.status, { 'content-type': answer.type ?? 'text/plain; charset=utf-8' });
    response.end(answer.body ?? '');
  }

  /** The call, check by check in the order of the specification. */
  addCheckpoint(body: string): Answer {
    const parts = /^old (0|[1-9][0-9]*)\n((?:[A-Za-z0-9+/]+=*\n)*)\n([\s\S]+)$/.exec(body);
    if (parts === null) return { status: 400 };
    const old = Number(parts[1]);
    const proof = (parts[2] ?? '')
      .split('\n')
      .slice(0, -1)
      .map((line) => Buffer.from(line, 'base64'));
    const note = parts[3] ?? '';
    const text = note.slice(0, note.lastIndexOf('\n\n') + 1);
    const [origin = '', sizeLine = '', rootLine = ''] = text.split('\n');
    const keys = this.logs.get(origin);
    if (keys === undefined) return { status: 404 };
    if (!signed(text, note.slice(text.length + 1), keys)) return { status: 403 };
    const [size, root] = [Number(sizeLine), Buffer.from(rootLine, 'base64')];
    if (old > size) return { status: 400 };
    const known = this.known.get(origin) ?? { size: 0, root: hash() };
    if (old !== known.size) return { status: 409, type: 'text/x.tlog.size', body: `${known.size}\n` };
    if (old === size && !root.equals(known.root)) return { status: 409 };
    if (proof.length > 63 || (old === 0 ? proof.length > 0 : !consistent(old, size, proof, known.root, root)))
      return { status: 422 };
    this.known.set(origin, { size, root });
    return { status: 200, body: this.#cosign(text) };
  }

  #cosign(text: string): string {
    const stamp = Buffer.alloc(8);
    stamp.writeBigUInt64BE(BigInt(this.time));
    const signature = sign(null, Buffer.from(`cosignature/v1\ntime ${this.time}\n${text}`), this.#key);
    return `— ${this.name} ${Buffer.concat([this.#id, stamp, signature]).toString('base64')}\n`;
  }
}

function signed(text: string, lines: string, keys: ReadonlyMap<string, KeyObject>): boolean {
  return lines.split('\n').some((line) => {
    const [, name, encoded] = line.split(' ');
    const bytes = Buffer.from(encoded ?? '', 'base64');
    const key = keys.get(`${name}+${bytes.subarray(0, 4).toString('hex')}`);
    return key !== undefined && verify(null, Buffer.from(text), key, bytes.subarray(4));
  });
}

/** RFC 6962 §2.1.2, by the recursion of its definition: both roots from the proof. */
function consistent(m: number, n: number, proof: readonly Buffer[], rootM: Buffer, rootN: Buffer): boolean {
  if (m === n) return proof.length === 0;
  const rest = [...proof];
  const walk = (a: number, b: number, isWhole: boolean): [Buffer, Buffer] | null => {
    if (a === b) {
      const own = isWhole ? rootM : rest.shift();
      return own === undefined ? null : [own, own];
    }
    let k = 1;
    while (k * 2 < b) k *= 2;
    const inner = a <= k ? walk(a, k, isWhole) : walk(a - k, b - k, false);
    const sibling = rest.shift();
    if (inner === null || sibling === undefined) return null;
    const node = (left: Buffer, right: Buffer): Buffer => hash(Buffer.of(1), left, right);
    return a <= k ? [inner[0], node(inner[1], sibling)] : [node(sibling, inner[0]), node(sibling, inner[1])];
  };
  const roots = walk(m, n, true);
  return roots !== null && rest.length === 0 && roots[0].equals(rootM) && roots[1].equals(rootN);
}
