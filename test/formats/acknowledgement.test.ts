import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ACKNOWLEDGEMENT_TYPE,
  type Acknowledgement,
  keyidOf,
  signAcknowledgement,
  verifyAcknowledgement,
} from '../../daemon/formats/acknowledgement.ts';
import { canonicalBytes } from '../../daemon/formats/canonical-json.ts';
import { sha256Hex, toBase64 } from '../../daemon/formats/digest.ts';
import { signEnvelope } from '../../daemon/formats/dsse.ts';
import { ed25519Signer } from '../../daemon/formats/ed25519.ts';
import { formatVkey, type NoteSigner, parseVkey } from '../../daemon/formats/signed-note.ts';
import { codeOf } from '../codes.ts';

const SITE = 'outpost-7.example';

function signer(name: string, seed: number): NoteSigner {
  const { publicKey, sign } = ed25519Signer(new Uint8Array(32).fill(seed));
  return { name, vkey: formatVkey(name, publicKey), sign };
}

const mail = signer('mail', 1);
const other = signer('other', 2);
const word: Acknowledgement = {
  v: 1,
  site: SITE,
  file: 'receipt-outpost-7.example-2.json',
  sha256: sha256Hex('receipt'),
  received_at: '2026-11-21T05:54:43Z',
};
const known = { site: SITE, keys: [other.vkey, mail.vkey] };
const of = (text: string, trust = known) => codeOf(() => verifyAcknowledgement(text, trust));

/** An envelope over any payload, signed as an acknowledgement would be. */
function envelope(payload: unknown, by = mail, type = ACKNOWLEDGEMENT_TYPE): string {
  const bytes = typeof payload === 'string' ? Buffer.from(payload) : canonicalBytes(payload as never);
  return signEnvelope(type, bytes, [{ keyid: keyidOf(parseVkey(by.vkey)), sign: by.sign }]);
}

describe('an acknowledgement', () => {
  it('says what was signed, and by whom, so that it can be checked again from what is kept of it', () => {
    const text = signAcknowledgement(word, mail);
    const verified = verifyAcknowledgement(text, known);
    expect(verified).toMatchObject({ acknowledgement: word, vkey: mail.vkey });
    const again = JSON.stringify({
      payloadType: ACKNOWLEDGEMENT_TYPE,
      payload: toBase64(canonicalBytes(verified.acknowledgement as never)),
      signatures: [{ keyid: keyidOf(parseVkey(verified.vkey)), sig: verified.signature }],
    });
    expect(verifyAcknowledgement(again, known)).toEqual(verified);
  });

  it('counts under the keys of policy alone, and at its own site', () => {
    expect(of(signAcknowledgement(word, signer('stranger', 3)))).toBe('acknowledgement.unknown_key');
    expect(of(signAcknowledgement(word, mail), { site: SITE, keys: [] })).toBe('acknowledgement.unknown_key');
    expect(of(signAcknowledgement({ ...word, site: 'outpost-8.example' }, mail))).toBe(
      'acknowledgement.wrong_site',
    );
    // The name of a key that counts, the signature of one that does not.
    const forged = JSON.parse(signAcknowledgement(word, signer('mail', 3)));
    forged.signatures[0].keyid = keyidOf(parseVkey(mail.vkey));
    expect(of(JSON.stringify(forged))).toBe('acknowledgement.bad_signature');
  });

  it.each([
    ['of another version', { ...word, v: 2 }],
    ['with a member more', { ...word, also: 'this' }],
    ['without a digest', { ...word, sha256: undefined as never }],
    ['with a digest in capitals', { ...word, sha256: word.sha256.toUpperCase() }],
    ['of a file that climbs', { ...word, file: '../state/ledger.sqlite' }],
    ['of a file with a control character', { ...word, file: 'a\u0007b' }],
    ['at no time', { ...word, received_at: 'yesterday' }],
    ['at a time that is none', { ...word, received_at: '2026-13-41T00:00:00Z' }],
    ['that is a list', [word]],
    ['that is not canonical', `${JSON.stringify(word)} `],
    ['with a member twice', JSON.stringify(word).replace('{', '{"v":1,')],
  ])('%s is refused, though signed', (_what, payload) => {
    const stripped = typeof payload === 'string' ? payload : JSON.parse(JSON.stringify(payload));
    expect(of(envelope(stripped))).toBe('acknowledgement.malformed');
  });

  it('is nothing else that the same key signed', () => {
    const receipt = 'application/vnd.holdfast.receipt.v1+json';
    expect(of(envelope(word, mail, receipt))).toBe('acknowledgement.malformed');
  });

  it('costs few verifications, whatever a file holds', () => {
    const flood = JSON.parse(signAcknowledgement(word, mail));
    flood.signatures = Array.from({ length: 5 }, () => flood.signatures[0]);
    expect(of(JSON.stringify(flood))).toBe('acknowledgement.malformed');
  });

  it('is void with any byte of words or signature changed', () => {
    const text = signAcknowledgement(word, mail);
    const { payload, signatures } = JSON.parse(text);
    const change = (base64: string, at: number, bit: number): string => {
      const bytes = Buffer.from(base64, 'base64');
      const index = at % bytes.length;
      bytes[index] = (bytes[index] ?? 0) ^ (1 << bit);
      return bytes.toString('base64');
    };
    fc.assert(
      fc.property(fc.boolean(), fc.nat(500), fc.nat(7), (words, at, bit) => {
        const changed = {
          payloadType: ACKNOWLEDGEMENT_TYPE,
          payload: words ? change(payload, at, bit) : payload,
          signatures: [
            { ...signatures[0], sig: words ? signatures[0].sig : change(signatures[0].sig, at, bit) },
          ],
        };
        expect(of(JSON.stringify(changed))).toBe('acknowledgement.bad_signature');
      }),
    );
  });

  it('survives any text without anything but a coded refusal', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.json(),
          fc.json().map((json) => envelope(json)),
        ),
        (text) => {
          expect(of(text)).toMatch(/^acknowledgement\.[a-z_]+$/);
        },
      ),
    );
  });
});
