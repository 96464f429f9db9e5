import { describe, expect, it } from 'vitest';
import { evaluateWithoutPolicy, scrubRequest } from '../../daemon/core/evaluate.ts';
import { redactPayload } from '../../daemon/core/sensitive.ts';
import type { Verdict } from '../../daemon/core/verdict.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { compileSample, FACTS, PSK, sampleRequest } from './sample.ts';

const bundle = compileSample();

function failedGates(verdict: Verdict): [string, string | undefined][] {
  return verdict.gates.filter(({ result }) => result === 'fail').map(({ id, field }) => [id, field]);
}

describe('the verdict', () => {
  it('allows what passes every gate at a risk that needs nobody', () => {
    const verdict = bundle.evaluate(sampleRequest(), FACTS);
    expect(verdict.result).toBe('allow');
    expect(verdict.risk).toEqual({ band: 'low', score: 0.2, reasons: [] });
    expect(verdict.authority).toEqual({ route: 'low', required: [] });
    expect(verdict.gates).toEqual([{ id: 'not-ssh', result: 'pass', reason: 'Remote access stays up.' }]);
    expect(verdict.call).toEqual({
      connector: 'exec',
      argv: ['/usr/bin/systemctl', 'restart', 'relay-2'],
      stdin: null,
      timeout_ms: 30_000,
      output_limit_bytes: 65_536,
    });
    expect(verdict).toMatchObject({
      pending_ttl_ms: 4 * 3_600_000,
      permit_ttl_ms: 300_000,
      environment_assumed: false,
    });
  });

  it('joins the groups of all matching routes, strictest first come', () => {
    const verdict = bundle.evaluate(sampleRequest({}, { environment: 'production' }), FACTS);
    expect(verdict.result).toBe('escalate');
    expect(verdict.authority).toEqual({
      route: 'medium+restarts',
      required: [
        { group: 'peer', roles: ['L3'], min_signatures: 2 },
        { group: 'safety', roles: ['L4'], min_signatures: 1 },
      ],
    });
    expect(verdict.call).not.toBeNull();
    expect(verdict.reasons[0]).toBe('Needs 2 approvals by L3 (peer).');
  });

  it('keeps groups of one name apart when their roles differ', () => {
    const other = compileSample((changed) => {
      changed.authority.routes.push({
        id: 'extra',
        bands: ['low'],
        require: [
          { group: 'peer', roles: ['L3'], min_signatures: 1 },
          { group: 'command', roles: ['L4'], min_signatures: 1 },
        ],
      });
      changed.authority.routes.push({
        id: 'more',
        bands: ['low'],
        require: [{ group: 'peer', roles: ['L4'], min_signatures: 1 }],
      });
    });
    const { required } = other.evaluate(sampleRequest(), FACTS).authority;
    expect(required.map(({ group }) => group)).toEqual(['peer', 'command', 'more.peer']);
  });

  it('assumes production and says so when no environment is named', () => {
    const verdict = bundle.evaluate(sampleRequest({}, { environment: null }), FACTS);
    expect(verdict).toMatchObject({
      environment: 'production',
      environment_assumed: true,
      result: 'escalate',
    });
  });

  it('escalates for an exception and names its role', () => {
    const verdict = bundle.evaluate(sampleRequest({ target: { type: 'service', id: 'ssh' } }), FACTS);
    expect(verdict.result).toBe('escalate');
    expect(verdict.gates).toContainEqual({
      id: 'not-ssh',
      result: 'requires_exception',
      reason: 'Remote access stays up.',
      exception_role: 'L4',
    });
  });

  it('denies by a gate and keeps no call', () => {
    const request = sampleRequest(
      { payload: { note: 'x', grace_seconds: 300 } },
      { environment: 'production' },
    );
    const verdict = bundle.evaluate(request, FACTS);
    expect(verdict).toMatchObject({ result: 'deny', call: null, authority: { route: null, required: [] } });
    expect(failedGates(verdict)).toEqual([['short-grace', undefined]]);
  });

  it('is the same for the same input, and leaves the input alone', () => {
    const request = sampleRequest({ payload: { note: 'x', units: ['a', 'b'] } });
    const before = structuredClone(request);
    expect(bundle.evaluate(request, FACTS)).toEqual(bundle.evaluate(structuredClone(request), { ...FACTS }));
    expect(request).toEqual(before);
  });
});

