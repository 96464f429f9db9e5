import { describe, expect, it } from 'vitest';
import type { Bundle, BundlePrincipal } from '../../daemon/core/bundle.ts';
import { BundleDefects } from '../../daemon/core/bundle-defects.ts';
import { METHOD_CALLERS, mayCall, rolesOf } from '../../daemon/core/caller-roles.ts';
import { compileBundle } from '../../daemon/core/compile.ts';
import type { Facts } from '../../daemon/core/evaluate.ts';
import { type PeerFacts, peerIndexOf } from '../../daemon/core/peer.ts';
import { rosterAt, rosterOf } from '../../daemon/core/roster.ts';
import { FACTS, sampleBundle, sampleRequest } from './sample.ts';

const SITE = 'outpost-7.example';
const CERTIFICATE = 'ab'.repeat(32);
const ops1 = { uid: 1_001 };
const ops1Id = `spiffe://${SITE}/agent/ops-1`;
const gatewayId = `spiffe://${SITE}/gateway`;

function bundleWith(changes: Record<string, Partial<BundlePrincipal>>): Bundle {
  const bundle = sampleBundle();
  for (const [id, change] of Object.entries(changes)) {
    bundle.principals[id] = {
      ...(bundle.principals[id] ?? { kind: 'service', roles: [], status: 'active' }),
      ...change,
    };
  }
  return bundle;
}

const identified = () =>
  bundleWith({
    'agent:ops-1': { uid: 1_001, spiffe_id: 'spiffe://{{site}}/agent/ops-1' },
    'service:gateway': {
      spiffe_id: 'spiffe://{{site}}/gateway',
      may_assert: ['agent'],
      audiences: ['gateway'],
    },
    alice: { uid: 1_002 },
  });

/** Gates that failed for a request by `actor`, asked by `peer`. */
function failed(
  bundle: Bundle,
  actor: string,
  peer: PeerFacts | undefined,
  facts: Partial<Facts> = {},
): string[] {
  const request = sampleRequest();
  request.context.actor = { id: actor, role: null };
  const verdict = compileBundle(bundle, 'd').evaluate(request, {
    ...FACTS,
    site: SITE,
    ...(peer === undefined ? {} : { peer }),
    ...facts,
  });
  return verdict.gates.filter(({ result }) => result === 'fail').map(({ id }) => id);
}

describe('a peer', () => {
  const index = peerIndexOf(identified());

  it.each<[string, PeerFacts, unknown]>([
    ['its local user', { uid: 1_002 }, { principal: 'alice' }],
    ['its certificate', { uid: 4, spiffe_id: gatewayId }, { principal: 'service:gateway' }],
    ['both, when they agree', { uid: 1_001, spiffe_id: ops1Id }, { principal: 'agent:ops-1' }],
    ['its certificate, where the kernel says nothing', { spiffe_id: ops1Id }, { principal: 'agent:ops-1' }],
  ])('is known by %s', (_, facts, found) => {
    expect(index.identify(facts, SITE)).toEqual(found);
  });

  it.each<[string, PeerFacts, string]>([
    ['another local user', { uid: 4 }, 'unknown'],
    ['nothing', {}, 'unknown'],
    ['a certificate of nobody', { spiffe_id: `spiffe://${SITE}/x` }, 'unknown'],
    [
      'a certificate of nobody, by a known user',
      { uid: 1_002, spiffe_id: `spiffe://${SITE}/x` },
      'certificate_unknown',
    ],
    ['a certificate under another user', { uid: 1_002, spiffe_id: ops1Id }, 'conflict'],
    ['a certificate under a user that is nobody', { uid: 4, spiffe_id: ops1Id }, 'conflict'],
    ["somebody's certificate under somebody else's user", { uid: 1_002, spiffe_id: gatewayId }, 'conflict'],
    ['the same path at another site', { spiffe_id: 'spiffe://other.example/gateway' }, 'unknown'],
  ])('is nobody with %s', (_, facts, stranger) => {
    expect(index.identify(facts, SITE)).toEqual({ principal: null, stranger });
  });

  it('is nobody with a revoked certificate', () => {
    const revoking = peerIndexOf(
      bundleWith({ alice: { spiffe_id: 'spiffe://{{site}}/alice', revoked_certificates: [CERTIFICATE] } }),
    );
    const facts = { spiffe_id: `spiffe://${SITE}/alice` };
    expect(revoking.identify({ ...facts, certificate: CERTIFICATE }, SITE)).toMatchObject({
      principal: null,
    });
    expect(revoking.identify({ ...facts, certificate: 'cd'.repeat(32) }, SITE)).toEqual({
      principal: 'alice',
    });
  });
});

