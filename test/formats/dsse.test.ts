import { createPublicKey, verify } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { pae, parseEnvelope, signEnvelope, verifyEnvelope } from '../../daemon/formats/dsse.ts';
import { ed25519Signer } from '../../daemon/formats/ed25519.ts';
import { codeOf } from '../codes.ts';
import { vectorsDir } from '../vectors/dir.ts';

const dir = vectorsDir();
const TYPE = 'application/vnd.in-toto+json';
const payload = new TextEncoder().encode('{"x":"é"}');
const keys = [1, 2, 3].map((fill) => ed25519Signer(new Uint8Array(32).fill(fill)));
const signers = keys.map((key, i) => ({ keyid: `k${i}`, sign: key.sign }));
const publicKeys = keys.map((key) => key.publicKey);

function base64url(decimal: string): string {
  return Buffer.from(BigInt(decimal).toString(16).padStart(64, '0'), 'hex').toString('base64url');
}

test.skipIf(dir === null)('published vector: encoding, envelope, signature', () => {
  const vector = JSON.parse(readFileSync(join(dir ?? '', 'dsse/dsse-vectors.json'), 'utf8')) as {
    payloadType: string;
    payload: string;
    pae: string;
    key: { x: string; y: string };
    envelope: object;
  };
  const envelope = parseEnvelope(JSON.stringify(vector.envelope));
  const message = pae(envelope.payloadType, envelope.payload);
  expect(Buffer.from(envelope.payload).toString()).toBe(vector.payload);
  expect(Buffer.from(message).toString()).toBe(vector.pae);
  const jwk = { kty: 'EC', crv: 'P-256', x: base64url(vector.key.x), y: base64url(vector.key.y) };
  const key = createPublicKey({ key: jwk, format: 'jwk' });
  const sig = envelope.signatures[0]?.sig ?? new Uint8Array();
  expect(verify('sha256', message, { key, dsaEncoding: 'ieee-p1363' }, sig)).toBe(true);
});

test('lengths in the encoding count bytes', () => {
  expect(Buffer.from(pae('é', new TextEncoder().encode('ü'))).toString()).toBe('DSSEv1 2 é 2 ü');
  expect(Buffer.from(pae('', new Uint8Array(0))).toString()).toBe('DSSEv1 0  0 ');
});

describe('threshold', () => {
  test.each([1, 2, 3])('%i signatures', (count) => {
    const envelope = parseEnvelope(signEnvelope(TYPE, payload, signers.slice(0, count)));
    for (const threshold of [1, 2, 3]) {
      const expected = { payloadType: TYPE, keys: publicKeys, threshold };
      expect(codeOf(() => verifyEnvelope(envelope, expected))).toBe(
        count >= threshold ? 'accepted' : 'dsse.threshold',
      );
    }
  });

  test('counts keys, not signatures and not listings', () => {
    const [one] = signers;
    const twice = parseEnvelope(signEnvelope(TYPE, payload, one === undefined ? [] : [one, one]));
    const expected = { payloadType: TYPE, keys: [...publicKeys, ...publicKeys], threshold: 2 };
    expect(codeOf(() => verifyEnvelope(twice, expected))).toBe('dsse.threshold');
  });

  test('the key id is a hint only', () => {
    const lying = signers.map((signer) => ({ ...signer, keyid: 'same' }));
    const envelope = parseEnvelope(signEnvelope(TYPE, payload, lying));
    expect(verifyEnvelope(envelope, { payloadType: TYPE, keys: publicKeys, threshold: 3 })).toEqual(payload);
  });

  test('a key of small order never counts', () => {
    const identity = new Uint8Array(32).fill(1, 0, 1);
    const forged = {
      ...parseEnvelope(signEnvelope(TYPE, payload, signers)),
      signatures: [] as { keyid: null; sig: Uint8Array }[],
    };
    forged.signatures.push({
      keyid: null,
      sig: Uint8Array.from({ length: 64 }, (_, i) => (i === 0 ? 1 : 0)),
    });
    expect(codeOf(() => verifyEnvelope(forged, { payloadType: TYPE, keys: [identity], threshold: 1 }))).toBe(
      'dsse.threshold',
    );
    expect(() => verifyEnvelope(forged, { payloadType: TYPE, keys: [], threshold: 0 })).toThrow(RangeError);
  });
});

test('the payload type is signed and must be the expected one', () => {
  const text = signEnvelope(TYPE, payload, signers);
  const keysAnd = { keys: publicKeys, threshold: 1 };
  expect(codeOf(() => verifyEnvelope(parseEnvelope(text), { payloadType: 'text/plain', ...keysAnd }))).toBe(
    'dsse.type',
  );
  const relabelled = parseEnvelope(text.replace(TYPE, 'text/plain'));
  expect(codeOf(() => verifyEnvelope(relabelled, { payloadType: 'text/plain', ...keysAnd }))).toBe(
    'dsse.threshold',
  );
});

test('URL-safe and unpadded base64 are read', () => {
  const text = signEnvelope(TYPE, Uint8Array.of(0xff, 0xfe, 0xfb, 0xef), signers.slice(0, 1));
  const urlSafe = text
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '')
    .replace('application_vnd.in-toto-json', TYPE);
  expect(parseEnvelope(urlSafe)).toEqual(parseEnvelope(text));
});

describe('what is not an envelope', () => {
  test.each([
    '[]',
    '{}',
    '{"payload":"AA==","payloadType":"x","signatures":[]}',
    '{"payload":"AA==","payloadType":"x","signatures":[1]}',
    '{"payload":"AA==","payloadType":"x","signatures":[{"sig":1}]}',
    '{"payload":"AA==","payloadType":"x","signatures":[{"sig":"AA==","keyid":1}]}',
    '{"payload":"A","payloadType":"x","signatures":[{"sig":"AA=="}]}',
    '{"payload":"AB==","payloadType":"x","signatures":[{"sig":"AA=="}]}',
    '{"payload":1,"payloadType":"x","signatures":[{"sig":"AA=="}]}',
    '{"payload":"AA==","payloadType":1,"signatures":[{"sig":"AA=="}]}',
    `{"payload":"AA==","payloadType":"x","signatures":[${Array(65).fill('{"sig":"AA=="}').join()}]}`,
  ])('%.90s', (text) => {
    expect(codeOf(() => parseEnvelope(text))).toBe('dsse.malformed');
  });

  test('duplicate members', () => {
    expect(
      codeOf(() => parseEnvelope('{"payload":"AA==","payload":"AQ==","payloadType":"x","signatures":[]}')),
    ).toBe('json.duplicate_key');
  });
});

test('any changed character of payload or signatures loses the threshold', () => {
  const text = signEnvelope(TYPE, payload, signers.slice(0, 1));
  fc.assert(
    fc.property(fc.nat(text.length - 1), fc.constantFrom('A', 'q', '"', ',', '}'), (at, char) => {
      // Inside `"keyid":"k0"` nothing is signed.
      fc.pre(text[at] !== char && Math.abs(at - text.indexOf('keyid') - 5) > 8);
      const changed = text.slice(0, at) + char + text.slice(at + 1);
      expect(
        codeOf(() =>
          verifyEnvelope(parseEnvelope(changed), { payloadType: TYPE, keys: publicKeys, threshold: 1 }),
        ),
      ).not.toBe('accepted');
    }),
    { numRuns: 100 },
  );
});