describe('what cannot be computed', () => {
  const broken = 'int(payload.note) > 0';

  it('fails a gate, even one that could be excepted', () => {
    const other = compileSample((changed) => {
      changed.gates.push({
        id: 'broken',
        classes: ['restart_service'],
        condition: broken,
        otherwise: 'requires_exception',
        exception_role: 'L4',
        reason: 'Notes are numbers.',
      });
    });
    const verdict = other.evaluate(sampleRequest(), FACTS);
    expect(verdict.result).toBe('deny');
    expect(failedGates(verdict)).toEqual([['broken', undefined]]);
  });

  it('queues when it is the risk, without a score', () => {
    const other = compileSample((changed) => {
      changed.risk.factors.push({
        id: 'broken',
        classes: ['restart_service'],
        condition: broken,
        weight: 0.1,
        reason: 'Notes are numbers.',
      });
    });
    const verdict = other.evaluate(sampleRequest(), FACTS);
    expect(verdict).toMatchObject({ result: 'queue', risk: { band: null, score: null } });
    expect(verdict.call).not.toBeNull();
  });

  it('denies where no route gives authority', () => {
    const verdict = bundle.evaluate(sampleRequest({ payload: { note: 'x', mode: 'hard' } }), FACTS);
    expect(verdict.risk.band).toBe('high');
    expect(failedGates(verdict)).toEqual([['authority.route', undefined]]);
  });

  it('denies where no call can be derived', () => {
    const verdict = bundle.evaluate(sampleRequest({ payload: { note: 'x', units: ['a'] } }), FACTS);
    expect(verdict.result).toBe('allow');
    const sneaky = compileSample((changed) => {
      const action = changed.actions.restart_service;
      if (action?.payload?.units !== undefined) delete action.payload.units.pattern;
    });
    const denied = sneaky.evaluate(sampleRequest({ payload: { note: 'x', units: ['--force'] } }), FACTS);
    expect(failedGates(denied)).toEqual([['call.option_injection', 'payload.units']]);
  });
});

describe('doubtful time', () => {
  const doubtful = { ...FACTS, time_trust: 'uncertain' as const };

  it('queues by default', () => {
    expect(bundle.evaluate(sampleRequest(), doubtful).result).toBe('queue');
  });

  it('denies where the class says so', () => {
    const request = sampleRequest({
      class: 'join_network',
      target: { type: 'interface', id: 'wlan0' },
      payload: { ssid: 'depot', psk: PSK },
    });
    const verdict = bundle.evaluate(request, { ...doubtful, redacted: { ssid: 'depot' } });
    expect(failedGates(verdict)).toEqual([['time.uncertain', undefined]]);
  });

  it('changes nothing where the class says so', () => {
    const request = sampleRequest({ class: 'read', target: { type: 'sensor', id: 'pump-1' }, payload: {} });
    expect(bundle.evaluate(request, doubtful).result).toBe('allow');
  });
});

