import { connect, type Socket } from 'node:net';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { SocketKind } from '../../daemon/api/methods.ts';
import { exchange, exchangeRaw } from './exchange.ts';
import { json } from './fake-engine.ts';
import { floodBytes, floodRequests, floodStream, type Tally } from './malformed.ts';
import { serve } from './serving.ts';

/** Ten thousand for each kind of socket, over the three ways in. */
const COUNTS = { requests: 5_000, bytes: 2_000, frames: 3_000 };
const KINDS: SocketKind[] = ['request', 'redeem', 'operator', 'gateway'];

/** A server whose engine and gateway would allow everything, if anything reached them. */
async function serveAllowing(socket: SocketKind) {
  const acted: unknown[] = [];
  const act = (call: unknown) => {
    acted.push(call);
    return Promise.resolve(json(200, { enforcement: { result: 'allow' } }));
  };
  const host = { 'actions.execute': act, 'policy.import': act, 'policy.update': act };
  const serving = await serve({ socket, host });
  serving.engine.script = () => json(200, { enforcement: { result: 'allow' } });
  return { serving, acted, [Symbol.asyncDispose]: () => serving[Symbol.asyncDispose]() };
}

function expectRefused(result: Tally, sent: number): void {
  expect(result.offenders).toEqual([]);
  expect(result.sent).toBe(sent);
}

describe.each(KINDS)('malformed input at the %s socket', (socket) => {
  const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);

  test(`is refused and reaches nothing (seed ${seed})`, async () => {
    await using allowing = await serveAllowing(socket);
    const { serving, acted } = allowing;
    const requests = await floodRequests(serving.path, socket, { count: COUNTS.requests, seed });
    expectRefused(requests, COUNTS.requests);
    expectRefused(await floodBytes(serving.path, { count: COUNTS.bytes, seed }), COUNTS.bytes);
    expectRefused(await floodStream(serving.path, socket, { count: COUNTS.frames, seed }), COUNTS.frames);
    // Nearly all were told what was wrong with them; a flood that is only hung up on would prove little.
    expect(requests.answers.closed ?? 0).toBeLessThan(COUNTS.requests / 20);
    expect(serving.engine.calls).toEqual([]);
    expect(acted).toEqual([]);
    expect((await exchange(serving.path, '/v1/health')).json).toEqual({ status: 'ok' });
    const { body } = await serving.metrics.text();
    expect(body).toContain(`holdfast_requests_in_flight{socket="${socket}"} 0`);
  });
});

test('bytes that are no WebSocket frames end the stream and nothing else', async () => {
  await using allowing = await serveAllowing('operator');
  const { serving } = allowing;
  const handshake =
    'GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n';
  for (const bytes of fc.sample(fc.uint8Array({ minLength: 2, maxLength: 300 }), 300)) {
    const text = await exchangeRaw(serving.path, Buffer.concat([Buffer.from(handshake), bytes]));
    expect(text).toMatch(/^HTTP\/1\.1 101 /);
  }
  expect(serving.engine.calls).toEqual([]);
  expect((await exchange(serving.path, '/v1/health')).status).toBe(200);
});

test('connections that come and go without a word cost nothing', async () => {
  await using allowing = await serveAllowing('request');
  const { serving } = allowing;
  for (let round = 0; round < 20; round += 1) {
    const sockets = Array.from({ length: 50 }, () => connect(serving.path));
    // The kernel turns some away itself when its queue is full; that is as good as accepted here.
    const settled = (socket: Socket) =>
      new Promise((resolve) => socket.once('connect', resolve).once('error', resolve));
    await Promise.all(sockets.map(settled));
    for (const socket of sockets) socket.destroy();
  }
  let reply = await exchange(serving.path, '/v1/health');
  while (reply.status === 503) reply = await exchange(serving.path, '/v1/health');
  expect(reply.status).toBe(200);
});
