import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Bundle } from '../../daemon/core/bundle.ts';
import { type CanaryAnswer, judgeCanary, makeCanary } from '../../daemon/core/canary.ts';
import { compileBundle } from '../../daemon/core/compile.ts';
import type { Decision } from '../../daemon/core/decision.ts';
import { normalizeRequest } from '../../daemon/core/normalize.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { testBundle } from '../engine/bundle.ts';

const bytes = fc.uint8Array({ minLength: 8, maxLength: 8 });

/** The engine's test policy with a canary of its own. */
function withCanary(): Bundle {
  const trap = {
    id: 'trap',
    classes: ['wipe_storage'],
    condition: 'false',
    otherwise: 'fail' as const,
    reason: 'x',
  };
  const bundle = testBundle();
  return {
    ...bundle,
    gates: [...bundle.gates, trap],
    incidents: {
      canary_actor: 'agent:ops-1',
      canaries: [{ class: 'wipe_storage', target: { type: 'disk', id: 'sda' }, trap: '/run/trap' }],
    },
  };
}

describe('a canary', () => {
  it('is denied by every policy, whatever was drawn', () => {
    for (const bundle of [testBundle(), withCanary()]) {
      const policy = compileBundle(bundle, '0'.repeat(64));
      fc.assert(
        fc.property(bytes, (random) => {
          const { request } = makeCanary(bundle, random);
          const verdict = policy.evaluate(normalizeRequest(request as unknown as JsonObject), {
            decision_id: 'dec_x',
            now_ms: Date.parse('2031-03-01T12:00:00Z'),
            time_trust: 'floor',
          });
          expect(verdict.result).toBe('deny');
        }),
      );
    }
  });

  it('varies, and uses what the policy has for it', () => {
    const drawn = fc.sample(bytes, 200).map((random) => makeCanary(withCanary(), random));
    const classes = new Set(drawn.map(({ request }) => request.action.class));
    expect(classes.size).toBeGreaterThan(5);
    expect(classes).toContain('wipe_storage');
    expect(new Set(drawn.map(({ request }) => request.context.actor.id))).toEqual(new Set(['agent:ops-1']));
    for (const { request, trap } of drawn)
      expect(trap).toBe(request.action.class === 'wipe_storage' ? '/run/trap' : null);
    const others = fc.sample(bytes, 50).map((random) => makeCanary(null, random));
    expect(new Set(others.map(({ request }) => request.context.actor.id)).size).toBeGreaterThan(5);
  });
});

describe('the verdict on a canary', () => {
  const canary = makeCanary(null, new Uint8Array(8));
  const { class: name, target } = canary.request.action;
  const decision = (status: string, changes: object = {}) =>
    ({
      status,
      action: { class: name, intent: 'x', target, payload: {} },
      ...changes,
    }) as unknown as Decision;
  const answered = (changes: object = {}): CanaryAnswer => ({
    kind: 'answered',
    status: 403,
    code: 'decision.denied',
    ran: false,
    decision_id: 'dec_x',
    ...changes,
  });

  it('passes a denial that the ledger knows', () => {
    expect(judgeCanary(canary, answered(), decision('denied'), false)).toEqual({ verdict: 'passed' });
  });

  it.each([
    ['it ran', answered({ status: 200, code: null, ran: true }), decision('denied'), false],
    ['it says denied and ran', answered({ ran: true }), decision('denied'), false],
    ['it was allowed', answered({ status: 200, code: null }), decision('authorized'), false],
    ['it waits for approval', answered({ status: 202, code: null }), decision('pending_authority'), false],
    ['another refusal', answered({ code: 'gateway.call_differs' }), decision('denied'), false],
    ['a denial that nobody recorded', answered(), null, false],
    ['a denial without a decision', answered({ decision_id: null }), null, false],
    [
      'the denial of something else',
      answered(),
      decision('denied', { action: { class: 'other', target } }),
      false,
    ],
    ['the ledger allowed it', answered(), decision('authorized'), false],
    ['the trap was sprung, whatever it says', answered(), decision('denied'), true],
    ['the trap was sprung, and nobody answers', { kind: 'unreachable', reason: 'x' } as const, null, true],
  ])('fails: %s', (_what, answer, recorded, trapped) => {
    expect(judgeCanary(canary, answer, recorded, trapped).verdict).toBe('failed');
  });

  it.each([
    ['nobody answers', { kind: 'unreachable', reason: 'nothing listens' } as const],
    ['the engine is away', answered({ status: 503, code: 'gateway.engine_unreachable' })],
    ['it is overloaded', answered({ status: 429, code: 'server.overloaded' })],
    ['it is still starting', answered({ status: 503, code: 'not_ready' })],
    ['it does not let the self-test in', answered({ code: 'peer.not_permitted' })],
  ])('says nothing of enforcement when %s', (_what, answer) => {
    expect(judgeCanary(canary, answer, null, false).verdict).toBe('unanswered');
  });
});
