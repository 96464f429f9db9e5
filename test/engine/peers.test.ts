import { afterEach, describe, expect, it } from 'vitest';
import type { Bundle, BundlePrincipal } from '../../daemon/core/bundle.ts';
import { compileBundle } from '../../daemon/core/compile.ts';
import { rosterOf } from '../../daemon/core/roster.ts';
import { Peers } from '../../daemon/engine/peers.ts';
import type { Policies } from '../../daemon/engine/policies.ts';
import type { EngineMethod, Peer } from '../../daemon/engine/protocol.ts';
import type { Reading } from '../../daemon/engine/time.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { alice, ask, testBundle } from './bundle.ts';
import { EngineFixture, SITE } from './fixture.ts';

const CERTIFICATE = 'ab'.repeat(32);
const idOf = (path: string) => `spiffe://${SITE}/${path}`;
const peer = (path: string, socket: Peer['socket'] = 'request'): Peer => ({
  socket,
  uid: null,
  spiffe_id: idOf(path),
  certificate: CERTIFICATE,
});
const user = (uid: number, socket: Peer['socket'] = 'operator'): Peer => ({ socket, uid });

const AGENT = peer('agent/ops-1');
const GATEWAY = peer('gateway', 'redeem');
const STRANGER = user(4_711);

function roster(changes: Record<string, Partial<BundlePrincipal>> = {}): Bundle {
  const bundle = testBundle();
  const principals: Record<string, BundlePrincipal> = {
    ...bundle.principals,
    'agent:ops-1': {
      kind: 'agent',
      roles: ['agent'],
      status: 'active',
      owner: 'olga',
      spiffe_id: 'spiffe://{{site}}/agent/ops-1',
    },
    'agent:ops-2': { kind: 'agent', roles: ['agent'], status: 'active', owner: 'olga' },
    'service:gateway': {
      kind: 'service',
      roles: [],
      status: 'active',
      spiffe_id: 'spiffe://{{site}}/gateway',
      may_assert: ['agent'],
      audiences: ['gateway'],
    },
    olga: { kind: 'human', roles: ['l2'], status: 'active', uid: 1_000 },
  };
  for (const [id, change] of Object.entries(changes))
    principals[id] = { ...principals[id], ...change } as BundlePrincipal;
  return { ...bundle, principals };
}

let open: EngineFixture | null = null;
afterEach(() => {
  open?.close();
  open = null;
});

function site(bundle: Bundle | null = roster(), peers = { required: false, own_uid: 990 }): EngineFixture {
  open = new EngineFixture(bundle, { peers });
  return open;
}

/** Puts the next version of a bundle in force. */
function update(fixture: EngineFixture, bundle: Bundle, serial = 2): void {
  bundle.metadata.version = serial;
  expect(fixture.apply(bundle, serial).status).toBe(200);
}

function create(
  fixture: EngineFixture,
  by: Peer | null,
  actor = 'agent:ops-1',
  what = 'read_telemetry',
  target = 'sensor:a',
) {
  const json = ask(what, target, { context: { actor: { id: actor, role: null } } });
  return fixture.call('decisions.create', { json, ...(by === null ? {} : { peer: by }) }).body;
}

const failed = (decision: JsonObject) =>
  (decision.policy as { gates: { id: string; result: string }[] }).gates
    .filter(({ result }) => result === 'fail')
    .map(({ id }) => id);

describe('who asks', () => {
  it('is recorded with the decision, as input and as principal, and the verdict replays', () => {
    const fixture = site();
    const allowed = create(fixture, AGENT);
    expect(allowed).toMatchObject({
      status: 'authorized',
      peer: { principal: 'agent:ops-1', spiffe_id: idOf('agent/ops-1'), certificate: CERTIFICATE },
    });
    const denied = create(fixture, AGENT, 'olga');
    expect(failed(denied)).toEqual(['identity.assertion']);
    expect(denied).toMatchObject({ status: 'denied', peer: { principal: 'agent:ops-1' } });
    for (const { decision_id } of [allowed, denied]) {
      const { status, body } = fixture.call('decisions.replay', { args: { id: String(decision_id) } });
      expect({ status, differences: body.differences }).toEqual({ status: 200, differences: [] });
      expect(fixture.call('decisions.get', { args: { id: String(decision_id) } }).body.peer).toMatchObject({
        principal: 'agent:ops-1',
      });
    }
  });

  it('replays to the recorded verdict after the roster has changed', () => {
    const fixture = site();
    const decision = create(fixture, AGENT);
    update(fixture, roster({ 'agent:ops-1': { status: 'revoked' } }));
    const { body } = fixture.call('decisions.replay', { args: { id: String(decision.decision_id) } });
    expect(body.differences).toEqual([]);
  });

  it('leaves no trace where nobody has an identity', () => {
    const fixture = site(testBundle());
    const decision = create(fixture, STRANGER);
    expect(decision.status).toBe('authorized');
    expect(decision).not.toHaveProperty('peer');
  });

  it('cannot be an agent with an identity without showing it', () => {
    const fixture = site();
    expect(failed(create(fixture, STRANGER))).toEqual(['identity.assertion']);
    expect(create(fixture, STRANGER, 'agent:ops-2').status).toBe('authorized');
  });

  it('stops counting in the moment in which a policy says so', () => {
    const fixture = site();
    expect(create(fixture, AGENT).status).toBe('authorized');
    update(fixture, roster({ 'agent:ops-1': { status: 'suspended' } }));
    expect(failed(create(fixture, AGENT))).toEqual(['identity.peer', 'identity.suspended']);
    expect(fixture.call('decisions.get', { args: { id: 'dec_x' }, peer: AGENT })).toMatchObject({
      status: 403,
      body: { code: 'peer.not_active' },
    });
    update(fixture, roster({ 'agent:ops-1': { revoked_certificates: [CERTIFICATE] } }), 3);
    expect(failed(create(fixture, AGENT))).toEqual(['identity.peer']);
    expect(fixture.call('decisions.get', { args: { id: 'dec_x' }, peer: AGENT }).body.code).toBe(
      'peer.not_trusted',
    );
  });
});