describe('a request', () => {
  it('in its own name passes', () => {
    expect(failed(identified(), 'agent:ops-1', ops1)).toEqual([]);
  });

  it.each(['alice', 'service:gateway'])('of an agent in the name of %s is denied', (actor) => {
    expect(failed(identified(), actor, ops1)).toContain('identity.assertion');
  });

  it('in the name of an agent passes by the gateway, which may; in the name of a person it does not', () => {
    expect(failed(identified(), 'agent:ops-1', { spiffe_id: gatewayId })).toEqual([]);
    expect(failed(identified(), 'alice', { spiffe_id: gatewayId })).toContain('identity.assertion');
  });

  it('by an unknown caller passes only in a name that nobody has an identity for', () => {
    const bundle = identified();
    bundle.principals['agent:open'] = { kind: 'agent', roles: [], status: 'active', owner: 'alice' };
    expect(failed(bundle, 'agent:open', { uid: 4 })).toEqual([]);
    expect(failed(bundle, 'agent:ops-1', { uid: 4 })).toEqual(['identity.assertion']);
    expect(failed(bundle, 'agent:open', { uid: 4, required: true })).toEqual(['identity.peer']);
  });

  it('by a suspended or expired caller is denied, whoever it names', () => {
    const gateway = (change: Partial<BundlePrincipal>) => {
      const bundle = identified();
      Object.assign(bundle.principals['service:gateway'] ?? {}, change);
      return failed(bundle, 'agent:ops-1', { spiffe_id: gatewayId });
    };
    expect(gateway({ status: 'suspended' })).toEqual(['identity.peer']);
    expect(gateway({ expires_at: '2020-01-01T00:00:00Z' })).toEqual(['identity.peer']);
    expect(gateway({ expires_at: '2999-01-01T00:00:00Z' })).toEqual([]);
  });

  it('is not held against a caller where there is none', () => {
    expect(failed(identified(), 'agent:ops-1', undefined)).toEqual([]);
  });
});

