import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Permit } from '../../daemon/formats/permit.ts';
import { enforce } from '../../daemon/gateway/enforce.ts';
import { type Bend, FakeEngine, FakeLog, refusal, SITE, unreachable } from './fake-engine.ts';
import { makeWorld, request, succeeded, type World } from './world.ts';

let world: World;
beforeEach(async () => {
  world = await makeWorld();
});
afterEach(() => world.close());

const actor = { id: 'agent:ops-1' };
/** Nothing ran; and if the permit is spent, the engine was told that nothing ran. */
function expectNothingRan(spent: boolean): void {
  expect(world.calls).toEqual([]);
  expect(world.engine.redeemed).toHaveLength(spent ? 1 : 0);
  const told = world.engine.outcomes.map(({ result, detail }) => [
    result,
    detail.reason?.startsWith('not_started: '),
  ]);
  expect(told).toEqual(spent ? [['failed', true]] : []);
}

describe('an allowed action', () => {
  it('runs exactly the derived call, once, and reports the outcome', async () => {
    const done = await enforce(world.gate, request({ word: 'hello' }));
    expect(done.refused).toBeNull();
    expect(done.run).toBe(succeeded);
    expect(done.decision?.status).toBe('executed');
    expect(world.calls).toMatchObject([{ argv: ['/usr/bin/printf', '%s', 'relay-2', '--word=hello'] }]);
    expect(world.engine.outcomes).toMatchObject([{ result: 'succeeded', detail: { exit_code: 0 } }]);
    expect(world.gate.journal.openRuns()).toEqual([]);
  });

  it('redeems before it journals, journals before it acts, acts before it reports', async () => {
    const order: string[] = [];
    world.engine.bend = {
      afterRedeem: () => order.push('redeemed'),
      beforeOutcome: () => order.push('reported'),
    };
    const { journal } = world.gate;
    const run = async () => {
      order.push(`run, journal ${journal.openRuns().length === 1 ? 'started' : 'empty'}`);
      return succeeded;
    };
    await enforce({ ...world.gate, run }, request());
    expect(order).toEqual(['redeemed', 'run, journal started', 'reported']);
  });

  it('gives the tool sensitive values that the permit only commits to', async () => {
    const { decision } = await enforce(world.gate, request({ psk: 'correct horse' }));
    expect(world.calls).toMatchObject([{ stdin: { psk: 'correct horse' } }]);
    expect(JSON.stringify(decision)).not.toContain('horse');
    expect(Buffer.concat(world.engine.log.leaves).toString()).not.toContain('horse');
  });

  it('runs by decision id what was decided before, for its requester', async () => {
    const { decision_id } = await world.engine.createDecision(request({ psk: 'correct horse' }));
    const done = await enforce(world.gate, { decision_id, context: { actor } });
    expect(done.run).toBe(succeeded);
    expect(world.calls).toMatchObject([{ stdin: { psk: 'correct horse' } }]);
  });

  it('takes a missing environment for production', async () => {
    const { environment: _, ...context } = request().context;
    expect((await enforce(world.gate, { ...request(), context })).run).toBe(succeeded);
  });

  it('reports a failed and an unknown run as what they are', async () => {
    for (const result of ['failed', 'unknown'] as const) {
      const run = async () => ({ ...succeeded, result });
      expect((await enforce({ ...world.gate, run }, request())).run?.result).toBe(result);
    }
    expect(world.engine.outcomes.map(({ result }) => result)).toEqual(['failed', 'unknown']);
  });
});

describe('a decision that is no allow', () => {
  it.each(['pending_authority', 'evaluated', 'denied', 'expired', 'cancelled'] as const)(
    '%s runs nothing',
    async (status) => {
      world.engine.bend = { status };
      const done = await enforce(world.gate, request());
      expect(done).toMatchObject({ run: null, refused: null, decision: { status } });
      expectNothingRan(false);
    },
  );

  it('is not run for another actor, or for nobody', async () => {
    const { decision_id } = await world.engine.createDecision(request());
    for (const context of [{ actor: { id: 'agent:other' } }, { actor: { id: null as unknown as string } }]) {
      expect((await enforce(world.gate, { decision_id, context })).refused?.refused).toBe(
        'gateway.not_requester',
      );
    }
    expectNothingRan(false);
  });

  it('refuses an allow without a permit', async () => {
    const { engine } = world;
    engine.createDecision = async (body) => {
      const { permit: _, ...decision } = await FakeEngine.prototype.createDecision.call(engine, body);
      return decision;
    };
    expect((await enforce(world.gate, request())).refused?.refused).toBe('gateway.permit_missing');
    expectNothingRan(false);
  });
});

