import { createServer, type Server } from 'node:http';
import { createServer as createNetServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ApiClient, ApiProblem, ApiUnreachable } from '../../daemon/api/client.ts';
import { daemonServices } from '../../daemon/api/services.ts';
import { until } from './exchange.ts';
import { decisionId, json, permitId } from './fake-engine.ts';
import { type Serving, serve } from './serving.ts';

const ACT = { act: '{}', signature: '-----BEGIN SSH SIGNATURE-----' };
const DIGEST = 'ab'.repeat(32);

function clientOf(serving: Serving): ApiClient & Disposable {
  const client = new ApiClient({ socketPath: serving.path });
  return Object.assign(client, { [Symbol.dispose]: () => client.close() });
}

describe('each method of the client', () => {
  const id = decisionId(1);
  const permit = permitId(1);
  type Case = [string, 'operator' | 'redeem', (client: ApiClient) => Promise<unknown>, object];
  test.each<Case>([
    [
      'createDecision',
      'operator',
      (c) => c.createDecision({ action: {} }, { idempotencyKey: 'k' }),
      { method: 'decisions.create', args: {}, body: '{"action":{}}', key: 'k' },
    ],
    [
      'getDecision',
      'operator',
      (c) => c.getDecision(id),
      { method: 'decisions.get', args: { id }, body: null },
    ],
    [
      'listDecisions',
      'operator',
      (c) => c.listDecisions({ status: 'denied', after: id, limit: 7 }),
      { method: 'decisions.list', args: { status: 'denied', after: id, limit: '7' } },
    ],
    [
      'submitAct',
      'operator',
      (c) => c.submitAct(id, 'approvals', ACT),
      { method: 'decisions.approve', args: { id }, body: JSON.stringify(ACT) },
    ],
    [
      'cancel',
      'operator',
      (c) => c.cancel(id, { actor: { id: 'a' }, reason: 'r' }),
      { method: 'decisions.cancel', args: { id } },
    ],
    [
      'review',
      'operator',
      (c) => c.review(id, { actor: { id: 'a', role: 'L3' }, note: 'n' }),
      { method: 'decisions.review', args: { id } },
    ],
    [
      'a signed review',
      'operator',
      (c) => c.review(id, ACT),
      { method: 'decisions.review', body: JSON.stringify(ACT) },
    ],
    ['reconcile', 'operator', (c) => c.reconcile(id, ACT), { method: 'decisions.reconcile', args: { id } }],
    [
      'redeem',
      'redeem',
      (c) => c.redeem(permit, { audience: 'gateway', action_digest: DIGEST }),
      { method: 'permits.redeem', args: { id: permit } },
    ],
    [
      'outcome',
      'redeem',
      (c) =>
        c.outcome(permit, { audience: 'gateway', result: 'failed', detail: { exit_code: 3, signal: null } }),
      { method: 'permits.outcome', args: { id: permit } },
    ],
    ['policy', 'operator', (c) => c.policy(), { method: 'policy.get', args: {} }],
    [
      'entries',
      'operator',
      (c) => c.entries({ from: 3, limit: 9 }),
      { method: 'ledger.entries', args: { from: '3', limit: '9' } },
    ],
    ['checkpoint', 'redeem', (c) => c.checkpoint(), { method: 'ledger.checkpoint', args: {} }],
    ['proof', 'redeem', (c) => c.proof(12), { method: 'ledger.proof', args: { index: '12' } }],
  ])('%s asks the engine for what it says', async (_name, socket, call, expected) => {
    await using serving = await serve({ socket });
    using client = clientOf(serving);
    await call(client);
    expect(serving.engine.calls).toHaveLength(1);
    expect(serving.engine.calls[0]).toMatchObject(expected);
  });

  test('openPermits unwraps the list', async () => {
    await using serving = await serve({ socket: 'redeem' });
    using client = clientOf(serving);
    const open = { permit_id: permit, decision_id: id, redeemed_at: '2026-11-21T00:00:00.000Z' };
    serving.engine.script = () => json(200, { permits: [open] });
    expect(await client.openPermits('gateway')).toEqual([open]);
    expect(serving.engine.calls[0]?.args).toEqual({ audience: 'gateway', state: 'redeemed' });
  });

  test('texts come back as they are', async () => {
    await using serving = await serve({ socket: 'redeem' });
    using client = clientOf(serving);
    expect(await client.checkpoint()).toBe('ledger.checkpoint\n');
    expect(await client.proof(0)).toBe('ledger.proof\n');
  });
});

