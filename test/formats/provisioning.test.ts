import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BoundaryError } from '../../daemon/formats/boundary-error.ts';
import { sha256Hex } from '../../daemon/formats/digest.ts';
import { ed25519Signer } from '../../daemon/formats/ed25519.ts';
import {
  type Provisioning,
  parseProvisioning,
  provisioningBytes,
  signProvisioning,
  verifyProvisioning,
} from '../../daemon/formats/provisioning.ts';
import { codeOf } from '../codes.ts';

const people = ['alice', 'bob', 'carol'].map((name, at) => ({
  id: sha256Hex(name),
  name,
  ...ed25519Signer(new Uint8Array(32).fill(at + 1)),
}));
const [alice, bob, carol] = people as [(typeof people)[0], (typeof people)[0], (typeof people)[0]];
const signers = { keys: [alice, bob], threshold: 2 };
const digest = sha256Hex('x');
const list: Provisioning = {
  v: 1,
  site: 'outpost-7.example',
  profile: 'appliance',
  issued_at: '2026-01-02T03:04:05Z',
  policy: { production: 'field-site@1' },
  files: { 'root.json': digest, 'holdfast.json': digest, 'repository/metadata/1.root.json': digest },
};

function signed(value: unknown, by: readonly (typeof alice)[]): Uint8Array {
  const payload = provisioningBytes(value as Provisioning);
  let text = '';
  for (const { id, sign } of by) {
    const before = text === '' ? [] : parseProvisioning(Buffer.from(text)).envelope.signatures;
    text = signProvisioning(payload, before, { keyid: id, sign });
  }
  return Buffer.from(text);
}

describe('the list of a provisioning folder', () => {
  it('is read back as it was signed, and its digest is that of the signed bytes', () => {
    const carried = parseProvisioning(signed(list, [alice, bob]));
    expect(carried.list).toEqual(list);
    expect(carried.digest).toBe(sha256Hex(provisioningBytes(list)));
    expect(verifyProvisioning(carried, signers)).toEqual(['alice', 'bob']);
  });

  it.each([
    ['one of two', [alice]],
    ['one of two, twice', [alice, alice]],
    ['somebody else', [alice, carol]],
  ])('is not believed when it is signed by %s', (_, by) => {
    const carried = parseProvisioning(signed(list, by));
    expect(codeOf(() => verifyProvisioning(carried, signers))).toBe('provision.unsigned');
  });

  it('is not believed when a signature is of other bytes', () => {
    const { envelope } = parseProvisioning(signed({ ...list, site: 'other.example' }, [alice, bob]));
    const text = JSON.stringify({
      payload: Buffer.from(provisioningBytes(list)).toString('base64'),
      payloadType: envelope.payloadType,
      signatures: envelope.signatures.map(({ keyid, sig }) => ({
        keyid,
        sig: Buffer.from(sig).toString('base64'),
      })),
    });
    const carried = parseProvisioning(Buffer.from(text));
    expect(codeOf(() => verifyProvisioning(carried, signers))).toBe('provision.unsigned');
  });

  it.each([
    ['a dev site', { ...list, profile: 'dev' }],
    ['an unknown member', { ...list, extra: 1 }],
    ['another version', { ...list, v: 2 }],
    ['a name that climbs', { ...list, files: { ...list.files, 'repository/../x': digest } }],
    ['an absolute name', { ...list, files: { ...list.files, '/etc/passwd': digest } }],
    ['a hidden name', { ...list, files: { ...list.files, '.x': digest } }],
    ['no root', { ...list, files: { 'holdfast.json': digest } }],
    ['a wrong digest', { ...list, files: { ...list.files, 'root.json': 'abc' } }],
    [
      'too many files',
      {
        ...list,
        files: {
          ...list.files,
          ...Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`f${i}`, digest])),
        },
      },
    ],
  ])('is refused with %s', (_, value) => {
    expect(codeOf(() => parseProvisioning(signed(value, [alice])))).toBe('provision.malformed');
  });

  it('is refused, never anything worse, whatever the bytes', () => {
    const good = signed(list, [alice, bob]);
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.nat(255), (at, byte) => {
        const bytes = Uint8Array.from(good);
        bytes[at] = byte;
        let carried: ReturnType<typeof parseProvisioning>;
        try {
          carried = parseProvisioning(bytes);
          verifyProvisioning(carried, signers);
        } catch (error) {
          expect(error).toBeInstanceOf(BoundaryError);
          return;
        }
        expect(carried.list).toEqual(list);
      }),
      { numRuns: 300 },
    );
  });
});
