import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type DsseEnvelope, parseEnvelope, signEnvelope } from '../../daemon/formats/dsse.ts';
import { ed25519Signer } from '../../daemon/formats/ed25519.ts';
import {
  addCountersignature,
  type Countersigner,
  TRUST_TYPE,
  trustEnvelope,
  verifyCountersignatures,
} from '../../daemon/formats/trust-envelope.ts';
import { codeOf } from '../codes.ts';

interface Signer extends Countersigner {
  sign(message: Uint8Array): Uint8Array;
}

function person(name: string, seed: number): Signer {
  const { publicKey, sign } = ed25519Signer(new Uint8Array(32).fill(seed));
  return { id: `${seed}`.padStart(64, '0'), name, publicKey, sign };
}

const alice = person('alice', 1);
const bob = person('bob', 2);
const carol = person('carol', 3);
const mallory = person('mallory', 4);
const FILE = Buffer.from('{\n  "v": 1,\n  "site": "outpost-7.example"\n}\n');
const two = { keys: [alice, bob, carol], threshold: 2 };

function signedBy(...people: Signer[]): DsseEnvelope {
  let envelope: DsseEnvelope = { payloadType: TRUST_TYPE, payload: FILE, signatures: [] };
  for (const { id, sign } of people)
    envelope = parseEnvelope(addCountersignature(envelope.payload, envelope.signatures, { keyid: id, sign }));
  return envelope;
}

describe('a countersigned trust file', () => {
  it('holds the file byte by byte, and counts each person once', () => {
    const envelope = signedBy(alice, bob, alice);
    expect(Buffer.from(envelope.payload)).toEqual(FILE);
    expect(envelope.signatures).toHaveLength(2);
    expect(verifyCountersignatures(envelope, two).map(({ name }) => name)).toEqual(['alice', 'bob']);
  });

  it.each([
    ['nobody known', [mallory], 'trust.unknown_countersigner'],
    ['too few', [alice], 'trust.too_few_countersignatures'],
    ['one known and one unknown', [alice, mallory], 'trust.too_few_countersignatures'],
    ['enough, and somebody unknown', [mallory, alice, carol], 'accepted'],
    ['somebody under the id of another', [alice, { ...mallory, id: bob.id }], 'trust.bad_countersignature'],
    [
      'enough, but one of them wrong',
      [alice, carol, { ...mallory, id: bob.id }],
      'trust.bad_countersignature',
    ],
    ['one person under two ids', [alice, { ...alice, id: bob.id }], 'trust.bad_countersignature'],
  ])('signed by %s', (_who, people, expected) => {
    expect(codeOf(() => verifyCountersignatures(signedBy(...people), two))).toBe(expected);
  });

  it('is wrong with any byte changed', () => {
    const envelope = signedBy(alice, bob);
    fc.assert(
      fc.property(fc.nat(FILE.length - 1), fc.nat(7), (at, bit) => {
        const payload = Buffer.from(FILE);
        payload[at] = (payload[at] ?? 0) ^ (1 << bit);
        expect(codeOf(() => verifyCountersignatures({ ...envelope, payload }, two))).toBe(
          'trust.bad_countersignature',
        );
      }),
    );
  });

  it('is told from a plain one, and from envelopes of other things', () => {
    expect(trustEnvelope(FILE.toString())).toBeNull();
    const { id, sign } = alice;
    expect(trustEnvelope(addCountersignature(FILE, [], { keyid: id, sign }))).not.toBeNull();
    const receipt = signEnvelope('application/vnd.holdfast.receipt.v1+json', FILE, [{ keyid: id, sign }]);
    expect(codeOf(() => trustEnvelope(receipt))).toBe('trust.other_envelope');
    // The same bytes signed as something else are no countersignature.
    const elsewhere = { ...parseEnvelope(receipt), payloadType: TRUST_TYPE };
    expect(codeOf(() => verifyCountersignatures(elsewhere, { keys: [alice], threshold: 1 }))).toBe(
      'trust.bad_countersignature',
    );
  });
});
