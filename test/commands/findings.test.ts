import { expect, test } from 'vitest';
import { renderFindings } from '../../daemon/commands/render/findings.ts';
import { type Finding, Findings, tampered } from '../../daemon/ledger/finding.ts';

const root = (size: number): Finding =>
  tampered(
    'checkpoint',
    `checkpoints[${size}]`,
    `the first ${size} entries do not have the root that was signed`,
  );
const words = (findings: Finding[], total = findings.length) => renderFindings({ findings, total });

test('what one edited entry puts in the wrong is one line', () => {
  const edited = tampered('entry', 'entries[7]', 'its bytes are not those that were signed', 7);
  const text = words([edited, ...[8, 9, 12, 30].map(root), tampered('projection', 'streams', 'wrong')], 90);
  expect(text.match(/root that was signed/g)).toHaveLength(1);
  expect(text.replaceAll(/\s+/g, ' ')).toContain(
    'checkpoints[8] … checkpoints[30] 4 checkpoints: the first n entries do not have the root that was signed',
  );
  expect(text).toContain('entries[7]');
  expect(text).toContain('streams');
  // Six findings stand in those lines.
  expect(text).toContain('… and 84 more findings');
});

test('few, different ones, and those about entries stand for themselves', () => {
  expect(words([root(1), root(2)]).match(/root that was signed/g)).toHaveLength(2);
  const entries = [1, 2, 3, 4].map((at) => tampered('entry', `entries[${at}]`, 'the entry is missing', at));
  expect(words(entries).match(/is missing/g)).toHaveLength(4);
  const other: Finding = { ...root(3), code: 13 };
  expect(words([root(1), other, root(4)])).not.toContain('3 checkpoints');
});

test('numbers that they share are kept', () => {
  const by = (size: number) =>
    tampered('checkpoint', `checkpoints[${size}]`, `key 9 of site-7 signed ${size}`);
  expect(words([1, 2, 3].map(by))).toContain('3 checkpoints: key 9 of site-7 signed n');
});

test('those that are only counted are of account for the code', () => {
  const findings = new Findings();
  findings.addUnnamed(14);
  expect([findings.code(), findings.total, findings.kept]).toEqual([14, 1, []]);
});