describe('the audit minimum', () => {
  const cases: [string, JsonObject, JsonObject, [string, string][]][] = [
    ['no actor', {}, { actor: null }, [['audit.actor', 'actor.id']]],
    ['an empty actor', {}, { actor: { id: '' } }, [['audit.actor', 'actor.id']]],
    ['no intent', { intent: null }, {}, [['audit.intent', 'intent']]],
    ['an empty intent', { intent: '' }, {}, [['audit.intent', 'intent']]],
    ['no target', { target: null }, {}, [['audit.target', 'target']]],
    ['an unknown actor', {}, { actor: { id: 'agent:x' } }, [['identity.unknown', 'actor.id']]],
    ['a revoked actor', {}, { actor: { id: 'agent:old' } }, [['identity.revoked', 'actor.id']]],
    ['a role not held', {}, { actor: { id: 'agent:ops-1', role: 'L5' } }, [['identity.role', 'actor.role']]],
    ['an unknown environment', {}, { environment: 'moon' }, [['environment.unknown', 'environment']]],
    ['another kind of target', { target: { type: 'sensor', id: 'a' } }, {}, [['target.type', 'target.type']]],
    [
      'a target off the pattern',
      { target: { type: 'service', id: 'a/b' } },
      {},
      [['target.id', 'target.id']],
    ],
    ['an undeclared label', {}, { labels: { tenant: 'a' } }, [['labels.allowlist', 'labels.tenant']]],
    [
      'a class not done there',
      { class: 'join_network', target: { type: 'interface', id: 'wlan0' }, payload: { ssid: 'a', psk: PSK } },
      { environment: 'production' },
      [['class.environment', 'environment']],
    ],
  ];
  it.each(cases)('denies %s', (_, action, context, gates) => {
    const verdict = bundle.evaluate(sampleRequest(action, context), FACTS);
    expect(verdict).toMatchObject({ result: 'deny', call: null });
    expect(failedGates(verdict)).toEqual(gates);
  });

  it('denies a class that it does not know, and names of JavaScript objects are no classes', () => {
    for (const name of ['launch', 'constructor', 'toString', '__proto__']) {
      const verdict = bundle.evaluate(sampleRequest({ class: name }), FACTS);
      expect(failedGates(verdict)).toEqual([
        ['class.unknown', 'class'],
        ['payload.allowlist', 'payload'],
      ]);
    }
    for (const id of ['constructor', 'hasOwnProperty']) {
      const verdict = bundle.evaluate(sampleRequest({}, { actor: { id } }), FACTS);
      expect(failedGates(verdict)).toEqual([['identity.unknown', 'actor.id']]);
    }
  });

  it('holds a principal to its scope of classes, environments and targets', () => {
    const ask = (action: JsonObject, environment: string) =>
      failedGates(
        bundle.evaluate(
          sampleRequest(
            { class: 'read', target: { type: 'sensor', id: 'pump-1' }, payload: {}, ...action },
            {
              actor: { id: 'service:cron' },
              environment,
            },
          ),
          FACTS,
        ),
      );
    expect(ask({}, 'staging')).toEqual([]);
    expect(ask({}, 'production')).toEqual([['identity.scope', 'environment']]);
    expect(ask({ target: { type: 'sensor', id: 'pump-2' } }, 'staging')).toEqual([
      ['identity.scope', 'target'],
    ]);
    const restart = {
      class: 'restart_service',
      target: { type: 'service', id: 'a' },
      payload: { note: 'x' },
    };
    expect(ask(restart, 'staging')).toEqual([['identity.scope', 'class']]);
  });

  it('names every missing thing at once', () => {
    const empty = sampleRequest({ class: null, intent: null, target: null, payload: {} }, { actor: null });
    expect(failedGates(bundle.evaluate(empty, FACTS)).map(([id]) => id)).toEqual([
      'audit.actor',
      'audit.class',
      'audit.intent',
      'audit.target',
    ]);
  });
});

describe('without any policy', () => {
  it('denies and records nothing of the payload', () => {
    const request = sampleRequest({ payload: { pin: '4711' } });
    const verdict = evaluateWithoutPolicy(request, FACTS);
    expect(verdict.result).toBe('deny');
    expect(failedGates(verdict)[0]).toEqual(['policy.active', undefined]);
    const recorded = JSON.stringify(scrubRequest(request, verdict));
    expect(recorded).not.toContain('4711');
    expect(recorded).toContain('relay-2');
  });
});

describe('sensitive fields', () => {
  const request = sampleRequest({
    class: 'join_network',
    target: { type: 'interface', id: 'wlan0' },
    payload: { ssid: 'depot', psk: PSK },
  });
  const actionClass = bundle.bundle.actions.join_network;
  if (actionClass === undefined) throw new Error('the sample has no join_network');
  const { payload, sealed } = redactPayload(request.action.payload, actionClass, () =>
    new Uint8Array(32).fill(7),
  );

  it('reach the call as commitments only', () => {
    const verdict = bundle.evaluate(request, { ...FACTS, redacted: payload });
    expect(verdict.result).toBe('allow');
    expect(verdict.call).toMatchObject({
      argv: ['/usr/bin/join', 'wlan0'],
      stdin: { ssid: 'depot', psk: payload.psk },
    });
    expect(JSON.stringify(verdict)).not.toContain('horse');
    expect(sealed).toEqual({ psk: { salt: Buffer.alloc(32, 7).toString('base64'), value: PSK } });
    expect(request.action.payload.psk).toBe(PSK);
  });

  it('must have been redacted before a call is derived: anything else is a bug', () => {
    expect(() => bundle.evaluate(request, FACTS)).toThrow(/redacted/);
  });

  it('are judged by value when they come in, and taken as judged in a replay', () => {
    const short = sampleRequest({
      ...request.action,
      target: { type: 'interface', id: 'wlan0' },
      payload: { ssid: 'depot', psk: 'short' },
    });
    expect(failedGates(bundle.evaluate(short, { ...FACTS, redacted: {} }))).toEqual([
      ['payload.field', 'payload.psk'],
    ]);
    const recorded = { ...request, action: { ...request.action, payload } };
    expect(failedGates(bundle.evaluate(recorded, { ...FACTS, redacted: payload }))).toEqual([
      ['payload.field', 'payload.psk'],
    ]);
    expect(bundle.evaluate(recorded, { ...FACTS, replay: true })).toEqual(
      bundle.evaluate(request, { ...FACTS, redacted: payload }),
    );
  });
});
