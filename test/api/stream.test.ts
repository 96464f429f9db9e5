import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { idOfRefused, readFrame } from '../../daemon/api/frame.ts';
import type { EngineReply } from '../../daemon/engine/protocol.ts';
import { exchangeRaw, openStream, until } from './exchange.ts';
import { decisionId, json, permitId } from './fake-engine.ts';
import { serve } from './serving.ts';

const LIMITS = { maxBytes: 65_536, maxDepth: 17 };

describe('a frame', () => {
  test('is answered with the engine’s very bytes', async () => {
    await using serving = await serve();
    const answer = '{ "n":1.0e0,"9":1,"10":2 }';
    serving.engine.script = () => ({ status: 202, body: answer });
    const stream = await openStream(serving.path);
    stream.send('{"id":"a-1","method":"decisions.create","params":{"action":{"payload":{"x":1.50}}}}');
    await stream.take(1);
    expect(stream.texts).toEqual([`{"id":"a-1","result":${answer}}`]);
  });

  test('is answered with a problem when the engine refuses', async () => {
    await using serving = await serve();
    serving.engine.script = () => ({ status: 409, body: '{"code":"decision.terminal"}' });
    const stream = await openStream(serving.path);
    stream.send({ id: 7, method: 'decisions.get', params: { id: decisionId(1) } });
    await stream.take(1);
    expect(stream.texts).toEqual(['{"id":7,"problem":{"code":"decision.terminal"}}']);
  });

  test('has its params sorted into path, query, key and body', async () => {
    await using serving = await serve({ socket: 'redeem' });
    const stream = await openStream(serving.path);
    const redeem = { audience: 'gateway', action_digest: 'ab'.repeat(32) };
    stream.send({ id: 1, method: 'permits.redeem', params: { id: permitId(1), ...redeem } });
    stream.send({ id: 2, method: 'decisions.create', params: { action: {}, idempotency_key: 'k-1' } });
    stream.send({ id: 3, method: 'permits.open', params: { audience: 'gateway', state: 'redeemed' } });
    stream.send({ id: 4, method: 'ledger.checkpoint' });
    const frames = await stream.take(4);
    expect(serving.engine.calls).toMatchObject([
      { method: 'permits.redeem', args: { id: permitId(1) }, body: JSON.stringify(redeem), key: null },
      { method: 'decisions.create', args: {}, body: '{"action":{}}', key: 'k-1' },
      { method: 'permits.open', args: { audience: 'gateway', state: 'redeemed' }, body: null },
      { method: 'ledger.checkpoint', args: {}, body: null },
    ]);
    expect(frames.find((frame) => frame.id === 4)?.result).toBe('ledger.checkpoint\n');
  });

  test('may be answered after a later one', async () => {
    await using serving = await serve();
    const slow = Promise.withResolvers<EngineReply>();
    serving.engine.script = (call) => (call.method === 'decisions.list' ? slow.promise : json(200, {}));
    const stream = await openStream(serving.path);
    stream.send({ id: 'slow', method: 'decisions.list' });
    stream.send({ id: 'fast', method: 'policy.get' });
    expect(await stream.take(1)).toMatchObject([{ id: 'fast' }]);
    slow.resolve(json(200, {}));
    expect(await stream.take(1)).toMatchObject([{ id: 'slow' }]);
  });

  test.each<[string, string, unknown, string]>([
    ['is no JSON', '{"id":5,"method"', 5, 'json.syntax'],
    ['is a list', '[1]', null, 'request.invalid'],
    ['has an unknown member', '{"id":5,"method":"policy.get","extra":1}', 5, 'request.invalid'],
    ['has a duplicate member', '{"id":5,"id":6,"method":"policy.get"}', 5, 'json.duplicate_key'],
    ['has no id', '{"method":"policy.get"}', null, 'request.invalid'],
    ['has a fraction as id', '{"id":1.5,"method":"policy.get"}', null, 'request.invalid'],
    ['has no method', '{"id":5}', 5, 'request.invalid'],
    ['has params that are a list', '{"id":5,"method":"policy.get","params":[]}', 5, 'request.invalid'],
    ['has params where none belong', '{"id":5,"method":"policy.get","params":{"x":1}}', 5, 'request.invalid'],
    ['misses a path parameter', '{"id":5,"method":"decisions.get","params":{}}', 5, 'request.invalid'],
    [
      'has a number for a text',
      '{"id":5,"method":"ledger.entries","params":{"from":1}}',
      5,
      'request.invalid',
    ],
    [
      'has a key that is none',
      '{"id":5,"method":"decisions.create","params":{"idempotency_key":1}}',
      5,
      'request.invalid',
    ],
    [
      'has an unknown envelope field',
      '{"id":5,"method":"decisions.create","params":{"acton":{}}}',
      5,
      'request.invalid',
    ],
    ['names a property of objects', '{"id":5,"method":"constructor","params":{}}', 5, 'method.unknown'],
  ])('that %s is answered with a problem, and the connection lives on', async (_what, text, id, code) => {
    await using serving = await serve();
    const stream = await openStream(serving.path);
    stream.send(text);
    stream.send({ id: 'next', method: 'health.get' });
    const frames = await stream.take(2);
    expect(frames[0]).toMatchObject({ id, problem: { code } });
    expect(frames[1]).toEqual({ id: 'next', result: { status: 'ok' } });
    expect(serving.engine.calls).toEqual([]);
  });

  test('that is too large, binary or not UTF-8 ends the connection with the right code', async () => {
    await using serving = await serve();
    const large = await openStream(serving.path);
    large.send('x'.repeat(70_000));
    expect((await large.closed).code).toBe(1009);
    const binary = await openStream(serving.path);
    binary.ws.send(Buffer.from('{}'));
    expect((await binary.closed).code).toBe(1003);
    const garbled = await openStream(serving.path);
    garbled.ws.send(Buffer.from([0xff, 0xfe]), { binary: false });
    expect((await garbled.closed).code).toBe(1007);
    expect(serving.engine.calls).toEqual([]);
  });

  test('has the text of its params cut out exactly, whatever its layout', () => {
    const text = fc.tuple(
      fc.oneof(fc.integer(), fc.string({ maxLength: 40 })),
      fc.string({ minLength: 1, maxLength: 30 }),
      fc.dictionary(fc.string({ maxLength: 8 }), fc.jsonValue({ maxDepth: 3 })),
      fc.constantFrom(0, 1),
      fc.shuffledSubarray(['id', 'method', 'params'], { minLength: 3 }),
    );
    fc.assert(
      fc.property(text, ([id, method, params, indent, order]) => {
        const frame = { id, method, params } as Record<string, unknown>;
        const written = JSON.stringify(
          Object.fromEntries(order.map((key) => [key, frame[key]])),
          null,
          indent,
        );
        fc.pre(!written.includes('__proto__') && !/e\+|\d{16}/.test(written) && written.isWellFormed());
        fc.pre(!/\\ud[89a-f]/.test(written));
        const read = readFrame(written, LIMITS);
        expect(JSON.parse(read.id)).toEqual(id);
        expect(read.method).toBe(method);
        if (read.paramsText !== null) expect(read.paramsText).toBe(JSON.stringify(params));
        if (indent === 0 && order.join() === 'id,method,params') expect(read.paramsText).not.toBeNull();
      }),
    );
  });

  test('that was refused keeps its id only where that is certain', () => {
    expect(idOfRefused('{"id":12,"method":')).toBe('12');
    expect(idOfRefused('{"id":"a-b","x":')).toBe('"a-b"');
    expect(idOfRefused('{"id":"a\\"b"')).toBe('null');
    expect(idOfRefused('{"params":{"id":1}}')).toBe('null');
  });
});

