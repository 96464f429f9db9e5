import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BoundaryError } from '../../daemon/formats/boundary-error.ts';
import { formatCheckpoint } from '../../daemon/formats/checkpoint.ts';
import { ed25519Signer } from '../../daemon/formats/ed25519.ts';
import { inclusionRanges, leafHash, rangeHash, rootOf } from '../../daemon/formats/merkle.ts';
import { cosignatureLine, formatVkey, signNote, TYPE_COSIGNATURE } from '../../daemon/formats/signed-note.ts';
import { meetsQuorum, parsePolicy } from '../../daemon/formats/tlog-policy.ts';
import { formatProof, parseProof, verifyProof } from '../../daemon/formats/tlog-proof.ts';
import { codeOf } from '../codes.ts';
import { vectorsDir } from '../vectors/dir.ts';

const dir = vectorsDir();

function named(name: string, fill: number, type?: typeof TYPE_COSIGNATURE) {
  const key = ed25519Signer(new Uint8Array(32).fill(fill));
  return { name, vkey: formatVkey(name, key.publicKey, type), sign: key.sign };
}

const origin = 'outpost-7.example/ledger';
const log = named(origin, 1);
const witnesses = ['w1', 'w2', 'w3'].map((name, i) => named(name, 10 + i, TYPE_COSIGNATURE));

/** A proof of entry `index` in a log of `size` small entries. */
function makeProof(index: number, size: number, cosigners: typeof witnesses = []) {
  const entries = Array.from({ length: size }, (_, i) => new TextEncoder().encode(`entry ${i}`));
  const leaves = entries.map(leafHash);
  const hashAt = (level: number, at: number) => rootOf(leaves.slice(at * 2 ** level, (at + 1) * 2 ** level));
  const text = formatCheckpoint({ origin, size, root: rootOf(leaves) });
  const checkpoint =
    signNote(text, [log]) + cosigners.map((one) => cosignatureLine(text, one, 1_800_000_000)).join('');
  const proof = inclusionRanges(index, size).map((range) => rangeHash(range, hashAt));
  const leaf = entries[index] as Uint8Array;
  return {
    leaf,
    parts: { index, extra: leaf, proof, checkpoint },
    file: formatProof({ index, extra: leaf, proof, checkpoint }),
  };
}

describe.skipIf(dir === null)('the published proof with two cosignatures', () => {
  const read = (name: string) => readFileSync(join(dir ?? '', 'c2sp-tlog', name));

  test('verifies under its policy', () => {
    const policy = parsePolicy(read('generated.tlog-policy').toString());
    const leaf = new Uint8Array(read('generated-entry10.leaf'));
    const verified = verifyProof(read('generated-entry10.tlog-proof').toString(), { policy }, leaf);
    expect(verified).toMatchObject({
      index: 10,
      checkpoint: { origin: 'example.com/log/testdata', size: 15 },
    });
    expect(verified.checkpoint.verified).toHaveLength(3);
  });

  test('is written the same again', () => {
    const text = read('generated-entry10.tlog-proof').toString();
    expect(formatProof(parseProof(text))).toBe(text);
  });

  test('not for another leaf, nor without one, nor with a cosignature missing', () => {
    const policy = parsePolicy(read('generated.tlog-policy').toString());
    const text = read('generated-entry10.tlog-proof').toString();
    expect(codeOf(() => verifyProof(text, { policy }, Uint8Array.of(1)))).toBe('tlog_proof.not_included');
    expect(codeOf(() => verifyProof(text, { policy }))).toBe('tlog_proof.no_leaf');
    const fewer = text.replace(/— Wit2 .*\n/, '');
    expect(codeOf(() => verifyProof(fewer, { policy }, new Uint8Array(read('generated-entry10.leaf'))))).toBe(
      'tlog_policy.no_quorum',
    );
  });
});

test('proofs of every entry round trip and verify by their own extra line', () => {
  for (const size of [1, 2, 3, 7, 8, 9]) {
    for (let index = 0; index < size; index += 1) {
      const { file, parts, leaf } = makeProof(index, size);
      expect(parseProof(file)).toEqual(parts);
      expect(verifyProof(file, { origin, vkeys: [log.vkey] })).toMatchObject({ index, leaf });
    }
  }
});

test('every changed character is refused or leaves the same facts', () => {
  const { file } = makeProof(5, 9);
  fc.assert(
    fc.property(
      fc.nat(file.length - 1),
      fc.constantFrom('A', 'b', '0', '1', '=', ' ', '\n', '—', '\0'),
      (at, char) => {
        fc.pre(file[at] !== char);
        const changed = file.slice(0, at) + char + file.slice(at + 1);
        expect(codeOf(() => verifyProof(changed, { origin, vkeys: [log.vkey] }))).not.toBe('accepted');
      },
    ),
    { numRuns: 300 },
  );
});

test('every prefix is refused', () => {
  const { file } = makeProof(5, 9);
  for (let end = 0; end < file.length; end += 1) {
    expect(codeOf(() => verifyProof(file.slice(0, end), { origin, vkeys: [log.vkey] }))).not.toBe('accepted');
  }
});

