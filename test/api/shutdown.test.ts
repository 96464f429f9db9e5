import { connect } from 'node:net';
import { describe, expect, test } from 'vitest';
import { exchange, exchangeRaw, openStream, until } from './exchange.ts';
import { json } from './fake-engine.ts';
import { type Serving, serve } from './serving.ts';

function holding(serving: Serving): { release: () => void } {
  const gate = Promise.withResolvers<void>();
  serving.engine.script = async () => {
    await gate.promise;
    return json(200, { recorded: true });
  };
  return { release: gate.resolve };
}

describe('stopping', () => {
  test('answers what was accepted, over HTTP and on the stream, and closes streams with 1001', async () => {
    await using serving = await serve();
    const { release } = holding(serving);
    const asked = exchange(serving.path, '/v1/decisions', { body: {} });
    const stream = await openStream(serving.path);
    stream.send({ id: 1, method: 'decisions.create', params: {} });
    await until(() => serving.engine.calls.length === 2);
    const stopped = serving.server.stop(10_000);
    release();
    const reply = await asked;
    expect(reply.json).toEqual({ recorded: true });
    expect(reply.headers.connection).toBe('close');
    expect(await stream.take(1)).toEqual([{ id: 1, result: { recorded: true } }]);
    expect((await stream.closed).code).toBe(1001);
    await stopped;
  });

  test('accepts nothing more: no connection, no request on a kept one, no frame', async () => {
    await using serving = await serve();
    const { release } = holding(serving);
    const stream = await openStream(serving.path);
    stream.send({ id: 1, method: 'policy.get' });
    const kept = connect(serving.path);
    const received: string[] = [];
    kept.on('data', (data) => received.push(data.toString()));
    kept.write('GET /v1/policy HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await until(() => serving.engine.calls.length === 2);
    const stopped = serving.server.stop(10_000);
    stream.send({ id: 2, method: 'policy.get' });
    expect(await stream.take(1)).toMatchObject([{ id: 2, problem: { code: 'server.stopping' } }]);
    await expect(exchange(serving.path, '/v1/health')).rejects.toThrow();
    release();
    await stopped;
    expect(received.join('')).toContain('{"recorded":true}');
    expect(serving.engine.calls).toHaveLength(2);
  });

  test('is bounded when something never ends', async () => {
    await using serving = await serve();
    holding(serving);
    const asked = exchange(serving.path, '/v1/policy').then(
      () => 'answered',
      () => 'cut off',
    );
    const stream = await openStream(serving.path);
    stream.send({ id: 1, method: 'policy.get' });
    const stalled = exchangeRaw(serving.path, 'POST /v1/decisions HTTP/1.1\r\nHost: l\r\nContent-Le', true);
    await until(() => serving.engine.calls.length === 2);
    await serving.server.stop(100);
    expect(await asked).toBe('cut off');
    expect((await stream.closed).code).toBe(1006);
    expect(await stalled).toBe('');
  });

  test('lets an idle connection and an idle stream go at once', async () => {
    await using serving = await serve();
    const idle = exchangeRaw(serving.path, 'GET /v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n', true);
    const stream = await openStream(serving.path);
    await exchange(serving.path, '/v1/health');
    await serving.server.stop(60_000);
    expect((await stream.closed).code).toBe(1001);
    expect(await idle).toContain('200 OK');
  });

  test('removes the socket file and the listeners on the engine', async () => {
    await using serving = await serve();
    await serving.server.stop(1_000);
    await expect(exchange(serving.path, '/v1/health')).rejects.toMatchObject({ code: 'ENOENT' });
    expect(serving.engine.listeners).toBe(0);
  });
});
