import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { connect as tlsConnect } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { ApiProblem, ApiUnreachable, type DecisionReply } from '../../daemon/api/client.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import {
  issueCertificate,
  newAuthority,
  newRequest,
  openAuthority,
} from '../../daemon/identity/authority.ts';
import type { TlsIdentity } from '../../daemon/identity/files.ts';
import { loadAuthority } from '../../daemon/identity/issue.ts';
import { certificateIn, clientTls } from '../../daemon/identity/tls.ts';
import { checkLedger } from '../oracle.ts';
import { ask, type Role, SITE, until } from '../world.ts';
import { idOf, OpenConnection, run, SecureWorld } from './secure-world.ts';

/* What callers try on the real sockets of a site that demands to know them. One site for all; each leaves it as it was. */

const CURL = '/usr/bin/curl';
let site: SecureWorld;
let daemon: Role;
let gateway: Role;
let agent: TlsIdentity & { fingerprint: string; dir: string };
let operator: TlsIdentity;

beforeAll(async () => {
  site = await SecureWorld.make();
  agent = await site.issue('agent/ops-1');
  operator = await site.issue('operator');
  daemon = await site.start('daemon', agent);
  gateway = await site.start('gateway', agent);
});

afterAll(async () => {
  await gateway?.kill('SIGTERM');
  await daemon?.kill('SIGTERM');
  if (site !== undefined) await checkLedger(site.world.paths, site.world.trust());
  await site?.close();
});

const request = (actor = 'agent:ops-1') => {
  const body = ask('mark', 'm-1');
  body.context.actor = { id: actor, role: null as unknown as string };
  return body;
};

/** Code of the problem that a call ends with. */
async function codeOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return 'answered';
  } catch (error) {
    if (error instanceof ApiProblem) return error.code;
    if (error instanceof ApiUnreachable) return error.reason;
    throw error;
  }
}

const failed = ({ policy }: DecisionReply) =>
  policy.gates.filter(({ result }) => result === 'fail').map(({ id }) => id);

