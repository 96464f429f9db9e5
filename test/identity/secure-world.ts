import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { Agent, request as httpsRequest } from 'node:https';
import { join } from 'node:path';
import { parseDocument } from 'yaml';
import { ApiClient, clientTlsFor } from '../../daemon/api/client.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { readPem, type TlsIdentity } from '../../daemon/identity/files.ts';
import { clientTls } from '../../daemon/identity/tls.ts';
import { type Role, SITE, type Socket, until, World } from '../world.ts';

/** Principals of the tests, as a policy writes them. */
const PRINCIPALS: Record<string, JsonObject> = {
  'agent:ops-1': { spiffe_id: 'spiffe://{{site}}/agent/ops-1' },
  'agent:ops-2': {
    kind: 'agent',
    roles: ['agent'],
    status: 'active',
    owner: 'operator',
    spiffe_id: 'spiffe://{{site}}/agent/ops-2',
  },
  operator: { spiffe_id: 'spiffe://{{site}}/operator' },
  'service:gateway': {
    kind: 'service',
    roles: [],
    status: 'active',
    spiffe_id: 'spiffe://{{site}}/gateway',
    may_assert: ['agent', 'human'],
    audiences: ['gateway'],
  },
};

export const idOf = (path: string): string => `spiffe://${SITE}/${path}`;

/** A whole site whose sockets speak TLS and demand known callers, with certificates for a few of them. */
export class SecureWorld {
  readonly world: World;
  readonly #clients: ApiClient[] = [];
  #version = 1;

  private constructor(world: World) {
    this.world = world;
  }

  /** `peers`: that section of the site's configuration. */
  static async make(peers: JsonObject = { tls: true, require_identity: true }): Promise<SecureWorld> {
    const secure = new SecureWorld(await World.make());
    await secure.update(PRINCIPALS);
    secure.configure(peers);
    return secure;
  }

  configure(peers: JsonObject): void {
    const { config } = this.world.paths;
    const settings = JSON.parse(readFileSync(config, 'utf8')) as JsonObject;
    writeFileSync(config, JSON.stringify({ ...settings, peers }));
  }

  /** Publishes the policy with these members of principals changed, and imports it. */
  async update(principals: Record<string, JsonObject>): Promise<void> {
    const { publisher } = this.world.paths;
    const directory = join(publisher, 'policy');
    this.#version += 1;
    const metadata = join(directory, 'metadata.yaml');
    writeFileSync(
      metadata,
      readFileSync(metadata, 'utf8').replace(/^version: \d+$/m, `version: ${this.#version}`),
    );
    const file = join(directory, 'principals.yaml');
    const document = parseDocument(readFileSync(file, 'utf8'));
    for (const [id, members] of Object.entries(principals))
      for (const [name, value] of Object.entries(members))
        document.setIn([id, name], document.createNode(value));
    writeFileSync(file, document.toString());
    for (const args of [
      ['repo', 'publish', publisher, directory, '--site', SITE],
      ['import', join(publisher, 'repository')],
    ]) {
      const ran = await this.world.holdfast(...args);
      if (ran.code !== 0) throw new Error(`${args.join(' ')}: ${ran.stderr}${ran.stdout}`);
    }
  }

  /** Has the site issue a certificate, with the command; `path` is the ID's. */
  async issue(path: string, ...more: string[]): Promise<TlsIdentity & { fingerprint: string; dir: string }> {
    const dir = join(
      this.world.root,
      `tls-${path.replaceAll('/', '-')}-${Math.floor(performance.now() * 1_000)}`,
    );
    mkdirSync(dir, { mode: 0o700 });
    const ran = await this.world.json(
      'keys',
      'tls',
      'issue',
      'it',
      '--spiffe',
      idOf(path),
      '-o',
      dir,
      ...more,
    );
    if (ran.code !== 0) throw new Error(JSON.stringify(ran));
    return {
      certificate: readPem(String(ran.certificate)),
      key: readPem(String(ran.key)),
      authority: readPem(String(ran.authority)),
      fingerprint: String(ran.fingerprint),
      dir,
    };
  }

  client(socket: Socket, identity: TlsIdentity | null): ApiClient {
    const tls = identity === null ? null : clientTlsFor(SITE, socket, identity);
    const client = new ApiClient({ socketPath: this.world.socket(socket), timeoutMs: 60_000, tls });
    this.#clients.push(client);
    return client;
  }

  /** Starts a role, and waits until its socket answers one of its own. */
  async start(role: 'daemon' | 'gateway', identity: TlsIdentity): Promise<Role> {
    const running = await this.world[role]({ unready: true });
    let over = false;
    void running.ended.then(() => {
      over = true;
    });
    const client = this.client(role === 'daemon' ? 'request' : 'gateway', identity);
    await until(`the ${role} to be ready`, async () => {
      if (over) throw new Error(`the ${role} ended before it was ready:\n${running.log()}`);
      return (await client.ready().catch(() => null))?.ready === true;
    });
    return running;
  }

  async close(): Promise<void> {
    for (const client of this.#clients) client.close();
    await this.world.close();
  }
}

/** One connection that stays open, over which requests go one after another. */
export class OpenConnection {
  readonly #agent: Agent;
  readonly #socketPath: string;
  /** Connections that were made for it: one, as long as it stays open. */
  opened = 0;

  constructor(socketPath: string, identity: TlsIdentity) {
    this.#socketPath = socketPath;
    this.#agent = new Agent({ keepAlive: true, maxSockets: 1, ...clientTls(identity, idOf('daemon')) });
  }

  ask(verb: 'GET' | 'POST', path: string, body?: unknown): Promise<{ status: number; body: JsonObject }> {
    return new Promise((resolve, reject) => {
      const headers = body === undefined ? {} : { 'content-type': 'application/json' };
      const outgoing = httpsRequest({
        agent: this.#agent,
        socketPath: this.#socketPath,
        method: verb,
        path,
        headers,
      });
      outgoing.on('socket', (socket) => {
        if (socket.connecting) this.opened += 1;
      });
      outgoing.on('error', reject);
      outgoing.on('response', (incoming) => {
        let text = '';
        incoming.setEncoding('utf8').on('data', (part: string) => {
          text += part;
        });
        incoming.on('end', () =>
          resolve({ status: incoming.statusCode ?? 0, body: JSON.parse(text) as JsonObject }),
        );
      });
      outgoing.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}

/** Runs a program to its end. */
export function run(
  program: string,
  args: readonly string[],
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const output = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const)
      child[name].setEncoding('utf8').on('data', (text: string) => {
        output[name] += text;
      });
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, ...output }));
  });
}