describe('what a known caller may call', () => {
  const refusalOf = (fixture: EngineFixture, method: EngineMethod, by: Peer, json: JsonObject = {}) => {
    const { status, body } = fixture.call(method, { peer: by, args: { id: 'dec_x' }, json });
    return `${status} ${String(body.code)}`;
  };

  it.each<EngineMethod>([
    'decisions.list',
    'decisions.review',
    'decisions.reconcile',
    'decisions.replay',
    'permits.redeem',
    'permits.outcome',
    'permits.open',
    'policy.get',
    'policy.history',
    'ledger.entries',
    'ledger.tile',
  ])('an agent may not call %s, on whichever socket', (method) => {
    const fixture = site();
    for (const socket of ['request', 'redeem', 'operator'] as const)
      expect(refusalOf(fixture, method, peer('agent/ops-1', socket))).toBe('403 peer.not_permitted');
  });

  it('a person may, and the gateway may do what audiences do', () => {
    const fixture = site();
    expect(fixture.call('decisions.list', { peer: user(1_000) }).status).toBe(200);
    const open = { peer: GATEWAY, args: { audience: 'gateway', state: 'redeemed' } };
    expect(fixture.call('permits.open', open).status).toBe(200);
    expect(refusalOf(fixture, 'decisions.review', GATEWAY)).toBe('403 peer.not_permitted');
  });

  it('a write that is refused leaves no entry', () => {
    const fixture = site();
    const before = fixture.engine.status() as { ledger: { size: number } };
    refusalOf(fixture, 'decisions.review', AGENT);
    expect((fixture.engine.status() as { ledger: { size: number } }).ledger.size).toBe(before.ledger.size);
  });
});

describe('a permit', () => {
  const permitOf = (fixture: EngineFixture) => {
    const { permit } = create(fixture, AGENT);
    const { id, action_digest } = permit as { id: string; action_digest: string };
    return { id, json: { audience: 'gateway', action_digest } };
  };

  it('is redeemed by its audience alone, when somebody is known to be that', () => {
    const fixture = site();
    const { id, json } = permitOf(fixture);
    const redeem = (by: Peer) => fixture.call('permits.redeem', { args: { id }, json, peer: by });
    expect(redeem({ ...STRANGER, socket: 'redeem' }).body.code).toBe('permit.wrong_audience');
    expect(redeem(user(1_000, 'redeem')).body.code).toBe('peer.not_permitted');
    expect(redeem(GATEWAY).status).toBe(200);
    const { body } = fixture.call('ledger.entries', { args: { from: '0' } });
    const entries = body.entries as { entry: { type: string; data: JsonObject } }[];
    expect(entries.at(-1)?.entry).toMatchObject({
      type: 'permit.redeemed',
      data: { peer: 'service:gateway' },
    });
  });

  it('is of no use to an audience of another name', () => {
    const fixture = site(
      roster({
        'service:sensors': {
          kind: 'service',
          roles: [],
          status: 'active',
          spiffe_id: 'spiffe://{{site}}/sensors',
          audiences: ['sensors'],
        },
      }),
    );
    const { id, json } = permitOf(fixture);
    const { body } = fixture.call('permits.redeem', { args: { id }, json, peer: peer('sensors', 'redeem') });
    expect(body.code).toBe('permit.wrong_audience');
  });
});

