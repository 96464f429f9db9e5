import { readFileSync } from 'node:fs';
import { type Socket as Connection, connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SocketKind } from '../../daemon/api/methods.ts';
import { exchange, openStream } from '../api/exchange.ts';
import { floodBytes, floodRequests, floodStream, type Tally } from '../api/malformed.ts';
import { ask, type Role, until, World } from '../world.ts';
import { expectIntact, expectOnce } from './history.ts';
import { SEED } from './random.ts';

/** Ten thousand for each kind of socket, over the three ways in. */
const COUNTS = { requests: 5_000, bytes: 1_500, frames: 3_500 };
const KINDS: SocketKind[] = ['request', 'redeem', 'operator', 'gateway'];
/** A site's memory is bounded whatever arrives; a leak of what these clients send would be several times this. Idle: 300, from sources. */
const RESIDENT_MAX_MB = 480;

let world: World;
let roles: Role[];
beforeAll(async () => {
  world = await World.make();
  roles = [await world.daemon(), await world.gateway()];
});
afterAll(() => world?.close());

async function size(): Promise<number> {
  return (await world.client('operator').entries({ limit: 1 })).size;
}

function residentMb({ pid }: Role): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) / 1_024;
}

/** Both still run as they were started, have nothing to complain about, and do their work. */
async function expectUnharmed(mark: string): Promise<void> {
  const done = (await world.client('gateway').action(ask('mark', mark))) as { outcome?: { result?: string } };
  expect(done.outcome?.result).toBe('succeeded');
  for (const role of roles) {
    const complaints = role
      .log()
      .split('\n')
      .filter((line) => /"level":[56]0/.test(line));
    expect(complaints).toEqual([]);
    expect(residentMb(role)).toBeLessThan(RESIDENT_MAX_MB);
  }
}

function expectRefused(tally: Tally, sent: number): void {
  expect(tally.offenders).toEqual([]);
  expect(tally.sent).toBe(sent);
}

describe.each(KINDS)(`ten thousand malformed requests at the real %s socket (seed ${SEED})`, (socket) => {
  it('are all refused, and none leaves a trace', async () => {
    const path = world.socket(socket);
    const before = await size();
    const requests = await floodRequests(path, socket, { count: COUNTS.requests, seed: SEED });
    expectRefused(requests, COUNTS.requests);
    // Nearly all were told what was wrong with them; a flood that is only hung up on would prove little.
    expect(requests.answers.closed ?? 0).toBeLessThan(COUNTS.requests / 20);
    expectRefused(await floodBytes(path, { count: COUNTS.bytes, seed: SEED }), COUNTS.bytes);
    expectRefused(await floodStream(path, socket, { count: COUNTS.frames, seed: SEED }), COUNTS.frames);
    expect(await size()).toBe(before);
    await expectUnharmed(`after-${socket}`);
  });
});

describe('clients without manners', () => {
  const HEAD = 'POST /v1/decisions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n';
  const body = (mark: string) => JSON.stringify(ask('mark', mark));
  const request = (mark: string) =>
    `${HEAD}Content-Length: ${Buffer.byteLength(body(mark))}\r\n\r\n${body(mark)}`;

  /** A connection that never reads what is sent to it unless asked to. */
  async function open(kind: SocketKind): Promise<Connection> {
    const socket = connect(world.socket(kind));
    socket.on('error', () => {});
    socket.pause();
    await new Promise((resolve) => socket.once('connect', resolve).once('close', resolve));
    return socket;
  }

  it('that stall in the middle of a request hold nobody else up', async () => {
    const stalled: Connection[] = [];
    for (const half of ['', 'POST /v1/dec', HEAD, `${HEAD}Content-Length: 500\r\n\r\n{"action":`]) {
      for (const kind of KINDS) {
        for (let n = 0; n < 20; n++) {
          const socket = await open(kind);
          socket.write(half);
          stalled.push(socket);
        }
      }
    }
    const before = await size();
    await expectUnharmed('beside-the-stalled');
    // Decision, redemption and outcome of that, and nothing of theirs.
    expect(await size()).toBe(before + 3);
    for (const socket of stalled) socket.destroy();
  });

  it('that keep too many connections open are turned away, and served when they are fewer', async () => {
    const greedy: Connection[] = [];
    for (let n = 0; n < 300; n++) greedy.push(await open('request'));
    const refused = await exchange(world.socket('request'), '/v1/health').catch(() => ({ status: 503 }));
    expect(refused.status).toBe(503);
    // The other sockets are others' to use.
    expect((await exchange(world.socket('operator'), '/v1/health')).status).toBe(200);
    for (const socket of greedy) socket.destroy();
    await until(
      'it to be served',
      async () => (await exchange(world.socket('request'), '/v1/health')).status === 200,
    );
    await expectUnharmed('after-the-greedy');
  });

  it('that flood and read nothing fill their own buffers only', async () => {
    const flooders = await Promise.all(KINDS.slice(0, 3).map(open));
    const many = Array.from(
      { length: 2_000 },
      () => 'GET /v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n',
    ).join('');
    for (const socket of flooders) for (let n = 0; n < 10; n++) socket.write(many);
    const stream = await openStream(world.socket('operator'));
    stream.ws.pause();
    for (let n = 0; n < 20_000; n++) stream.send({ id: n, method: 'ledger.entries', params: {} });
    await expectUnharmed('beside-the-flood');
    const { decisions } = await world.client('operator').listDecisions({ limit: 1 });
    expect(decisions).toHaveLength(1);
    for (const socket of flooders) socket.destroy();
    stream.ws.terminate();
    await expectUnharmed('after-the-flood');
  });

  it('that hang up after asking, or in the middle of it, leave whole decisions or none', async () => {
    for (let n = 0; n < 200; n++) {
      const text = request(`gone-${n}`);
      const socket = await open('request');
      socket.write(n % 2 === 0 ? text : text.slice(0, -1 - (n % 100)), () => socket.destroy());
      if (n % 10 !== 0) continue;
      const stream = await openStream(world.socket('request'));
      stream.send({ id: n, method: 'decisions.create', params: ask('mark', `gone-stream-${n}`) });
      stream.ws.terminate();
    }
    await expectUnharmed('after-the-hasty');
    const truth = await expectIntact(world);
    const asked = truth.entries.flatMap(({ data, type }) =>
      type.startsWith('decision.') ? [JSON.stringify(data.action)] : [],
    );
    for (let n = 1; n < 200; n += 2)
      expect(asked.some((action) => action.includes(`"gone-${n}"`))).toBe(false);
    expectOnce(truth);
  });

  it('were let in and seen off by the processes that were there before them', async () => {
    for (const role of roles) expect((await role.kill('SIGTERM')).code).toBe(0);
    const truth = await expectIntact(world);
    const allowed = truth.entries.filter(({ type }) => type === 'decision.authorized');
    for (const { data } of allowed) expect(JSON.stringify(data.action)).toMatch(/"(after|beside|gone)-/);
  });
});