describe("the daemon's own part of the table", () => {
  async function serveDaemon(degraded: object[] = []) {
    const parts = {
      policyUpdate: (digest: string | null) =>
        Promise.resolve(
          digest === DIGEST ? null : { update_id: 'u', files: { 'metadata/1.root.json': 'e30=' } },
        ),
      importPolicy: (path: string) =>
        Promise.resolve(
          path === '/good'
            ? { applied: true as const, update_id: 'u' }
            : { applied: false as const, code: 'update.expired', reason: 'The metadata has expired.' },
        ),
      extraStatus: () => ({ uptime_seconds: 5 }),
      extraDegraded: () => [],
    };
    const serving = await serve({ host: (engine) => daemonServices({ ...parts, engine }) });
    serving.engine.script = (call) =>
      call.method === 'status.get'
        ? json(200, { site: 's', ready: degraded.length === 0, degraded })
        : undefined;
    return serving;
  }

  test('serves policy updates, and says when there is none', async () => {
    await using serving = await serveDaemon();
    using client = clientOf(serving);
    expect(await client.policyUpdate()).toEqual({
      update_id: 'u',
      files: { 'metadata/1.root.json': 'e30=' },
    });
    await expect(client.policyUpdate(DIGEST)).rejects.toMatchObject({
      status: 404,
      code: 'policy.update_not_found',
    });
  });

  test('imports, and a refused import is a problem with its code', async () => {
    await using serving = await serveDaemon();
    using client = clientOf(serving);
    expect(await client.importPolicy('/good')).toMatchObject({ applied: true });
    const refused = client.importPolicy('/bad');
    await expect(refused).rejects.toMatchObject({
      name: 'ApiProblem',
      status: 422,
      code: 'update.expired',
      detail: 'The metadata has expired.',
      body: { applied: false },
    });
  });

  test('puts the host beside the engine in the status', async () => {
    await using serving = await serveDaemon();
    using client = clientOf(serving);
    expect(await client.status()).toEqual({
      site: 's',
      ready: true,
      degraded: [],
      host: { uptime_seconds: 5 },
    });
  });

  test('is ready only when the engine says so', async () => {
    await using serving = await serveDaemon();
    using client = clientOf(serving);
    expect(await client.ready()).toEqual({ ready: true, reason: null });
    await using waiting = await serveDaemon([
      { effect: 'Every request is denied.', instruction: 'Import a policy.' },
    ]);
    using other = clientOf(waiting);
    expect(await other.ready()).toEqual({
      ready: false,
      reason: 'Every request is denied. Import a policy.',
    });
  });

  test('is not available where the process has no part for it', async () => {
    await using serving = await serve();
    using client = clientOf(serving);
    await expect(client.importPolicy('/x')).rejects.toMatchObject({ status: 503, code: 'unavailable' });
  });
});

describe('an answer that says no', () => {
  test('is an ApiProblem with status, code and the whole document', async () => {
    await using serving = await serve();
    using client = clientOf(serving);
    serving.engine.script = () =>
      json(409, { code: 'decision.terminal', detail: 'It is denied.', record_id: 4 });
    const error = await client.getDecision(decisionId(1)).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(ApiProblem);
    expect(error).toMatchObject({
      status: 409,
      code: 'decision.terminal',
      detail: 'It is denied.',
      body: { record_id: 4 },
    });
  });
});

describe('no answer', () => {
  async function listen(server: Server | ReturnType<typeof createNetServer>, dir: string): Promise<string> {
    const path = join(dir, 'other.sock');
    await new Promise<void>((resolve) => server.listen(path, resolve));
    return path;
  }
  const failure = (call: Promise<unknown>) => call.then(() => null).catch((error: unknown) => error);

  test('is told apart: no socket, nobody behind it, silence, hanging up, giving up, nonsense', async () => {
    await using serving = await serve();
    const missing = new ApiClient({ socketPath: join(serving.dir, 'none.sock') });
    expect(await failure(missing.status())).toMatchObject({ reason: 'missing', sent: false });

    serving.engine.script = () => new Promise(() => {});
    const impatient = new ApiClient({ socketPath: serving.path, timeoutMs: 500 });
    const timeout = await failure(impatient.createDecision({}));
    expect(timeout).toBeInstanceOf(ApiUnreachable);
    expect(timeout).toMatchObject({ reason: 'timeout', sent: true });

    const client = new ApiClient({ socketPath: serving.path });
    const controller = new AbortController();
    const aborted = failure(client.createDecision({}, { signal: controller.signal }));
    await until(() => serving.engine.calls.length === 2);
    controller.abort();
    expect(await aborted).toMatchObject({ reason: 'aborted', sent: true });
  });

  test('with a socket that was left behind is "refused"', async () => {
    await using serving = await serve();
    const { execFileSync } = await import('node:child_process');
    const path = join(serving.dir, 'stale.sock');
    const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
    expect(() => execFileSync(process.execPath, ['-e', script], { stdio: 'ignore' })).toThrow();
    const client = new ApiClient({ socketPath: path });
    expect(await failure(client.createDecision({}))).toMatchObject({ reason: 'refused', sent: false });
  });

  test('from a server that hangs up is repeated once if that is harmless, and never otherwise', async () => {
    await using serving = await serve();
    let connections = 0;
    const sockets = new Set<Socket>();
    const server = createNetServer((socket) => {
      connections += 1;
      sockets.add(socket);
      socket.on('error', () => {});
      socket.once('data', () => socket.destroy());
    });
    const client = new ApiClient({ socketPath: await listen(server, serving.dir) });
    expect(
      await failure(client.redeem(permitId(1), { audience: 'gateway', action_digest: DIGEST })),
    ).toMatchObject({ reason: 'closed', sent: true });
    expect(connections).toBe(1);
    await failure(client.getDecision(decisionId(1)));
    expect(connections).toBe(3);
    await failure(client.createDecision({}, { idempotencyKey: 'k' }));
    expect(connections).toBe(5);
    server.close();
  });

  test('from somebody else is "garbled"', async () => {
    await using serving = await serve();
    const server = createServer((_request, response) => response.end('<html>'));
    const client = new ApiClient({ socketPath: await listen(server, serving.dir) });
    expect(await failure(client.status())).toMatchObject({ reason: 'garbled', sent: true });
    client.close();
    server.close();
  });
});

test('a server that went away and came back is reached again', async () => {
  const first = await serve();
  const client = new ApiClient({ socketPath: first.path });
  await client.policy();
  await first.server.stop(1_000);
  await expect(client.policy()).rejects.toMatchObject({ name: 'ApiUnreachable' });
  await first[Symbol.asyncDispose]();
  client.close();
});