describe('a known agent', () => {
  it('asks in its own name, which is recorded with its certificate, and replays', async () => {
    const decision = await site.client('request', agent).createDecision(request());
    expect(decision).toMatchObject({
      status: 'authorized',
      peer: { principal: 'agent:ops-1', spiffe_id: idOf('agent/ops-1'), certificate: agent.fingerprint },
    });
    const replay = await site.world.json('decision', 'replay', decision.decision_id);
    expect(replay).toMatchObject({ code: 0, differences: [] });
  });

  it.each(['operator', 'agent:ops-2', 'service:gateway'])(
    'that asserts %s is denied, on record',
    async (actor) => {
      const decision = await site.client('request', agent).createDecision(request(actor));
      expect(decision).toMatchObject({ status: 'denied', peer: { principal: 'agent:ops-1' } });
      expect(failed(decision)).toEqual(['identity.assertion']);
    },
  );

  it('finds no method of the operator socket on the request socket', async () => {
    const client = site.client('request', agent);
    const calls: [string, () => Promise<unknown>][] = [
      ['status', () => client.status()],
      ['policy', () => client.policy()],
      ['import', () => client.importPolicy('/tmp')],
      ['list', () => client.listDecisions()],
      ['entries', () => client.entries()],
      [
        'review',
        () =>
          client.review('dec_01a1fc97-02c4-7372-a291-da0969c304e6', { actor: { id: 'operator' }, note: 'x' }),
      ],
      [
        'redeem',
        () =>
          client.redeem('prm_01a1fc97-02c4-7372-a291-da0969c304e6', {
            audience: 'gateway',
            action_digest: '0'.repeat(64),
          }),
      ],
    ];
    for (const [name, call] of calls)
      expect([name, await codeOf(call())]).toEqual([name, 'method.not_on_this_socket']);
  });

  it('is told no on the other sockets, over HTTP and in a stream', async () => {
    const client = site.client('operator', agent);
    const calls: [string, () => Promise<unknown>][] = [
      ['status', () => client.status()],
      ['policy', () => client.policy()],
      ['import', () => client.importPolicy('/tmp')],
      ['list', () => client.listDecisions()],
      ['entries', () => client.entries()],
      [
        'redeem',
        () =>
          site.client('redeem', agent).redeem('prm_01a1fc97-02c4-7372-a291-da0969c304e6', {
            audience: 'gateway',
            action_digest: '0'.repeat(64),
          }),
      ],
      [
        'identify',
        () => site.client('redeem', agent).identify({ uid: 0 }, { method: 'actions.execute', actor: null }),
      ],
    ];
    for (const [name, call] of calls)
      expect([name, await codeOf(call())]).toEqual([name, 'peer.not_permitted']);
    const stream = await Stream.open(site.world.socket('operator'), agent);
    expect(await stream.call('ledger.entries', {})).toMatchObject({
      problem: { code: 'peer.not_permitted' },
    });
    expect(await stream.call('subscribe', { from: 0 })).toMatchObject({ result: { subscription: 1 } });
    expect(await stream.next()).toMatchObject({ subscription: 1, problem: { code: 'peer.not_permitted' } });
    stream.close();
  });

  it('acts through the gateway in its own name, and in no other', async () => {
    const client = site.client('gateway', agent);
    const done = await client.action({ ...request() });
    expect(done).toMatchObject({
      outcome: { result: 'succeeded' },
      decision: { peer: { principal: 'service:gateway' } },
    });
    const marks = site.world.marks().length;
    expect(await codeOf(client.action({ ...request('operator') }))).toBe('peer.not_that_actor');
    expect(await codeOf(client.status())).toBe('peer.not_permitted');
    expect(site.world.marks()).toHaveLength(marks);
  });

  it.runIf(existsSync(CURL))('needs nothing but curl', async () => {
    const files = [
      '--cert',
      join(agent.dir, 'it.pem'),
      '--key',
      join(agent.dir, 'it.key'),
      '--cacert',
      join(agent.dir, 'authority.pem'),
    ];
    const curl = (url: string, ...more: string[]) =>
      run(CURL, ['-sS', '--unix-socket', site.world.socket('request'), ...more, url]);
    const asked = await curl(
      'https://localhost/v1/decisions',
      ...files,
      '-H',
      'content-type: application/json',
      '-d',
      JSON.stringify(request()),
    );
    expect(JSON.parse(asked.stdout)).toMatchObject({ status: 'authorized' });
    for (const refused of [
      await curl('https://localhost/v1/ready', '--cacert', join(agent.dir, 'authority.pem')),
      await curl('http://localhost/v1/ready'),
      await curl('https://localhost/v1/ready', ...files, '--tls-max', '1.2'),
    ])
      expect([refused.code === 0, refused.stdout]).toEqual([false, '']);
  });
});

describe('a caller that is nobody here', () => {
  it("with a certificate of another site's authority gets no connection", async () => {
    const foreign = await newAuthority(SITE);
    const { pem, key } = await issueCertificate(await openAuthority(foreign), {
      name: 'agent',
      spiffe_id: idOf('agent/ops-1'),
      use: 'client',
    });
    const identity = { certificate: pem, key, authority: agent.authority };
    for (const socket of ['request', 'redeem', 'operator', 'gateway'] as const)
      expect(['untrusted', 'closed']).toContain(await codeOf(site.client(socket, identity).ready()));
    for (const role of [daemon, gateway]) expect(role.log()).toContain('a handshake failed');
  });

  it("does not take another authority's server for the daemon", async () => {
    const foreign = await newAuthority(SITE);
    expect(await codeOf(site.client('request', { ...agent, authority: foreign.certificate }).ready())).toBe(
      'untrusted',
    );
    // Nor the gateway for the daemon, although the same authority certified it.
    const wrong = site.client('gateway', agent);
    wrong.useIdentity({ identity: agent, server: idOf('daemon') });
    expect(await codeOf(wrong.ready())).toBe('untrusted');
  });

  it('without a certificate, or without TLS, gets no connection', async () => {
    const path = site.world.socket('request');
    const alert = await new Promise<string>((resolve) => {
      const socket = tlsConnect({ path, ca: agent.authority, checkServerIdentity: () => undefined });
      socket.on('error', (error: NodeJS.ErrnoException) => resolve(String(error.code)));
      socket.on('data', () => resolve('data'));
      socket.once('secureConnect', () => socket.write('GET /v1/health HTTP/1.1\r\nhost: localhost\r\n\r\n'));
    });
    expect(alert).toBe('ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED');
    expect(['closed', 'untrusted']).toContain(await codeOf(site.client('request', null).ready()));
  });

  it('with a certificate that the authority signed and the site never gave out is refused', async () => {
    const stolen = await loadAuthority(site.world.paths);
    const { pem, key } = await issueCertificate(stolen, {
      name: 'x',
      spiffe_id: idOf('operator'),
      use: 'client',
    });
    const forged = { certificate: pem, key, authority: agent.authority };
    expect(await codeOf(site.client('operator', forged).status())).toBe('peer.certificate_refused');
    expect(await codeOf(site.client('request', forged).createDecision(request('operator')))).toBe(
      'peer.certificate_refused',
    );
    expect(await codeOf(site.client('gateway', forged).action({ ...request('operator') }))).toBe(
      'peer.certificate_refused',
    );
  });

  it('with an ID that the policy does not have is denied on record', async () => {
    const nobody = await site.issue('agent/ops-9');
    const decision = await site.client('request', nobody).createDecision(request());
    expect([decision.status, failed(decision)]).toEqual(['denied', ['identity.peer']]);
    expect(await codeOf(site.client('operator', nobody).status())).toBe(
      isRoot() ? 'answered' : 'peer.unknown',
    );
  });
});