const iso = (offset: number) => new Date(Date.parse('2026-11-21T08:00:00.000Z') + offset).toISOString();
const permit = (change: Partial<Permit>): Bend => ({ permit: (original) => ({ ...original, ...change }) });
const exec = (change: object): Bend => ({
  permit: (p) => ({ ...p, call: { ...p.call, ...change } as Permit['call'] }),
});
const foreign = new FakeLog(`${SITE}/ledger`, new Uint8Array(32).fill(9));

describe('a genuine permit that says something else than the signed bundle', () => {
  const table: [string, Bend, string][] = [
    ['another audience', permit({ audience: 'robot' }), 'gateway.permit_unusable'],
    ['another environment', permit({ environment: 'staging' }), 'gateway.permit_unverifiable'],
    ['another target', permit({ target: { type: 'service', id: 'other' } }), 'gateway.permit_unverifiable'],
    ['another action', permit({ action_digest: 'a'.repeat(64) }), 'gateway.permit_unverifiable'],
    ['another policy', permit({ policy_digest: 'b'.repeat(64) }), 'gateway.permit_unverifiable'],
    [
      'another decision',
      permit({ decision_id: 'dec_01990000-0000-7000-8000-000000000000' }),
      'gateway.permit_unverifiable',
    ],
    ['another id', permit({ id: 'prm_01990000-0000-7000-8000-000000000000' }), 'gateway.permit_unverifiable'],
    ['another profile', permit({ profile: 'appliance' }), 'gateway.permit_unusable'],
    ['another tool', permit({ tool: 'other' }), 'gateway.call_differs'],
    ['another program', exec({ argv: ['/bin/rm', '-r', '/'] }), 'gateway.call_differs'],
    [
      'one argument more',
      {
        permit: (p) => ({
          ...p,
          call: { ...p.call, argv: [...('argv' in p.call ? p.call.argv : []), 'x'] } as Permit['call'],
        }),
      },
      'gateway.call_differs',
    ],
    ['an input of its own', exec({ stdin: { psk: 'x' } }), 'gateway.call_differs'],
    ['another timeout', exec({ timeout_ms: 1 }), 'gateway.call_differs'],
    ['another output limit', exec({ output_limit_bytes: 1 }), 'gateway.call_differs'],
    [
      'a time that has not come',
      permit({ not_before: iso(1), expires_at: iso(60_000) }),
      'gateway.permit_unusable',
    ],
    ['a time that is over', permit({ expires_at: iso(0) }), 'gateway.permit_unusable'],
    ['a time that is none', permit({ expires_at: 'never' }), 'gateway.permit_unverifiable'],
    ['a member too many', permit({ extra: 1 } as Partial<Permit>), 'gateway.permit_unverifiable'],
    [
      'an entry of another site',
      { entry: (e) => Object.assign(e.more, { site: 'other.example' }) },
      'gateway.permit_unverifiable',
    ],
    [
      'an entry that denies',
      { entry: (e) => Object.assign(e.data, { enforcement: { result: 'deny', reasons: [] } }) },
      'gateway.permit_unverifiable',
    ],
    [
      'an entry of another type',
      { entry: (e) => Object.assign(e, { type: 'decision.denied' }) },
      'gateway.permit_unverifiable',
    ],
    [
      'an entry about another action',
      { entry: (e) => Object.assign(e.data, { action: { ...(e.data.action as object), intent: 'x' } }) },
      'gateway.permit_unverifiable',
    ],
  ];
  it.each(table)('is refused: %s', async (_what, bend, code) => {
    world.engine.bend = bend;
    const done = await enforce(world.gate, request({ word: 'hello' }));
    expect(done.refused?.refused).toBe(code);
    expectNothingRan(false);
  });
});