describe('acting in a name without a signature', () => {
  const cancel = (fixture: EngineFixture, by: Peer, actor: string, id: unknown) =>
    fixture.call('decisions.cancel', {
      peer: by,
      args: { id: String(id) },
      json: { actor: { id: actor }, reason: 'x' },
    });

  it('needs that name', () => {
    const fixture = site();
    const { decision_id } = create(fixture, AGENT, 'agent:ops-1', 'restart_service', 'service:a');
    expect(cancel(fixture, STRANGER, 'agent:ops-1', decision_id).body.code).toBe('peer.not_that_actor');
    expect(cancel(fixture, { ...AGENT, spiffe_id: idOf('gateway') }, 'olga', decision_id).body.code).toBe(
      'peer.not_that_actor',
    );
    expect(cancel(fixture, user(1_000), 'agent:ops-1', decision_id).body.code).toBe('peer.not_that_actor');
    expect(cancel(fixture, AGENT, 'agent:ops-1', decision_id).body.status).toBe('cancelled');
  });

  it('is no way for an agent to withdraw what others asked for, on the operator socket either', () => {
    const fixture = site();
    const { decision_id } = create(fixture, STRANGER, 'agent:ops-2', 'restart_service', 'service:a');
    const { body } = cancel(fixture, peer('agent/ops-1', 'operator'), 'agent:ops-1', decision_id);
    expect(body.code).toBe('decision.not_requester');
  });

  it('holds for an operator in their own name', () => {
    const fixture = site();
    const { decision_id } = create(fixture, AGENT, 'agent:ops-1', 'restart_service', 'service:a');
    expect(cancel(fixture, user(1_000), 'olga', decision_id).body.status).toBe('cancelled');
  });

  it('is nothing to a signature: whoever brings an approval, it counts by itself', () => {
    const fixture = site();
    const pending = create(fixture, AGENT, 'agent:ops-1', 'restart_service', 'service:a');
    const { body } = fixture.call('decisions.approve', {
      peer: AGENT,
      args: { id: String(pending.decision_id) },
      json: fixture.sign(alice, pending),
    });
    expect(body.status).toBe('authorized');
  });
});

describe('a site that demands to know its callers', () => {
  const strict = { required: true, own_uid: 990 };

  it('answers nobody else: a recorded denial, and 403', () => {
    const fixture = site(roster(), strict);
    const denied = create(fixture, STRANGER, 'agent:ops-2');
    expect(failed(denied)).toEqual(['identity.peer']);
    expect(denied).toMatchObject({ peer: { principal: null, required: true, uid: 4_711 } });
    expect(fixture.call('decisions.list', { peer: STRANGER }).body.code).toBe('peer.unknown');
    expect(create(fixture, AGENT).status).toBe('authorized');
  });

  it('refuses everybody while the policy knows nobody, and says so', () => {
    const fixture = site(testBundle(), strict);
    expect(failed(create(fixture, AGENT))).toEqual(['identity.peer']);
    const { degraded } = fixture.engine.status() as { degraded: { component: string }[] };
    expect(degraded).toContainEqual(expect.objectContaining({ component: 'identity' }));
  });

  it.each([0, 990])('lets its own account (uid %i) look and repair, and nothing else', (uid) => {
    const fixture = site(roster(), strict);
    const admit = (method: string, actor?: string) =>
      fixture.call('peers.admit', {
        peer: user(uid),
        args: { method, ...(actor === undefined ? {} : { actor }) },
      }).status;
    expect(fixture.call('decisions.list', { peer: user(uid) }).status).toBe(200);
    expect(admit('policy.import')).toBe(200);
    expect(admit('policy.import', 'olga')).toBe(403);
    expect(admit('actions.execute')).toBe(403);
    expect(failed(create(fixture, user(uid)))).toEqual(['identity.peer']);
    expect(
      fixture.call('decisions.review', { peer: user(uid), args: { id: 'dec_x' }, json: {} }).status,
    ).toBe(403);
  });

  it('lets its own account in before there is any policy', () => {
    const fixture = site(null, strict);
    expect(fixture.call('policy.get', { peer: user(990) }).status).toBe(200);
    expect(fixture.call('policy.get', { peer: STRANGER }).body.code).toBe('peer.unknown');
  });
});

describe('several bundles in force', () => {
  const among = (...bundles: Bundle[]) => {
    const inForce = bundles.map((bundle) => ({
      compiled: compileBundle(bundle, 'd'),
      roster: rosterOf(bundle),
    }));
    const policies = {
      inForce: () => inForce,
      identities: 1,
      isSuspended: () => false,
    } as unknown as Policies;
    const peers = new Peers(policies, SITE, { required: false, own_uid: null });
    const now = Date.parse('2031-03-01T12:00:00Z');
    return peers.caller(AGENT, { now, at_least: now, trust: 'floor' } as Reading);
  };

  it('must agree on who somebody is', () => {
    expect(among(roster(), roster())).toMatchObject({ principal: 'agent:ops-1' });
    const swapped = roster({
      'agent:ops-1': { spiffe_id: 'spiffe://{{site}}/agent/ops-9' },
      'agent:ops-2': { spiffe_id: 'spiffe://{{site}}/agent/ops-1' },
    });
    expect(among(roster(), swapped)).toMatchObject({ refused: 'peer.not_trusted' });
  });

  it('may know different people, but none in which somebody is suspended lets them in', () => {
    const without = roster({ 'agent:ops-1': { spiffe_id: 'spiffe://{{site}}/agent/ops-9' } });
    expect(among(without, roster())).toMatchObject({ principal: 'agent:ops-1' });
    const suspending = roster({ 'agent:ops-1': { status: 'suspended' } });
    expect(among(roster(), suspending)).toMatchObject({ refused: 'peer.not_active' });
  });
});