describe('what is not a proof', () => {
  const { file } = makeProof(1, 2);
  test.each([
    ['another header', file.replace('@v1', '@v2')],
    ['extra after index', file.replace(/(extra .*\n)(index .*\n)/, '$2$1')],
    ['extra twice', file.replace(/(extra .*\n)/, '$1$1')],
    ['a leading zero', file.replace('index 1', 'index 01')],
    ['no index', file.replace(/index .*\n/, '')],
    ['a short hash', file.replace('index 1\n', 'index 1\nAAAA\n')],
    ['a carriage return', file.replace('index 1\n', 'index 1\r\n')],
    [
      'a path longer than any tree',
      file.replace('index 1\n', `index 1\n${`${'A'.repeat(43)}=\n`.repeat(70)}`),
    ],
    ['a file of megabytes', file + 'x'.repeat(3 << 20)],
  ])('%s', (_, text) => {
    expect(codeOf(() => parseProof(text))).toBe('tlog_proof.malformed');
  });

  test('an empty extra line is an empty leaf', () => {
    expect(parseProof(file.replace(/extra .*\n/, 'extra \n')).extra).toEqual(new Uint8Array(0));
  });
});

describe('tlog-policy', () => {
  const [w1, w2, w3] = witnesses.map(({ name, vkey }) => `witness ${name} ${vkey}`);
  const base = `log ${log.vkey} https://log.example\n${w1}\n\t${w2}  https://w2.example\n\n # comment\n${w3}\n`;

  test.each([
    ['quorum none', 0],
    ['quorum w1', 1],
    ['group g any w2 w3\nquorum g', 2],
    ['group g 2 w1 w2 w3\nquorum g', 2],
    ['group g all w1 w2 w3\nquorum g', 3],
    ['group a any w2 w3\ngroup b all w1 a\nquorum b', 2],
  ])('%s', (rules, needed) => {
    const policy = parsePolicy(`${base}${rules}\n`);
    for (let count = 0; count <= 3; count += 1) {
      const { file } = makeProof(0, 3, witnesses.slice(0, count));
      expect(codeOf(() => verifyProof(file, { policy }))).toBe(
        count >= needed ? 'accepted' : 'tlog_policy.no_quorum',
      );
    }
  });

  test('the log’s own signature is always needed, by its own name', () => {
    const other = `log ${named('other/ledger', 1).vkey}\nquorum none\n`;
    const { file } = makeProof(0, 3);
    expect(codeOf(() => verifyProof(file, { policy: parsePolicy(other) }))).toBe('note.no_known_signature');
    expect(codeOf(() => verifyProof(file, { policy: parsePolicy('quorum none') }))).toBe(
      'note.no_known_signature',
    );
  });

  const k = (name: string) => `witness ${name} ${named(name, name.charCodeAt(0), TYPE_COSIGNATURE).vkey}\n`;
  test.each([
    ['no quorum', base],
    ['two quorums', `${base}quorum none\nquorum none\n`],
    ['an unknown keyword', `${base}quorum none\nwitnes x\n`],
    ['an inherited keyword', `${base}quorum none\nconstructor x\n`],
    ['a quorum defined later', `${base}quorum g\ngroup g any w1\n`],
    ['a member defined later', `group g any w1\n${base}quorum g\n`],
    ['none as a member', `${base}group g any none\nquorum g\n`],
    ['none as a name', `${base}group none any w1\nquorum none\n`],
    ['a name twice', `${k('a')}${k('b')}group a any b\nquorum a\n`],
    ['a member of two groups', `${base}group g any w1\ngroup h any w1\nquorum h\n`],
    ['a member twice', `${base}group g 2 w1 w1\nquorum g\n`],
    ['a threshold of zero', `${base}group g 0 w1\nquorum g\n`],
    ['a threshold above the members', `${base}group g 2 w1\nquorum g\n`],
    ['a threshold with a zero before it', `${base}group g 01 w1\nquorum g\n`],
    ['a group without members', `${base}group g any\nquorum g\n`],
    ['the same witness key under two names', `${base}witness again ${witnesses[0]?.vkey}\nquorum none\n`],
    ['the same log key twice', `${base}log ${named('x', 1).vkey}\nquorum none\n`],
    ['a log key for a witness', `witness w ${log.vkey}\nquorum none\n`],
    ['a witness key for a log', `log ${witnesses[0]?.vkey}\nquorum none\n`],
    ['a damaged key', `log ${log.vkey.slice(0, -1)}\nquorum none\n`],
    ['words too many', `${base}quorum none extra\n`],
    ['a control character', `${base}quorum none\r\n`],
    [
      'a flood of names',
      `${Array.from({ length: 300 }, (_, i) => `group g${i} any ${i === 0 ? 'w1' : `g${i - 1}`}`).join('\n')}\n`,
    ],
  ])('%s is refused', (_, text) => {
    expect(codeOf(() => parsePolicy(text))).toBe('tlog_policy.malformed');
  });

  test('any soup of policy words gives a policy or a BoundaryError', () => {
    const word = fc.constantFrom(
      'log',
      'witness',
      'group',
      'quorum',
      'none',
      'any',
      'all',
      '1',
      '2',
      'a',
      'w1',
      '#',
      '\n',
      log.vkey,
    );
    fc.assert(
      fc.property(fc.array(word, { maxLength: 30 }), (words) => {
        try {
          const policy = parsePolicy(words.join(' '));
          expect(typeof meetsQuorum(policy, new Set())).toBe('boolean');
        } catch (error) {
          expect(error).toBeInstanceOf(BoundaryError);
        }
      }),
    );
  });
});
