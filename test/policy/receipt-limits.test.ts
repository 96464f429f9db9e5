import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalBytes } from '../../daemon/formats/canonical-json.ts';
import { signEnvelope } from '../../daemon/formats/dsse.ts';
import { RECEIPT_TYPE } from '../../daemon/formats/receipt.ts';
import { pruneReceipts, type ReceiptLimits } from '../../daemon/policy/receipt-limits.ts';
import { receiptName } from '../../daemon/policy/receipts.ts';
import { temporaryDir } from '../host/temporary.ts';
import { SITE } from './publisher-world.ts';

const WIDE: ReceiptLimits = { files: 1_000, bytes: 1_000_000, others: 1_000 };

function lay(outbox: string, index: number, result: string, padding = 0): string {
  const payload = canonicalBytes({ v: 1, result, record_id: index, padding: 'x'.repeat(padding) });
  const text = signEnvelope(RECEIPT_TYPE, payload, [{ keyid: 'k', sign: () => new Uint8Array(64) }]);
  const name = receiptName(SITE, index);
  writeFileSync(join(outbox, name), text);
  return name;
}

describe('receipts in the outbox', () => {
  it('are dropped oldest first, refusals before what came into force', () => {
    const outbox = temporaryDir();
    const results = ['applied', 'refused', 'applied', 'refused', 'refused', 'applied', 'refused'];
    const names = results.map((result, n) => lay(outbox, n + 1, result));
    expect(pruneReceipts(outbox, { ...WIDE, others: 2 })).toEqual([names[1], names[3]]);
    expect(pruneReceipts(outbox, { ...WIDE, files: 3 })).toEqual([names[4], names[0]]);
    // The newest of all and the newest that was applied stay, whatever the limits are.
    expect(pruneReceipts(outbox, { files: 0, bytes: 0, others: 0 })).toEqual([names[2]]);
    expect(readdirSync(outbox).sort()).toEqual([names[5], names[6]].sort());
  });

  it('are told by number, not by name: the tenth is newer than the ninth', () => {
    const outbox = temporaryDir();
    const [ninth] = [9, 10, 11].map((index) => lay(outbox, index, 'refused'));
    expect(pruneReceipts(outbox, { ...WIDE, others: 2 })).toEqual([ninth]);
  });

  it('stay within the limits, and what is pinned stays with them', () => {
    const kinds = fc.constantFrom('applied', 'refused', 'held', 'lapsed');
    fc.assert(
      fc.property(
        fc.array(fc.tuple(kinds, fc.nat(3_000)), { minLength: 1, maxLength: 30 }),
        fc.record({ files: fc.nat(12), bytes: fc.nat(30_000), others: fc.nat(8) }),
        (made, limits) => {
          const outbox = temporaryDir();
          const names = made.map(([result, padding], n) => lay(outbox, n + 1, result, padding));
          const dropped = new Set(pruneReceipts(outbox, limits));
          const kept = made
            .map((one, n) => ({ one, name: names[n] ?? '' }))
            .filter(({ name }) => !dropped.has(name));
          expect(readdirSync(outbox)).toHaveLength(kept.length);
          const newestApplied = made.findLastIndex(([result]) => result === 'applied');
          for (const pinned of [names.at(-1), names[newestApplied]])
            if (pinned !== undefined) expect(dropped).not.toContain(pinned);
          expect(kept.length).toBeLessThanOrEqual(Math.max(limits.files, 2));
          expect(kept.filter(({ one: [result] }) => result !== 'applied').length).toBeLessThanOrEqual(
            Math.max(limits.others, 1),
          );
        },
      ),
      { numRuns: 60 },
    );
  });

  it('are all that is touched: anchors, folders, links and files of other names stay', () => {
    const outbox = temporaryDir();
    for (let index = 1; index <= 5; index++) lay(outbox, index, 'refused');
    writeFileSync(join(outbox, 'anchor-7.json'), 'x');
    mkdirSync(join(outbox, 'receipt-folder-3.json'));
    symlinkSync('/etc/passwd', join(outbox, 'receipt-link-1.json'));
    expect(pruneReceipts(outbox, { ...WIDE, files: 0, others: 0 })).toHaveLength(4);
    expect(readdirSync(outbox).sort()).toEqual(
      ['anchor-7.json', 'receipt-folder-3.json', 'receipt-link-1.json', receiptName(SITE, 5)].sort(),
    );
  });
});

describe('the name of a receipt', () => {
  it('can be carried, however long the site’s is, and is different for different sites', () => {
    const long = (tail: string): string => `${'a'.repeat(190)}.${tail}`;
    const names = [receiptName(long('one'), 123_456_789), receiptName(long('two'), 123_456_789)];
    for (const name of names) {
      expect(name.length).toBeLessThanOrEqual(189);
      expect(name).toMatch(/^[A-Za-z0-9][A-Za-z0-9._-]*$/);
    }
    expect(new Set(names).size).toBe(2);
    expect(receiptName(SITE, 3)).toBe(`receipt-${SITE}-3.json`);
  });
});