describe('the registry', () => {
  const one = (change: Partial<BundlePrincipal>) => bundleWith({ 'agent:ops-1': change });

  it('ends an agent with its time, and while nobody knows the time', () => {
    const bundle = one({ expires_at: '2026-02-01T00:00:00Z' });
    const at = (iso: string, time_trust: Facts['time_trust'] = 'floor') =>
      failed(bundle, 'agent:ops-1', undefined, { now_ms: Date.parse(iso), time_trust });
    expect(at('2026-01-31T23:59:59Z')).toEqual([]);
    expect(at('2026-02-01T00:00:00Z')).toEqual(['identity.expired']);
    expect(at('2026-01-31T23:59:59Z', 'uncertain')).toEqual(['identity.expired']);
  });

  it('ends approvers with their time too', () => {
    const bundle = bundleWith({ alice: { expires_at: '2026-02-01T00:00:00Z' } });
    const roster = rosterOf(bundle);
    const at = (iso: string) =>
      rosterAt(roster, { now: Date.parse(iso), trust: 'floor' }).principal('alice')?.status;
    expect(at('2026-01-31T23:59:59Z')).toBe('active');
    expect(at('2026-02-01T00:00:00Z')).toBe('suspended');
    expect(rosterAt(rosterOf(sampleBundle()), { now: 0, trust: 'floor' }).has_expiries).toBe(false);
  });

  it('demands the capabilities of the class', () => {
    const bundle = one({ capabilities: ['restart'] });
    const restart = bundle.actions.restart_service;
    if (restart === undefined) throw new Error('the sample has changed');
    restart.requires_capabilities = ['restart', 'root'];
    expect(failed(bundle, 'agent:ops-1', undefined)).toEqual(['identity.capability']);
    restart.requires_capabilities = ['restart'];
    expect(failed(bundle, 'agent:ops-1', undefined)).toEqual([]);
  });

  it('lets conditions look at tier and capabilities', () => {
    const bundle = one({ risk_tier: 'trusted', capabilities: ['restart'] });
    bundle.gates = [
      {
        id: 'tier',
        condition: 'actor.risk_tier == "trusted" && "restart" in actor.capabilities',
        otherwise: 'fail',
        reason: 'Only trusted ones.',
      },
    ];
    expect(failed(bundle, 'agent:ops-1', undefined)).toEqual([]);
    expect(failed(bundle, 'alice', undefined)).toEqual(['tier']);
  });

  it('keeps classes and targets apart by scope', () => {
    const scope = { classes: ['restart_service'], targets: ['service:relay-2'] };
    expect(failed(one({ scope }), 'agent:ops-1', undefined)).toEqual([]);
    expect(failed(one({ scope: { targets: ['service:relay-3'] } }), 'agent:ops-1', undefined)).toEqual([
      'identity.scope',
    ]);
  });

  it.each<[string, Record<string, Partial<BundlePrincipal>>, string]>([
    [
      'an ID twice',
      { alice: { spiffe_id: 'spiffe://a/b' }, 'agent:old': { spiffe_id: 'spiffe://a/b' } },
      '/principals/alice/spiffe_id',
    ],
    [
      'an ID for the site and for every site',
      { alice: { spiffe_id: 'spiffe://{{site}}/b' }, 'agent:old': { spiffe_id: `spiffe://${SITE}/b` } },
      '/principals/agent:old/spiffe_id',
    ],
    ['an ID that is none', { alice: { spiffe_id: 'spiffe://a/../b' } }, '/principals/alice/spiffe_id'],
    ['a user twice', { alice: { uid: 7 }, 'agent:old': { uid: 7 } }, '/principals/alice/uid'],
    ['a name that nobody has', { alice: { may_assert: ['agents'] } }, '/principals/alice/may_assert/0'],
  ])('refuses %s', (_, changes, pointer) => {
    const compiled = () => compileBundle(bundleWith(changes), 'd');
    expect(compiled).toThrow(BundleDefects);
    try {
      compiled();
    } catch (error) {
      expect((error as BundleDefects).defects.map((defect) => defect.pointer)).toEqual([pointer]);
    }
  });
});

describe('what callers may call', () => {
  it('keeps agents from everything but asking', () => {
    const may = Object.keys(METHOD_CALLERS).filter((method) => mayCall(rolesOf({ kind: 'agent' }), method));
    for (const method of [
      'permits.redeem',
      'decisions.list',
      'decisions.review',
      'policy.import',
      'ledger.entries',
      'subscribe',
    ])
      expect(may).not.toContain(method);
    expect(may).toEqual(expect.arrayContaining(['decisions.create', 'decisions.get', 'actions.execute']));
  });

  it('lets only audiences redeem, people included', () => {
    expect(mayCall(rolesOf({ kind: 'human' }), 'permits.redeem')).toBe(false);
    expect(mayCall(rolesOf({ kind: 'service', audiences: ['gateway'] }), 'permits.redeem')).toBe(true);
  });

  it('is nothing where the table says nothing', () => {
    expect(mayCall(rolesOf({ kind: 'human', audiences: ['gateway'] }), 'system.stopped')).toBe(false);
    expect(mayCall(['operator'], 'constructor')).toBe(false);
  });
});
