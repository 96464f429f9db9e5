import { connect, type Socket } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Admission } from '../../daemon/api/admission.ts';
import type { EngineReply } from '../../daemon/engine/protocol.ts';
import { exchange, exchangeRaw, openStream, until } from './exchange.ts';
import { json } from './fake-engine.ts';
import { type Serving, serve } from './serving.ts';

const HEAD = 'POST /v1/decisions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n';

/** Has the engine hold every answer back until `release`. */
function holding(serving: Serving): { release: () => void } {
  const gate = Promise.withResolvers<void>();
  serving.engine.script = async () => {
    await gate.promise;
    return json(200, {});
  };
  return { release: gate.resolve };
}

describe('a client that stalls', () => {
  test.each<[string, string]>([
    ['before the first byte', ''],
    ['within the request line', 'POST /v1/dec'],
    ['within the headers', HEAD],
    ['within the body', `${HEAD}Content-Length: 100\r\n\r\n{"action":`],
    ['within a chunk', `${HEAD}Transfer-Encoding: chunked\r\n\r\n40\r\n{"action":`],
  ])('%s is told 408 or cut off, and costs the others nothing', async (_where, bytes) => {
    await using serving = await serve({ patience: { headers: 400, request: 800 } });
    const stalled = exchangeRaw(serving.path, bytes, true);
    expect((await exchange(serving.path, '/v1/health')).status).toBe(200);
    expect(await stalled).toMatch(/^(HTTP\/1\.1 408 |$)/);
    expect(serving.engine.calls).toEqual([]);
  });

  test('between requests is let go', async () => {
    await using serving = await serve({ patience: { keepAlive: 100 } });
    const text = await exchangeRaw(serving.path, 'GET /v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n', true);
    expect(text).toContain('200 OK');
  });

  test('reading its answers is cut off', async () => {
    await using serving = await serve({ patience: { stall: 100 } });
    const body = JSON.stringify({ pad: 'x'.repeat(500_000) });
    serving.engine.script = () => ({ status: 200, body });
    const socket = connect(serving.path);
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.on('error', () => {});
    socket.pause();
    socket.write('GET /v1/policy HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(20));
    const metric = async () => (await serving.metrics.text()).body;
    await until(() => serving.engine.calls.length > 0);
    while (!(await metric()).includes('in_flight{socket="operator"} 0')) await setTimeout(5);
    socket.resume();
    await closed;
  });

  test('but reads slowly is served', async () => {
    await using serving = await serve({ patience: { stall: 2_000 } });
    const body = JSON.stringify({ pad: 'x'.repeat(2_000_000) });
    serving.engine.script = () => ({ status: 200, body });
    const socket = connect(serving.path);
    socket.write('GET /v1/policy HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
    let received = 0;
    for await (const chunk of socket as AsyncIterable<Buffer>) {
      received += chunk.length;
      await setTimeout(100);
    }
    expect(received).toBeGreaterThan(body.length);
  });
});

describe('a client that disconnects', () => {
  test.each<[string, string]>([
    ['within the headers', HEAD],
    ['within the body', `${HEAD}Content-Length: 100\r\n\r\n{"action":`],
    ['within a chunk', `${HEAD}Transfer-Encoding: chunked\r\n\r\n40\r\n{"action":`],
  ])('%s has asked for nothing', async (_where, bytes) => {
    await using serving = await serve({ limits: { in_flight: 1 } });
    const socket = connect(serving.path);
    await new Promise<void>((resolve) => socket.write(bytes, () => resolve()));
    socket.destroy();
    let reply = await exchange(serving.path, '/v1/health');
    while (reply.status === 503) reply = await exchange(serving.path, '/v1/health');
    expect(reply.status).toBe(200);
    expect(serving.engine.calls).toEqual([]);
  });

  test('before the answer leaves nothing counted', async () => {
    await using serving = await serve({ limits: { in_flight: 2 } });
    const { release } = holding(serving);
    const sockets: Socket[] = [];
    for (let n = 0; n < 2; n += 1) sockets.push(connect(serving.path));
    for (const socket of sockets) socket.write(`${HEAD}Content-Length: 2\r\n\r\n{}`);
    await until(() => serving.engine.calls.length === 2);
    expect((await exchange(serving.path, '/v1/health')).status).toBe(503);
    for (const socket of sockets) socket.destroy();
    let reply = await exchange(serving.path, '/v1/health');
    while (reply.status === 503) reply = await exchange(serving.path, '/v1/health');
    expect(reply.status).toBe(200);
    release();
  });
});

describe('a flood', () => {
  test('of connections is turned away beyond the limit, and the rest is served', async () => {
    await using serving = await serve({ limits: { connections: 4 } });
    const sockets = Array.from({ length: 4 }, () => connect(serving.path));
    await Promise.all(sockets.map((socket) => new Promise((resolve) => socket.once('connect', resolve))));
    const refused = await exchangeRaw(serving.path, 'GET /v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n');
    expect(refused).toMatch(/^HTTP\/1\.1 503 [\s\S]*retry-after: 1[\s\S]*"code":"server.busy"/);
    for (const socket of sockets) socket.destroy();
    let text = refused;
    while (text.includes(' 503 ')) {
      text = await exchangeRaw(serving.path, 'GET /v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n');
    }
    expect(text).toContain('200 OK');
  });

  test('of requests is 503 beyond what the server takes at once', async () => {
    await using serving = await serve({ limits: { in_flight: 3 } });
    const { release } = holding(serving);
    const asked = Array.from({ length: 3 }, () => exchange(serving.path, '/v1/policy'));
    await until(() => serving.engine.calls.length === 3);
    const refused = await exchange(serving.path, '/v1/policy');
    expect(refused.json).toMatchObject({ status: 503, code: 'server.busy' });
    expect(refused.headers['retry-after']).toBe('1');
    release();
    for (const reply of await Promise.all(asked)) expect(reply.status).toBe(200);
    expect((await exchange(serving.path, '/v1/policy')).status).toBe(200);
  });

  test('of one client is 429 beyond what a client may have under way', async () => {
    await using serving = await serve({ limits: { in_flight_per_client: 3 } });
    const { release } = holding(serving);
    const socket = connect(serving.path);
    socket.write('GET /v1/policy HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(5));
    const received: Buffer[] = [];
    socket.on('data', (data) => received.push(data));
    const statuses = () =>
      [
        ...Buffer.concat(received)
          .toString()
          .matchAll(/HTTP\/1\.1 (\d+)/g),
      ].map((match) => match[1]);
    await until(() => serving.engine.calls.length === 3);
    release();
    await until(() => statuses().length === 5);
    expect(statuses()).toEqual(['200', '200', '200', '429', '429']);
    socket.destroy();
    expect(serving.engine.calls).toHaveLength(3);
  });

  test('of one client is 429 beyond its rate, on its own connection only', async () => {
    await using serving = await serve({ limits: { requests_per_second_per_client: 4 } });
    const text = await exchangeRaw(
      serving.path,
      'GET /v1/policy HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(30),
    );
    expect(text).toContain('HTTP/1.1 429 Too Many Requests');
    expect(text).toContain('retry-after: 1');
    expect((await exchange(serving.path, '/v1/policy')).status).toBe(200);

    const stream = await openStream(serving.path);
    for (let id = 0; id < 30; id += 1) stream.send({ id, method: 'policy.get' });
    const frames = await stream.take(30);
    const refused = frames.filter((frame) => 'problem' in frame);
    expect(refused[0]).toMatchObject({ problem: { status: 429, code: 'request.rate_limited' } });
    expect(refused.length).toBeGreaterThan(0);
    let retried = refused[0];
    while (retried !== undefined && 'problem' in retried) {
      await setTimeout(20);
      stream.send({ id: 'again', method: 'policy.get' });
      [retried] = await stream.take(1);
    }
    expect(retried).toMatchObject({ id: 'again', result: {} });
  });
});

test('Admission lets in no more than its limits, whatever the order of coming and going', () => {
  const limits = fc.record({
    in_flight: fc.integer({ min: 1, max: 8 }),
    in_flight_per_client: fc.integer({ min: 1, max: 4 }),
    requests_per_second_per_client: fc.constant(1_000_000),
  });
  const steps = fc.array(fc.tuple(fc.nat(2), fc.boolean()), { maxLength: 60 });
  fc.assert(
    fc.property(limits, steps, (limit, moves) => {
      const admission = new Admission(limit);
      const clients = [admission.newClient(), admission.newClient(), admission.newClient()];
      for (const [index, comes] of moves) {
        const client = clients[index] ?? admission.newClient();
        if (!comes) {
          if (client.inFlight > 0) admission.leave(client);
          continue;
        }
        const full = client.inFlight >= limit.in_flight_per_client || admission.inFlight >= limit.in_flight;
        expect(admission.enter(client) === null).toBe(!full);
        expect(admission.inFlight).toBe(clients.reduce((sum, { inFlight }) => sum + inFlight, 0));
        expect(admission.inFlight).toBeLessThanOrEqual(limit.in_flight);
      }
    }),
  );
});

test('an answer that comes after its caller left is dropped without harm', async () => {
  await using serving = await serve();
  const late = Promise.withResolvers<EngineReply>();
  serving.engine.script = () => late.promise;
  const socket = connect(serving.path);
  socket.write(`${HEAD}Content-Length: 2\r\n\r\n{}`);
  await until(() => serving.engine.calls.length === 1);
  socket.destroy();
  await setTimeout(10);
  late.resolve(json(200, {}));
  serving.engine.script = () => undefined;
  expect((await exchange(serving.path, '/v1/policy')).status).toBe(200);
});