describe('the window', () => {
  test('is kept: a flood of frames is answered to the last, never more at once than allowed', async () => {
    await using serving = await serve({ limits: { in_flight_per_client: 16 } });
    let current = 0;
    let most = 0;
    serving.engine.script = async () => {
      current += 1;
      most = Math.max(most, current);
      await new Promise((resolve) => setImmediate(resolve));
      current -= 1;
      return json(200, {});
    };
    const stream = await openStream(serving.path);
    const count = 3_000;
    for (let id = 0; id < count; id += 1) stream.send({ id, method: 'policy.get' });
    const frames = await stream.take(count);
    expect(most).toBe(16);
    expect(frames.filter((frame) => 'problem' in frame)).toEqual([]);
    expect(new Set(frames.map((frame) => frame.id)).size).toBe(count);
  });

  test('of a peer that does not read holds back what it sends', async () => {
    await using serving = await serve({ limits: { in_flight_per_client: 64 } });
    const body = JSON.stringify({ pad: 'x'.repeat(60_000) });
    serving.engine.script = () => ({ status: 200, body });
    const stream = await openStream(serving.path);
    stream.ws.pause();
    const count = 2_000;
    for (let id = 0; id < count; id += 1) stream.send({ id, method: 'policy.get' });
    let before = -1;
    while (serving.engine.calls.length !== before) {
      before = serving.engine.calls.length;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    // What was answered fits the kernel's buffers, our megabyte and one window; the rest has not been taken.
    expect(before).toBeLessThan(400);
    stream.ws.resume();
    expect(await stream.take(count)).toHaveLength(count);
  });
});

describe('subscribe', () => {
  const indexes = (frames: Record<string, unknown>[]) => frames.map((frame) => frame.index);

  test('sends every entry once, in order, from the index on, while more are committed', async () => {
    await using serving = await serve();
    for (let n = 0; n < 150; n += 1) serving.engine.commit('policy', 'policy.applied');
    const stream = await openStream(serving.path);
    stream.send({ id: 1, method: 'subscribe', params: { from: 20 } });
    expect(await stream.take(1)).toEqual([{ id: 1, result: { subscription: 1 } }]);
    for (let n = 0; n < 200; n += 1) {
      serving.engine.commit(decisionId(n), 'decision.denied', 'denied');
      if (n % 7 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    const frames = await stream.take(330);
    expect(indexes(frames)).toEqual(Array.from({ length: 330 }, (_, n) => n + 20));
    expect(frames[0]).toEqual({
      subscription: 1,
      index: 20,
      entry: { type: 'policy.applied', stream: 'policy', data: {} },
    });
  });

  test('keeps to the kinds and the stream that were asked for', async () => {
    await using serving = await serve();
    const stream = await openStream(serving.path);
    stream.send({ id: 1, method: 'subscribe', params: { from: 0, kinds: ['decision.denied'] } });
    stream.send({ id: 2, method: 'subscribe', params: { from: 0, stream: 'policy' } });
    await stream.take(2);
    serving.engine.commit('policy', 'policy.applied');
    serving.engine.commit(decisionId(1), 'decision.denied');
    serving.engine.commit(decisionId(1), 'decision.reviewed');
    const frames = await stream.take(2);
    const seen = frames.map((frame) => [frame.subscription, frame.index]).sort();
    expect(seen).toEqual([
      [1, 1],
      [2, 0],
    ]);
  });

  test('waits beyond the end for what comes', async () => {
    await using serving = await serve();
    const stream = await openStream(serving.path);
    stream.send({ id: 1, method: 'subscribe', params: { from: 2 } });
    await stream.take(1);
    for (let n = 0; n < 4; n += 1) serving.engine.commit('system', 'system.started');
    expect(indexes(await stream.take(2))).toEqual([2, 3]);
  });

  test('ends by unsubscribe, and with the connection', async () => {
    await using serving = await serve();
    const stream = await openStream(serving.path);
    stream.send({ id: 1, method: 'subscribe', params: { from: 0 } });
    stream.send({ id: 2, method: 'unsubscribe', params: { subscription: 1 } });
    stream.send({ id: 3, method: 'unsubscribe', params: { subscription: 1 } });
    const frames = await stream.take(3);
    expect(frames[1]).toEqual({ id: 2, result: { subscription: 1 } });
    expect(frames[2]).toMatchObject({ id: 3, problem: { status: 404, code: 'stream.no_subscription' } });
    serving.engine.commit('system');
    stream.send({ id: 4, method: 'health.get' });
    const [health] = await stream.take(1);
    expect(health).toMatchObject({ id: 4 });
    const listeners = serving.engine.listeners;
    stream.ws.close();
    await until(() => serving.engine.listeners === listeners - 1);
  });

  test('is limited in number, and checks what is asked', async () => {
    await using serving = await serve();
    const stream = await openStream(serving.path);
    for (let id = 0; id < 9; id += 1) stream.send({ id, method: 'subscribe', params: { from: 0 } });
    stream.send({ id: 'x', method: 'subscribe', params: { from: -1 } });
    stream.send({ id: 'y', method: 'subscribe', params: {} });
    const frames = await stream.take(11);
    expect(frames[8]).toMatchObject({
      id: 8,
      problem: { status: 429, code: 'stream.too_many_subscriptions' },
    });
    expect(frames[9]).toMatchObject({ id: 'x', problem: { code: 'request.invalid', at: '/from' } });
    expect(frames[10]).toMatchObject({ id: 'y', problem: { code: 'request.invalid', at: '/from' } });
  });

  test('of a peer that does not read keeps one page waiting, not the ledger', async () => {
    await using serving = await serve();
    for (let n = 0; n < 3_000; n += 1) serving.engine.commit('system', 'x'.repeat(20_000), null);
    const stream = await openStream(serving.path);
    stream.send({ id: 1, method: 'subscribe', params: { from: 0 } });
    await stream.take(1);
    stream.ws.pause();
    let before = -1;
    while (serving.engine.calls.length !== before) {
      before = serving.engine.calls.length;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    expect(before).toBeLessThan(10);
    stream.ws.resume();
    expect(indexes(await stream.take(3_000))).toEqual(Array.from({ length: 3_000 }, (_, n) => n));
  });
});

describe('the connection', () => {
  test('is cut off when its peer does not answer the heartbeat', async () => {
    await using serving = await serve({ patience: { heartbeat: 1_000 } });
    const lively = await openStream(serving.path);
    const handshake =
      'GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n';
    expect(await exchangeRaw(serving.path, handshake, true)).toContain('101 Switching Protocols');
    lively.send({ id: 1, method: 'health.get' });
    expect(await lively.take(1)).toHaveLength(1);
  });

  test('is offered at its one path, to WebSocket only', async () => {
    await using serving = await serve();
    const upgrade = (path: string, protocol: string) =>
      `GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\n\r\n`;
    expect(await exchangeRaw(serving.path, upgrade('/v1/other', 'websocket'))).toContain('404 Not Found');
    expect(await exchangeRaw(serving.path, upgrade('/v1/stream', 'websocket'))).toContain('400 Bad Request');
    expect(await exchangeRaw(serving.path, upgrade('/v1/stream', 'h2c'))).toContain('426 Upgrade Required');
    expect(await exchangeRaw(serving.path, upgrade('/v1/health', 'h2c'))).toContain('200 OK');
  });
});
