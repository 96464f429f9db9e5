import { describe, expect, test } from 'vitest';
import { METHODS, methodsOf, type SocketKind } from '../../daemon/api/methods.ts';
import { exchange, openStream } from './exchange.ts';
import { decisionId, permitId } from './fake-engine.ts';
import { serve } from './serving.ts';

const KINDS: SocketKind[] = ['request', 'redeem', 'operator', 'gateway'];

/** Which socket offers what, written out a second time so that a slip in the table shows. */
const OFFERED: Record<SocketKind, string[]> = {
  request: [
    'breakglass.activate',
    'breakglass.end',
    'breakglass.get',
    'breakglass.review',
    'decisions.approve',
    'decisions.cancel',
    'decisions.create',
    'decisions.get',
    'envelopes.change',
    'grants.get',
    'grants.issue',
    'grants.redeem',
    'grants.revoke',
    'health.get',
    'incidents.get',
    'incidents.open',
    'incidents.resume',
    'keys.suspend',
    'openapi.get',
    'ready.get',
    'tls.renew',
  ],
  redeem: [
    'anchors.from',
    'anchors.list',
    'decisions.create',
    'decisions.get',
    'health.get',
    'incidents.open',
    'ledger.checkpoint',
    'ledger.proof',
    'openapi.get',
    'peers.identify',
    'permits.open',
    'permits.outcome',
    'permits.redeem',
    'policy.update',
    'ready.get',
    'tls.renew',
  ],
  operator: [
    'anchors.carried',
    'anchors.carry',
    'anchors.cosignatures',
    'anchors.export',
    'anchors.from',
    'anchors.list',
    'anomalies.list',
    'backups.record',
    'breakglass.activate',
    'breakglass.end',
    'breakglass.get',
    'breakglass.list',
    'breakglass.review',
    'canary.run',
    'decisions.approve',
    'decisions.cancel',
    'decisions.create',
    'decisions.entries',
    'decisions.get',
    'decisions.list',
    'decisions.reconcile',
    'decisions.replay',
    'decisions.review',
    'envelopes.change',
    'envelopes.disclose',
    'envelopes.get',
    'envelopes.rotate',
    'evidence.export',
    'grants.get',
    'grants.issue',
    'grants.list',
    'grants.redeem',
    'grants.revoke',
    'health.get',
    'incidents.get',
    'incidents.list',
    'incidents.open',
    'incidents.resume',
    'keys.suspend',
    'keys.suspended',
    'ledger.checkpoint',
    'ledger.disclose',
    'ledger.entries',
    'ledger.keys',
    'ledger.proof',
    'ledger.rotate_key',
    'ledger.search',
    'ledger.tile',
    'metrics.get',
    'openapi.get',
    'outbox.acknowledgements',
    'permits.open',
    'policy.get',
    'policy.held',
    'policy.history',
    'policy.import',
    'policy.release',
    'policy.update',
    'ready.get',
    'retention.carry',
    'retention.get',
    'retention.hold',
    'retention.prune',
    'retention.release',
    'status.get',
    'subscribe',
    'time.get',
    'time.state',
    'tls.renew',
    'unsubscribe',
  ],
  gateway: ['actions.execute', 'health.get', 'metrics.get', 'openapi.get', 'ready.get', 'status.get'],
};

describe('the table', () => {
  test.each(KINDS)('offers on %s exactly what is meant for it', (kind) => {
    expect(
      methodsOf(kind)
        .map((method) => method.name)
        .sort(),
    ).toEqual(OFFERED[kind]);
  });

  test('names each method and each verb with path once', () => {
    const names = METHODS.map((method) => method.name);
    expect(new Set(names).size).toBe(names.length);
    const routes = METHODS.flatMap(({ http }) => (http === null ? [] : [`${http.verb} ${http.path}`]));
    expect(new Set(routes).size).toBe(routes.length);
  });

  test('has no engine method on the gateway, which has no engine', () => {
    expect(
      methodsOf('gateway').filter((method) => method.kind === 'engine' || method.kind === 'stream'),
    ).toEqual([]);
  });

  test('declares every path parameter, and no name twice among path, query, header and body', () => {
    for (const method of METHODS) {
      const inPath = [...(method.http?.path.matchAll(/\{(\w+)\+?\}/g) ?? [])].map((match) => match[1]);
      const path = Object.keys(method.path?.properties ?? {});
      expect(path, method.name).toEqual(inPath);
      const query = Object.keys(method.query?.properties ?? {});
      const header = method.keyed === true ? ['idempotency_key'] : [];
      const together = [...path, ...query, ...header, ...bodyNames(method.body)];
      expect(new Set(together).size, method.name).toBe(together.length);
    }
  });
});

/** Member names of a body; of a union, of all its branches. */
function bodyNames(body: unknown): string[] {
  const schema = (body ?? {}) as { properties?: object; anyOf?: unknown[] };
  const branches = (schema.anyOf ?? []).flatMap(bodyNames);
  return [...new Set([...Object.keys(schema.properties ?? {}), ...branches])];
}

describe.each(KINDS)('the %s socket', (kind) => {
  const foreign = METHODS.filter((method) => !method.sockets.includes(kind));

  test('answers 404 for what other sockets offer, over HTTP, and tells where it is', async () => {
    await using serving = await serve({ socket: kind });
    for (const method of foreign) {
      if (method.http === null) continue;
      const path = method.http.path
        .replace('{path+}', '0/000')
        .replace('{index}', '1')
        .replace('{id}', method.http.path.includes('permits') ? permitId(1) : decisionId(1));
      const { verb } = method.http;
      const reply = await exchange(serving.path, path, verb === 'POST' ? { body: {} } : {});
      expect(reply.json, `${verb} ${path}`).toMatchObject({ status: 404, code: 'method.not_on_this_socket' });
      expect(reply.json.detail).toContain(`${method.sockets[0]}.sock`);
    }
    expect(serving.engine.calls).toEqual([]);
  });

  test('answers 404 for what other sockets offer, over the stream', async () => {
    await using serving = await serve({ socket: kind });
    const stream = await openStream(serving.path);
    for (const [index, method] of foreign.entries())
      stream.send({ id: index, method: method.name, params: {} });
    const frames = await stream.take(foreign.length);
    for (const frame of frames) expect(frame.problem).toMatchObject({ code: 'method.not_on_this_socket' });
    stream.send({ id: 'x', method: 'decisions.destroy' });
    const [unknown] = await stream.take(1);
    expect(unknown).toMatchObject({ id: 'x', problem: { status: 404, code: 'method.unknown' } });
    expect(serving.engine.calls).toEqual([]);
  });
});
