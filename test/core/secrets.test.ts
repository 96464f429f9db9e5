import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { scrubRequest } from '../../daemon/core/evaluate.ts';
import { secretPattern, secretScanner } from '../../daemon/core/secrets.ts';
import { compileSample, FACTS, sampleRequest } from './sample.ts';

const scanner = secretScanner([{ id: 'site-code', pattern: 'SITE-[0-9]{4}' }]);
/** Put together at run time, so that no scanner of repositories takes this file for a leak. */
const join = (...parts: string[]) => parts.join('');

const SECRETS: [string, string][] = [
  ['private_key', join('-----BEGIN OPENSSH ', 'PRIVATE KEY-----')],
  ['private_key', join('-----BEGIN ', 'PRIVATE KEY-----')],
  ['private_key', join('PRIVATE', '+KEY+outpost-7.example+0a1b2c3d+Ab')],
  ['private_key', join('AGE-SECRET-', 'KEY-1QQQQ')],
  ['aws_access_key', join('AKIA', 'ABCDEFGHIJKLMNOP')],
  ['github_token', join('ghp_', 'a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8')],
  ['gitlab_token', join('glpat-', 'a1B2c3D4e5F6g7H8i9J0')],
  ['slack_token', join('xoxb-', '1234567890-abcdef')],
  ['google_api_key', join('AIza', 'SyA1234567890abcdefghijklmnopqrstuv')],
  ['api_key', join('sk-', 'proj-a1b2c3d4e5f6g7h8i9j0')],
  ['jwt', join('eyJ', 'hbGciOiJIUzI1NiJ9.', 'eyJzdWIiOiIxIn0.c2ln')],
  ['bearer_token', join('Authorization: Bearer ', 'abcdefghijklmnopqrst')],
  ['url_credentials', join('https://admin:', 'hunter22@depot.example/')],
  ['credential_assignment', join('password', '=hunter2')],
  ['credential_assignment', join('"api_key"', ': "abcd1234"')],
  ['credential_assignment', join('Passphrase', ' : opensesame')],
  ['site-code', 'the code is SITE-4711'],
];

const HARMLESS = [
  'recover the telemetry relay after the storm of 2026-11-20',
  'relay-2.service',
  '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08',
  '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
  '018f4b1e-7a2b-7c3d-8e4f-5a6b7c8d9e0f',
  '/var/lib/site/staged/OutPost7-Relay2-Firmware-Image-2026-11-20-Rev3',
  'SHA256:uNiVztksCsDhcc0u9e8BrrJXVGDSDMqjlZ8Vu1yzXGo',
  'the password policy says nothing about this',
  'reset the secret santa list',
  'token ring adapter, slot 3',
  'https://depot.example:8443/path?x=1',
  'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
];

describe('the secret scanner', () => {
  it.each(SECRETS)('finds %s', (id, text) => {
    expect(scanner.find(text)).toBe(id);
    expect(scanner.find(`before ${text} after`)).toBe(id);
    expect(scanner.anyIn(['nothing', `x ${text}`, 'nothing'])).toBe(true);
  });

  it.each(HARMLESS)('leaves alone: %s', (text) => {
    expect(scanner.find(text)).toBeNull();
    expect(scanner.anyIn([text])).toBe(false);
  });

  it('finds random keys in base64 and base64url nearly always', () => {
    const missed = { base64: 0, base64url: 0 };
    for (let i = 0; i < 2_000; i++) {
      for (const encoding of ['base64', 'base64url'] as const) {
        if (scanner.find(randomBytes(32).toString(encoding)) === null) missed[encoding] += 1;
      }
    }
    expect(missed.base64).toBeLessThan(100);
    expect(missed.base64url).toBeLessThan(100);
  });

  it('finds no secret in hex, however long', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(scanner.find(Buffer.from(bytes).toString('hex'))).toBeNull();
      }),
    );
  });

  it('agrees with itself: a set of texts is suspicious exactly when one of them is', () => {
    const builtIn = secretScanner();
    const fragment = fc.constantFrom(
      ...SECRETS.map(([, text]) => text),
      ...HARMLESS,
      'password',
      '=',
      'hunter2',
      'AKIA',
      'ABCDEFGHIJKLMNOP',
    );
    fc.assert(
      fc.property(fc.array(fragment, { maxLength: 6 }), (texts) => {
        expect(builtIn.anyIn(texts)).toBe(texts.some((text) => builtIn.find(text) !== null));
      }),
    );
  });

  it('stays quick on text made to stall it', () => {
    const hostile = [
      'eyJ-'.repeat(4_000),
      '://a:'.repeat(4_000),
      'password '.repeat(2_000),
      '-----BEGIN A '.repeat(1_500),
      'Bearer    '.repeat(2_000),
    ];
    for (const text of hostile) scanner.find(text);
  });

  it("finds a bundle's own pattern anywhere in a long text", () => {
    for (const at of [0, 3_590, 4_090, 4_096, 9_000, 15_990]) {
      const text = `${'x '.repeat(8_000).slice(0, at)}SITE-4711${' y'.repeat(100)}`;
      expect(scanner.find(text)).toBe('site-code');
    }
  });

  it('takes no pattern that matches everything or costs too much', () => {
    expect(() => secretPattern('a*')).toThrow(/deny every request/);
    expect(() => secretPattern('(a{1,30}){1,30}b')).toThrow(/steps/);
    expect(() => secretPattern('(')).toThrow(/RE2/);
  });
});

describe('secrets in a request', () => {
  const bundle = compileSample();
  const secret = join('password', '=hunter2000');
  const places: [string, Parameters<typeof sampleRequest>][] = [
    ['intent', [{ intent: secret }]],
    ['payload.note', [{ payload: { note: secret } }]],
    ['payload.units', [{ payload: { note: 'x', units: ['a', secret] } }]],
    ['class', [{ class: secret }]],
    ['target.id', [{ target: { type: 'service', id: secret } }]],
    ['target.type', [{ target: { type: secret, id: 'relay-2' } }]],
    ['actor.id', [{}, { actor: { id: secret } }]],
    ['actor.role', [{}, { actor: { id: 'agent:ops-1', role: secret } }]],
    ['environment', [{}, { environment: secret }]],
    ['request_source', [{}, { request_source: secret }]],
    ['trace.correlation_id', [{}, { trace: { correlation_id: secret } }]],
    ['trace.parent_id', [{}, { trace: { parent_id: secret } }]],
    ['labels.mission', [{}, { labels: { mission: secret } }]],
    ['labels.other', [{}, { labels: { other: secret } }]],
  ];
  it.each(places)('are denied by field and kept out of verdict and record: %s', (field, parts) => {
    const request = sampleRequest(...parts);
    const verdict = bundle.evaluate(request, FACTS);
    expect(verdict.result).toBe('deny');
    expect(verdict.gates.filter(({ result }) => result === 'fail').map((gate) => gate.field)).toContain(
      field,
    );
    expect(JSON.stringify([verdict, scrubRequest(request, verdict)])).not.toContain('hunter');
  });

  it('leave the rest of the record as it was', () => {
    const request = sampleRequest({ intent: secret });
    const recorded = scrubRequest(request, bundle.evaluate(request, FACTS));
    expect(recorded).toEqual({
      ...request,
      action: { ...request.action, intent: '[withheld: secrets.pattern]' },
    });
  });
});