describe('on a connection that is open already', () => {
  it('a principal that is suspended counts no more, and counts again when it is back', async () => {
    const open = new OpenConnection(site.world.socket('request'), agent);
    const stream = await Stream.open(site.world.socket('request'), agent);
    const before = await open.ask('POST', '/v1/decisions', request());
    expect(before.body.status).toBe('authorized');
    const id = String(before.body.decision_id);
    expect(await stream.call('decisions.get', { id })).toMatchObject({ result: { status: 'authorized' } });

    await site.update({ 'agent:ops-1': { status: 'suspended' } });
    expect((await open.ask('POST', '/v1/decisions', request())).body.status).toBe('denied');
    expect((await open.ask('GET', `/v1/decisions/${id}`)).body.code).toBe('peer.not_active');
    expect(await stream.call('decisions.get', { id })).toMatchObject({
      problem: { code: 'peer.not_active' },
    });
    expect(await stream.call('decisions.create', request())).toMatchObject({ result: { status: 'denied' } });

    await site.update({ 'agent:ops-1': { status: 'active' } });
    expect((await open.ask('GET', `/v1/decisions/${id}`)).status).toBe(200);
    expect(open.opened).toBe(1);
    open.close();
    stream.close();
  });

  it('a certificate that the policy revokes counts no more, and another of the same principal does', async () => {
    const second = await site.issue('agent/ops-1');
    const open = new OpenConnection(site.world.socket('request'), second);
    expect((await open.ask('POST', '/v1/decisions', request())).body.status).toBe('authorized');
    await site.update({ 'agent:ops-1': { revoked_certificates: [second.fingerprint] } });
    const denied = (await open.ask('POST', '/v1/decisions', request())).body;
    expect(denied).toMatchObject({
      status: 'denied',
      peer: { principal: null, certificate: second.fingerprint },
    });
    expect((await site.client('request', agent).createDecision(request())).status).toBe('authorized');
    expect(open.opened).toBe(1);
    open.close();
  });

  it('a certificate that the site replaces counts no more', async () => {
    const first = await site.issue('agent/ops-2');
    const open = new OpenConnection(site.world.socket('request'), first);
    expect((await open.ask('POST', '/v1/decisions', request('agent:ops-2'))).body.status).toBe('authorized');
    const second = await site.issue('agent/ops-2', '--replace');
    await until('the old certificate to be refused', async () => {
      const { status, body } = await open.ask('POST', '/v1/decisions', request('agent:ops-2'));
      return status === 403 && body.code === 'peer.certificate_refused';
    });
    expect((await site.client('request', second).createDecision(request('agent:ops-2'))).status).toBe(
      'authorized',
    );
    open.close();
  });

  it('a subscription ends when its reader may read no more', async () => {
    const stream = await Stream.open(site.world.socket('operator'), operator);
    await stream.call('subscribe', { from: 1_000_000 });
    await site.update({ operator: { status: 'suspended' } });
    expect(await stream.next()).toMatchObject({ problem: { code: 'peer.not_active' } });
    stream.close();
    await site.update({ operator: { status: 'active' } });
  });
});