describe('a forged permit', () => {
  const table: [string, (proof: string) => string][] = [
    [
      'signed with another key',
      (proof) =>
        proof.replace(
          /— .*\n$/,
          foreign.proof(foreign.append('system.started', 'system', {})).match(/— .*\n$/)?.[0] ?? '',
        ),
    ],
    ['of another log', (proof) => proof.replaceAll(`${SITE}/ledger`, 'other.example/ledger')],
    ['without its signature', (proof) => proof.replace(/— .*\n$/, '')],
    ['with another index', (proof) => proof.replace(/^index \d+$/m, 'index 0')],
    ['with another tree size', (proof) => proof.replace(/(\/ledger\n)\d+/, '$199')],
    ['cut short', (proof) => proof.slice(0, -20)],
    ['empty', () => ''],
  ];
  it.each(table)('%s is refused', async (_what, permitProof) => {
    world.engine.bend = { permitProof };
    expect((await enforce(world.gate, request())).refused?.refused).toBe('gateway.permit_unverifiable');
    expectNothingRan(false);
  });

  it('is refused whatever single character of it is changed', async () => {
    const decision = await world.engine.createDecision(request());
    const proof = decision.permit?.proof ?? '';
    const permitOf = (text: string) => ({ ...decision, permit: { ...decision.permit, proof: text } });
    world.engine.redeem = async () => {
      throw new Error('got as far as redeeming');
    };
    await fc.assert(
      fc.asyncProperty(
        fc.nat(proof.length - 1),
        fc.constantFrom('A', 'b', '0', '\n', '='),
        async (at, other) => {
          fc.pre(proof[at] !== other);
          const changed = proof.slice(0, at) + other + proof.slice(at + 1);
          world.engine.getDecision = async () => permitOf(changed) as typeof decision;
          const done = await enforce(world.gate, { decision_id: decision.decision_id, context: { actor } });
          expect(done.refused?.refused).toBe('gateway.permit_unverifiable');
        },
      ),
      { numRuns: 150 },
    );
  });
});

describe('the submitted action', () => {
  it.each([
    ['intent', { intent: 'something else' }],
    ['class', { class: 'other' }],
    ['target', { target: { type: 'service', id: 'other' } }],
    ['payload', { payload: { word: 'changed' } }],
    ['payload, by one field more', { payload: { word: 'hello', extra: 1 } }],
    ['payload, by one field less', { payload: {} }],
  ])('is refused under the permit of another %s', async (_what, change) => {
    const old = await world.engine.createDecision(request({ word: 'hello' }));
    world.engine.createDecision = async () => old;
    const { action, context } = request({ word: 'hello' });
    const done = await enforce(world.gate, { action: { ...action, ...change }, context });
    expect(['gateway.action_differs', 'gateway.permit_unusable']).toContain(done.refused?.refused);
    expectNothingRan(false);
  });

  it('is refused when the engine passes a commitment where a plain value was submitted, or the other way', async () => {
    const commitment = { $commitment: 'c'.repeat(64) };
    for (const payload of [{ word: commitment }, { psk: 'plain' }]) {
      const { action, context } = request();
      const create = world.engine.createDecision.bind(world.engine);
      world.engine.bend = {};
      const forged = {
        ...world.gate.engine,
        createDecision: async () => ({ ...(await create(request())), action: { ...action, payload } }),
      };
      const gate = { ...world.gate, engine: Object.setPrototypeOf(forged, world.engine) };
      const submitted = 'psk' in payload ? { psk: 'plain' } : { word: 'x' };
      const done = await enforce(gate, { action: { ...action, payload: submitted }, context });
      expect(done.refused?.refused).toBe('gateway.action_differs');
    }
    expectNothingRan(false);
  });
});

describe('the bundle', () => {
  it('must be one that the signed policy gives to the environment', async () => {
    const { action, context } = request();
    const done = await enforce(world.gate, { action, context: { ...context, environment: 'staging' } });
    expect(done.refused?.refused).toBe('gateway.bundle_unverifiable');
    expectNothingRan(false);
  });
});

