import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sha256Hex } from '../../daemon/formats/digest.ts';
import {
  type EvidenceIndex,
  formatIndex,
  formatSums,
  isMemberName,
  parseIndex,
  parseSums,
} from '../../daemon/formats/evidence.ts';
import { codeOf } from '../codes.ts';

const index: EvidenceIndex = {
  v: 1,
  type: 'holdfast/evidence/v1',
  site: 'outpost-7.example',
  origin: 'outpost-7.example/ledger',
  decision: 'dec_01990000-0000-7000-8000-000000000000',
  tree_size: 9,
  entries: [
    {
      index: 7,
      role: 'decision',
      type: 'decision.denied',
      stream: 'dec_01990000-0000-7000-8000-000000000000',
    },
  ],
  policy: { update_id: 'ab'.repeat(32), digest: 'cd'.repeat(32), file: 'policy/targets/bundles/x.json' },
  fields: { disclosed: ['psk'], withheld: [], shredded: [] },
  omitted: 0,
  unsearched: 0,
  export: { record: 8, at: '2026-11-21T08:00:00.000Z', by: null, reason: 'audit' },
};

describe('the index', () => {
  it('comes back as it was', () => {
    expect(parseIndex(formatIndex(index))).toEqual(index);
    const bare = { ...index, policy: null, export: null };
    expect(parseIndex(formatIndex(bare))).toEqual(bare);
  });

  it('is refused with any member of another kind, missing or more', () => {
    for (const name of Object.keys(index)) {
      const without = Object.fromEntries(Object.entries(index).filter(([key]) => key !== name));
      expect({ name, code: codeOf(() => parseIndex(Buffer.from(JSON.stringify(without)))) }).toEqual({
        name,
        code: 'evidence.index',
      });
      const other = { ...index, [name]: 1.5 };
      expect({ name, code: codeOf(() => parseIndex(Buffer.from(JSON.stringify(other)))) }).toEqual({
        name,
        code: 'evidence.index',
      });
    }
    expect(codeOf(() => parseIndex(Buffer.from(JSON.stringify({ ...index, more: 1 }))))).toBe(
      'evidence.index',
    );
  });

  it('of any JSON is refused in words', () => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        expect(codeOf(() => parseIndex(Buffer.from(text)))).toMatch(/^(evidence|json)\./);
      }),
    );
  });
});

describe('the list of digests', () => {
  const name = fc
    .stringMatching(/^[A-Za-z0-9][A-Za-z0-9_-]{0,12}(\/[A-Za-z0-9_][A-Za-z0-9_.-]{0,12}){0,3}$/)
    .filter(isMemberName);

  it('comes back as digests', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.tuple(name, fc.uint8Array()), { minLength: 1, selector: ([one]) => one }),
        (files) => {
          const sums = parseSums(formatSums(new Map(files)));
          expect([...sums]).toEqual(files.map(([one, bytes]) => [one, sha256Hex(bytes)]));
        },
      ),
    );
  });

  it.each([
    ['nothing', ''],
    ['no last line end', `${'ab'.repeat(32)}  a`],
    ['one space', `${'ab'.repeat(32)} a\n`],
    ['upper case', `${'AB'.repeat(32)}  a\n`],
    ['binary mode', `${'ab'.repeat(32)} *a\n`],
    ['a name that climbs', `${'ab'.repeat(32)}  ../a\n`],
    ['an absolute name', `${'ab'.repeat(32)}  /a\n`],
    ['a name twice', `${'ab'.repeat(32)}  a\n${'cd'.repeat(32)}  a\n`],
  ])('%s is refused', (_what, text) => {
    expect(codeOf(() => parseSums(Buffer.from(text)))).toBe('evidence.sums');
  });
});
