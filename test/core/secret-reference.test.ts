import { describe, expect, it } from 'vitest';
import type { Bundle, BundlePayloadField } from '../../daemon/core/bundle.ts';
import { BundleDefects } from '../../daemon/core/bundle-defects.ts';
import { compileBundle } from '../../daemon/core/compile.ts';
import { privacyChanges } from '../../daemon/policy/diff/privacy.ts';
import { FACTS, sampleBundle, sampleRequest } from './sample.ts';

function bundle(
  field: BundlePayloadField = { type: 'secret_ref', required: true },
  stdin = ['ssid', 'psk', 'login'],
): Bundle {
  const sample = sampleBundle();
  const join = sample.actions.join_network;
  const tool = sample.tools.join;
  if (join === undefined || tool?.connector !== 'exec') throw new Error('the sample has no such class');
  join.payload = { ...join.payload, login: field };
  tool.stdin = stdin;
  return sample;
}

const compiled = (bundle: Bundle) => compileBundle(bundle, '0'.repeat(64));

function request(login: unknown) {
  const action = {
    class: 'join_network',
    target: { type: 'interface', id: 'wlan0' },
    payload: { ssid: 'relay', psk: 'correct horse battery', login },
  };
  return sampleRequest(action as never, { environment: 'staging' });
}

const judge = (login: unknown) => {
  const asked = request(login);
  const redacted = { ...asked.action.payload, psk: { $commitment: '0'.repeat(64) } };
  return compiled(bundle()).evaluate(asked, { ...FACTS, redacted } as never);
};

describe('a field that names a secret', () => {
  it('leaves the place of the secret in the call', () => {
    const { result, call } = judge('credential:relay-2');
    expect(result).toBe('allow');
    expect(call).toMatchObject({ stdin: { login: { $credential: 'relay-2' } } });
  });

  it.each([
    'the secret itself',
    'credential:../shadow',
    'credential:holdfast-kek',
    7,
    null,
    ['credential:a'],
  ])('takes no %j, and repeats nothing of it', (login) => {
    const verdict = judge(login);
    expect(verdict.result).toBe('deny');
    expect(verdict.gates.find(({ field }) => field === 'payload.login')?.id).toBe('payload.field');
    if (typeof login === 'string') expect(JSON.stringify(verdict)).not.toContain(login);
  });

  it('can be narrowed to some names', () => {
    const narrow = compiled(bundle({ type: 'secret_ref', enum: ['credential:a'] }));
    const redacted = { ...request('x').action.payload, psk: { $commitment: '0'.repeat(64) } };
    for (const [login, result] of [
      ['credential:a', 'allow'],
      ['credential:b', 'deny'],
    ]) {
      const facts = { ...FACTS, redacted: { ...redacted, login } } as never;
      expect(narrow.evaluate(request(login), facts).result).toBe(result);
    }
  });

  it.each([
    ['sensitive', bundle({ type: 'secret_ref', sensitive: true }), /sensitive on a field of type secret_ref/],
    ['with a pattern', bundle({ type: 'secret_ref', pattern: 'x' }), /pattern on a field of type secret_ref/],
    [
      'that no tool is handed',
      bundle(undefined, ['ssid', 'psk']),
      /a secret_ref field that the tool "join" is never handed/,
    ],
    [
      'in an argument',
      (() => {
        const changed = bundle();
        if (changed.tools.join?.connector === 'exec')
          changed.tools.join.argv.push('--login={{payload.login}}');
        return changed;
      })(),
      /which names a secret in join_network/,
    ],
  ])('is no field %s', (_what, changed, words) => {
    let found: unknown;
    try {
      compiled(changed);
    } catch (error) {
      found = error;
    }
    expect(found).toBeInstanceOf(BundleDefects);
    expect(String((found as Error).message)).toMatch(words);
  });
});

describe('a change of who may destroy values', () => {
  it('is told in words', () => {
    const before = sampleBundle();
    const after: Bundle = { ...before, privacy: { shred_roles: ['L4'], withhold_roles: ['L3', 'L4'] } };
    expect(privacyChanges(before, after)).toEqual([
      'L3 or L4 may now keep sensitive values from being shown.',
      'L4 may now destroy sensitive values of decisions.',
    ]);
    expect(privacyChanges(after, before)).toEqual([
      'Nobody may keep sensitive values from being shown any more.',
      'Nobody may destroy sensitive values of decisions any more.',
    ]);
    expect(privacyChanges(after, after)).toEqual([]);
  });
});