describe('redemption', () => {
  const table: [string, Bend][] = [
    [
      'of another permit',
      { redemption: (r) => Object.assign(r.data, { permit_id: 'prm_01990000-0000-7000-8000-000000000000' }) },
    ],
    ['by another audience', { redemption: (r) => Object.assign(r.data, { audience: 'robot' }) }],
    ['of another action', { redemption: (r) => Object.assign(r.data, { action_digest: 'a'.repeat(64) }) }],
    ['in another stream', { redemption: (r) => Object.assign(r, { stream: 'system' }) }],
    ['of another type', { redemption: (r) => Object.assign(r, { type: 'permit.outcome' }) }],
    ['of another site', { redemption: (r) => Object.assign(r.more, { site: 'other.example' }) }],
    ['without a proof', { redemptionProof: () => '' }],
    ['with the proof of another entry', { redemptionProof: () => world.engine.log.proof(1) }],
    [
      'with a forged signature',
      { redemptionProof: (proof) => proof.replace(/(— \S+ .{10})./, '$1A').replace(/.{4}\n$/, 'AAA=\n') },
    ],
    [
      'of another log',
      { redemptionProof: (proof) => proof.replaceAll(`${SITE}/ledger`, 'other.example/ledger') },
    ],
  ];
  it.each(table)('%s starts nothing, and the engine is told so', async (_what, bend) => {
    world.engine.bend = bend;
    const done = await enforce(world.gate, request());
    expect(done.refused?.refused).toBe('gateway.redemption_unverifiable');
    expectNothingRan(true);
    expect(
      (await enforce(world.gate, { decision_id: done.decision?.decision_id ?? '', context: { actor } }))
        .refused?.refused,
    ).toBe('gateway.already_used');
  });

  it('older than what this gateway has seen is refused, even across a restart', async () => {
    const { engine } = world;
    const decision = await engine.createDecision(request());
    const spare = await engine.redeem(decision.permit?.id ?? '', decision.action_digest);
    await enforce(world.gate, request());
    await world.restart();
    // The log is wound back, in the engine's own words, to a redemption that was genuine once.
    engine.redeem = async () => spare;
    const done = await enforce(world.gate, { decision_id: decision.decision_id, context: { actor } });
    expect(done.refused?.refused).toBe('gateway.redemption_unverifiable');
    expect(world.calls).toHaveLength(1);
  });

  it('that the engine refuses leaves the permit unused here', async () => {
    const { engine } = world;
    const decision = await engine.createDecision(request());
    const redeem = engine.redeem.bind(engine);
    engine.redeem = async () => {
      throw refusal(410, 'permit.expired');
    };
    const first = await enforce(world.gate, { decision_id: decision.decision_id, context: { actor } });
    expect(first.refused).toMatchObject({
      refused: 'gateway.redemption_refused',
      status: 410,
      because: 'permit.expired',
    });
    engine.redeem = redeem;
    expect((await enforce(world.gate, { decision_id: decision.decision_id, context: { actor } })).run).toBe(
      succeeded,
    );
  });
});

describe('sensitive values', () => {
  const table: [string, Bend][] = [
    ['missing', { sensitive: () => null }],
    ['of another value', { sensitive: (v) => ({ psk: { salt: v.psk?.salt ?? '', value: 'forged' } }) }],
    [
      'with another salt',
      {
        sensitive: (v) => ({ psk: { salt: Buffer.alloc(32).toString('base64'), value: v.psk?.value ?? '' } }),
      },
    ],
    ['with a salt that is none', { sensitive: (v) => ({ psk: { salt: '!', value: v.psk?.value ?? '' } }) }],
  ];
  it.each(table)('%s start nothing', async (_what, bend) => {
    world.engine.bend = bend;
    const done = await enforce(world.gate, request({ psk: 'correct horse' }));
    expect(done.refused?.refused).toBe('gateway.sensitive_differs');
    expect(JSON.stringify(done.refused)).not.toContain('horse');
    expectNothingRan(true);
  });

  it('that the engine exchanged for others are refused: they must be the submitted ones', async () => {
    const { engine } = world;
    const create = engine.createDecision.bind(engine);
    engine.createDecision = () => create(request({ psk: 'of the engine' }));
    const done = await enforce(world.gate, request({ psk: 'of the caller' }));
    expect(done.refused?.refused).toBe('gateway.sensitive_differs');
    expectNothingRan(true);
  });
});