describe('a certificate that is renewed', () => {
  it('is for the same ID and another key, and ends the one before with its first use', async () => {
    const first = await site.issue('agent/ops-2', '--replace');
    const { key, csr } = await newRequest('whatever it says');
    const client = site.client('request', first);
    const { certificate } = await client.renewCertificate(csr);
    expect(certificateIn(certificate).spiffe_id).toBe(idOf('agent/ops-2'));
    // Until it is used, the old one counts: what was renewed may never have arrived.
    await pause(300);
    expect((await client.createDecision(request('agent:ops-2'))).status).toBe('authorized');
    const renewed = { certificate, key, authority: first.authority };
    expect((await site.client('request', renewed).createDecision(request('agent:ops-2'))).status).toBe(
      'authorized',
    );
    await until(
      'the old certificate to be refused',
      async () =>
        (await codeOf(client.createDecision(request('agent:ops-2')))) === 'peer.certificate_refused',
    );
  });

  it('is not given for a request that proves nothing', async () => {
    const { csr } = await newRequest('x');
    const damaged = csr.replace(/[A-Za-z0-9](?=[^\n]*\n-----END)/, (letter) => (letter === 'A' ? 'B' : 'A'));
    for (const text of ['x', agent.certificate, damaged])
      expect(await codeOf(site.client('request', agent).renewCertificate(text))).toBe('csr.malformed');
  });

  it('is not given to a suspended principal', async () => {
    await site.update({ 'agent:ops-2': { status: 'suspended' } });
    const suspended = await site.issue('agent/ops-2');
    const { csr } = await newRequest('x');
    expect(await codeOf(site.client('request', suspended).renewCertificate(csr))).toBe('peer.not_active');
    await site.update({ 'agent:ops-2': { status: 'active' } });
  });
});

describe('commands', () => {
  it("show the certificate that the environment names, else the site account's", async () => {
    const status = await site.world.json('status');
    expect(status).toMatchObject({ code: 0, daemon: { peers: { required: true, principals: 4 } } });
    const listed = await site.world.holdfast('principals', 'show', 'service:gateway');
    expect(listed.stdout).toContain('gateway');
  });

  it('say what to do where nobody is named', async () => {
    const { paths } = site.world;
    const file = join(paths.state, 'tls/account.pem');
    const text = readFileSync(file);
    rmSync(file);
    try {
      const ran = await site.world.holdfast('principals', 'list');
      expect([ran.code, ran.stderr]).toEqual([2, expect.stringContaining('HOLDFAST_TLS_CERT')]);
    } finally {
      const { writeSecretFile } = await import('../../daemon/host/secret-file.ts');
      writeSecretFile(file, text);
    }
  });
});

function isRoot(): boolean {
  return process.geteuid?.() === 0;
}

/** A stream over TLS; answers by id, everything else in order. */
class Stream {
  readonly #ws: WebSocket;
  readonly #frames: JsonObject[] = [];
  #id = 0;

  private constructor(ws: WebSocket) {
    this.#ws = ws;
    ws.on('message', (data) => this.#frames.push(JSON.parse(String(data)) as JsonObject));
  }

  static async open(path: string, identity: TlsIdentity): Promise<Stream> {
    const options = clientTls(identity, idOf('daemon'));
    const ws = new WebSocket('wss://localhost/v1/stream', {
      ...options,
      createConnection: () => tlsConnect({ path, ...options }),
    });
    const stream = new Stream(ws);
    await new Promise<void>((resolve, reject) => {
      ws.once('open', resolve);
      ws.once('error', reject);
    });
    return stream;
  }

  async call(method: string, params: unknown): Promise<JsonObject> {
    const id = ++this.#id;
    this.#ws.send(JSON.stringify({ id, method, params }));
    return this.#take((frame) => frame.id === id);
  }

  next(): Promise<JsonObject> {
    return this.#take((frame) => frame.id === undefined);
  }

  async #take(wanted: (frame: JsonObject) => boolean): Promise<JsonObject> {
    await until('a frame', async () => this.#frames.some(wanted));
    const at = this.#frames.findIndex(wanted);
    const [frame] = this.#frames.splice(at, 1);
    return frame ?? {};
  }

  close(): void {
    this.#ws.terminate();
  }
}
