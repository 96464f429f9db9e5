import { setTimeout } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { ApiClient } from '../../daemon/api/client.ts';
import { Waits } from '../../daemon/api/waits.ts';
import { exchange, openStream, until } from './exchange.ts';
import { decisionId, FakeEngine, json } from './fake-engine.ts';
import { type Serving, serve } from './serving.ts';

const ID = decisionId(9);

/** Has the engine answer "pending" until `decide` is called; `decide` commits and announces. */
function pending(serving: Serving): { decide: () => void } {
  let decided = false;
  serving.engine.script = (call) => {
    if (call.method !== 'decisions.get' && call.method !== 'decisions.create') return undefined;
    return decided
      ? json(200, { decision_id: ID, status: 'authorized' })
      : json(202, { decision_id: ID, status: 'pending_authority' });
  };
  return {
    decide: () => {
      decided = true;
      serving.engine.commit(ID, 'approval.added', 'authorized');
    },
  };
}

async function inFlight(serving: Serving): Promise<number> {
  const { body } = await serving.metrics.text();
  return Number(/holdfast_requests_in_flight\{socket="operator"\} (\d+)/.exec(body)?.[1]);
}

describe('?wait', () => {
  test('holds a pending decision back until it is decided', async () => {
    await using serving = await serve();
    const { decide } = pending(serving);
    const client = new ApiClient({ socketPath: serving.path });
    const asked = client.createDecision({}, { wait: '60s' });
    await until(() => serving.engine.calls.length === 2);
    const read = client.getDecision(ID, { wait: '60s' });
    await until(() => serving.engine.calls.length === 4);
    serving.engine.commit(decisionId(1), 'decision.denied', 'denied');
    serving.engine.commit(ID, 'approval.added', 'pending_authority');
    await until(() => serving.engine.calls.length === 6);
    decide();
    expect(await asked).toMatchObject({ status: 'authorized' });
    expect(await read).toMatchObject({ status: 'authorized' });
    client.close();
  });

  test('asks the engine for one decision only', async () => {
    await using serving = await serve();
    const { decide } = pending(serving);
    const headers = { 'idempotency-key': 'k' };
    const asked = exchange(serving.path, '/v1/decisions?wait=60s', { body: {}, headers });
    await until(() => serving.engine.calls.length === 2);
    decide();
    expect((await asked).status).toBe(200);
    expect(serving.engine.methods).toEqual(['decisions.create', 'decisions.get', 'decisions.get']);
    expect(serving.engine.calls[0]).toMatchObject({ args: {}, key: 'k' });
    expect(serving.engine.calls[1]).toMatchObject({ args: { id: ID }, key: null, body: null });
  });

  test('answers with what there is when the time is up', async () => {
    await using serving = await serve();
    pending(serving);
    const reply = await exchange(serving.path, `/v1/decisions/${ID}?wait=30ms`);
    expect(reply.status).toBe(202);
    expect(reply.json).toMatchObject({ status: 'pending_authority' });
  });

  test('does not wait for what is decided already, or refused', async () => {
    await using serving = await serve();
    serving.engine.script = () => json(200, { decision_id: ID, status: 'denied' });
    expect((await exchange(serving.path, `/v1/decisions/${ID}?wait=60s`)).status).toBe(200);
    serving.engine.script = () => json(404, { code: 'decision.not_found' });
    expect((await exchange(serving.path, `/v1/decisions/${ID}?wait=60s`)).status).toBe(404);
  });

  test('works on the stream', async () => {
    await using serving = await serve();
    const { decide } = pending(serving);
    const stream = await openStream(serving.path);
    stream.send({ id: 1, method: 'decisions.create', params: { action: {}, wait: '60s' } });
    stream.send({ id: 2, method: 'health.get' });
    expect(await stream.take(1)).toMatchObject([{ id: 2 }]);
    decide();
    expect(await stream.take(1)).toMatchObject([{ id: 1, result: { status: 'authorized' } }]);
    expect(serving.engine.calls[0]).toMatchObject({ args: {}, body: '{"action":{}}' });
  });

  test('ends when the caller is gone', async () => {
    await using serving = await serve();
    pending(serving);
    const client = new ApiClient({ socketPath: serving.path });
    const controller = new AbortController();
    const asked = client.getDecision(ID, { wait: '60s', signal: controller.signal });
    await until(() => serving.engine.calls.length === 2);
    expect(await inFlight(serving)).toBe(1);
    controller.abort();
    await expect(asked).rejects.toMatchObject({ reason: 'aborted' });
    while ((await inFlight(serving)) > 0) await setTimeout(2);
    client.close();
  });

  test('ends with what there is when the server stops', async () => {
    await using serving = await serve();
    pending(serving);
    const asked = exchange(serving.path, `/v1/decisions/${ID}?wait=60s`);
    await until(() => serving.engine.calls.length === 2);
    await serving.server.stop(5_000);
    expect((await asked).status).toBe(202);
  });
});

describe('Waits', () => {
  const options = () => ({ waitMs: 60_000, signal: new AbortController().signal });

  test('misses no decision, whenever between the readings it comes', async () => {
    // The decision falls at every possible turn of the promise queue after the reading has started.
    for (let turns = 0; turns < 12; turns += 1) {
      const engine = new FakeEngine();
      const waits = new Waits(engine);
      let decided = false;
      const read = async () => {
        const seen = decided;
        await Promise.resolve();
        return json(seen ? 200 : 202, {});
      };
      const result = waits.untilDecided(ID, read, options());
      for (let turn = 0; turn < turns; turn += 1) await Promise.resolve();
      decided = true;
      engine.commit(ID);
      expect((await result).status).toBe(200);
      expect(waits.waiting).toBe(0);
    }
  });

  test('leaves nothing behind', async () => {
    const engine = new FakeEngine();
    const waits = new Waits(engine);
    const never = () => Promise.resolve(json(202, {}));
    await waits.untilDecided(ID, never, { ...options(), waitMs: 5 });
    const aborted = new AbortController();
    aborted.abort();
    await waits.untilDecided(ID, never, { waitMs: 60_000, signal: aborted.signal });
    await expect(waits.untilDecided(ID, () => Promise.reject(new Error('gone')), options())).rejects.toThrow(
      'gone',
    );
    expect(waits.waiting).toBe(0);
    waits.stop();
    expect((await waits.untilDecided(ID, never, options())).status).toBe(202);
    expect(waits.waiting).toBe(0);
    expect(engine.listeners).toBe(0);
  });
});