describe('one permit', () => {
  it('runs once, even when many ask at the same moment and the engine would redeem it again and again', async () => {
    const { engine } = world;
    const { decision_id } = await engine.createDecision(request());
    const redeem = engine.redeem.bind(engine);
    engine.redeem = async (id, digest) => {
      engine.redeemed.splice(0);
      return redeem(id, digest);
    };
    const again = () => enforce(world.gate, { decision_id, context: { actor } });
    const all = await Promise.all(Array.from({ length: 20 }, again));
    expect(all.filter(({ run }) => run !== null)).toHaveLength(1);
    await world.restart();
    engine.outcomes.splice(0);
    for (const decision of engine.decisions.values()) decision.status = 'authorized';
    expect((await again()).refused?.refused).toBe('gateway.already_used');
    expect(world.calls).toHaveLength(1);
  });
});

describe('an engine that cannot be reached', () => {
  it.each([
    [
      'when asked',
      (engine: FakeEngine) =>
        Object.assign(engine, { createDecision: async () => Promise.reject(unreachable(true)) }),
    ],
    [
      'when redeeming, and nothing was sent',
      (engine: FakeEngine) =>
        Object.assign(engine, { redeem: async () => Promise.reject(unreachable(false)) }),
    ],
  ])('%s: nothing runs', async (_what, breakIt) => {
    breakIt(world.engine);
    expect((await enforce(world.gate, request())).refused?.refused).toBe('gateway.engine_unreachable');
    expectNothingRan(false);
  });

  it('after it may have redeemed: nothing runs, never, and it is told so when it is back', async () => {
    const { engine } = world;
    engine.bend = {
      afterRedeem: () => {
        throw unreachable(true);
      },
    };
    const done = await enforce(world.gate, request());
    expect(done.refused?.refused).toBe('gateway.engine_unreachable');
    expectNothingRan(true);
    expect(
      (await enforce(world.gate, { decision_id: done.decision?.decision_id ?? '', context: { actor } }))
        .refused?.refused,
    ).toBe('gateway.already_used');
  });

  it('for the bundle: nothing runs, and the permit stays unused', async () => {
    const bundles = { get: async () => Promise.reject(unreachable(false)) };
    expect((await enforce({ ...world.gate, bundles }, request())).refused?.refused).toBe(
      'gateway.engine_unreachable',
    );
    expectNothingRan(false);
  });

  it('for the outcome: the caller learns it, and the engine is told until it knows', async () => {
    const { engine } = world;
    let failures = 2;
    engine.bend = {
      beforeOutcome: () => {
        if (failures-- > 0) throw unreachable(true);
      },
    };
    const done = await enforce(world.gate, request());
    expect(done.run).toBe(succeeded);
    expect(world.gate.reporter.backlog).toBe(1);
    while (world.gate.reporter.backlog > 0) await new Promise((tick) => setTimeout(tick, 20));
    expect(engine.outcomes).toMatchObject([{ result: 'succeeded' }]);
  });

  it('is an error of ours when it is none of these', async () => {
    world.engine.createDecision = async () => Promise.reject(new TypeError('a bug'));
    await expect(enforce(world.gate, request())).rejects.toThrow('a bug');
    expectNothingRan(false);
  });
});

describe('a journal that cannot be written', () => {
  it('starts nothing, now and later', async () => {
    await world.gate.journal.close();
    const first = await enforce(world.gate, request());
    expect(first.refused?.refused).toBe('gateway.journal_unavailable');
    expectNothingRan(true);
    expect((await enforce(world.gate, request())).refused?.refused).toBe('gateway.journal_unavailable');
    expect(world.calls).toEqual([]);
    await world.restart().catch(() => {});
  });
});
