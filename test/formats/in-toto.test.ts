import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { signEnvelope } from '../../daemon/formats/dsse.ts';
import { ed25519Signer } from '../../daemon/formats/ed25519.ts';
import {
  IN_TOTO_TYPE,
  openStatement,
  parseStatement,
  signStatement,
  statementBytes,
} from '../../daemon/formats/in-toto.ts';
import { formatVkey, parseVkey } from '../../daemon/formats/signed-note.ts';
import { codeOf } from '../codes.ts';

const signerOf = (seed: number, name = 'log.example') => {
  const { publicKey, sign } = ed25519Signer(new Uint8Array(32).fill(seed));
  const vkey = formatVkey(name, publicKey);
  return { name, vkey, sign };
};
const own = signerOf(1);
const key = parseVkey(own.vkey);
const statement = {
  subject: [{ name: 'a.txt', sha256: 'ab'.repeat(32) }],
  predicateType: 'urn:example:predicate',
  predicate: { said: true },
};

describe('a statement', () => {
  it('is what in-toto calls one', () => {
    expect(JSON.parse(Buffer.from(statementBytes(statement)).toString('utf8'))).toEqual({
      _type: 'https://in-toto.io/Statement/v1',
      subject: [{ name: 'a.txt', digest: { sha256: 'ab'.repeat(32) } }],
      predicateType: 'urn:example:predicate',
      predicate: { said: true },
    });
  });

  it('comes back from its envelope, with the key that signed it', () => {
    const text = signStatement(statement, own);
    expect(openStatement(text, [parseVkey(signerOf(2).vkey), key])).toEqual({ statement, key });
    expect(signStatement(statement, own)).toBe(text);
  });

  it('by a key that is not believed is told from one that does not match', () => {
    const text = signStatement(statement, own);
    expect(codeOf(() => openStatement(text, [parseVkey(signerOf(2).vkey)]))).toBe('in_toto.unknown_key');
    const { payload, ...rest } = JSON.parse(text) as { payload: string };
    const other = Buffer.from(
      Buffer.from(payload, 'base64').toString('utf8').replace('true', 'false'),
    ).toString('base64');
    expect(codeOf(() => openStatement(JSON.stringify({ payload: other, ...rest }), [key]))).toBe(
      'in_toto.bad_signature',
    );
  });

  it('of another payload type is none', () => {
    const keyid = `${key.name}+${key.keyId}`;
    const text = signEnvelope('application/json', statementBytes(statement), [{ keyid, sign: own.sign }]);
    expect(codeOf(() => openStatement(text, [key]))).toBe('dsse.type');
    expect(IN_TOTO_TYPE).toBe('application/vnd.in-toto+json');
  });

  it('with members that are not known is read all the same', () => {
    const more = { ...JSON.parse(Buffer.from(statementBytes(statement)).toString('utf8')), annotations: {} };
    expect(parseStatement(Buffer.from(JSON.stringify(more)))).toEqual(statement);
  });

  it.each([
    ['no object', '[]'],
    [
      'another type',
      '{"_type":"https://in-toto.io/Statement/v0.1","subject":[],"predicateType":"x","predicate":{}}',
    ],
    [
      'no subject',
      '{"_type":"https://in-toto.io/Statement/v1","subject":[],"predicateType":"x","predicate":{}}',
    ],
    [
      'a subject without a digest',
      '{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"a"}],"predicateType":"x","predicate":{}}',
    ],
    [
      'no predicate',
      '{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"a","digest":{"sha256":"' +
        'ab'.repeat(32) +
        '"}}],"predicateType":"x"}',
    ],
  ])('%s is refused', (_what, text) => {
    expect(codeOf(() => parseStatement(Buffer.from(text)))).toBe('in_toto.malformed');
  });

  it('of any bytes is refused in words', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array(),
          fc.json().map((text) => Buffer.from(text)),
        ),
        (bytes) => {
          expect(codeOf(() => parseStatement(bytes))).toMatch(/^(in_toto|json)\./);
        },
      ),
    );
  });
});
