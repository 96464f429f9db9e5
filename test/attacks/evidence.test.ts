import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ROOT } from '../structure/sources.ts';
import { BESIDE } from './attacks-beside.ts';
import { ON_ENTRIES } from './attacks-on-entries.ts';
import { ON_HISTORY, signAsStranger } from './attacks-on-history.ts';
import { nextAnchor, observe } from './evidence-observers.ts';
import { isSeenOutsideOnly, tableOf } from './evidence-table.ts';
import { onDaemon, Year } from './evidence-world.ts';

/* Anyone with root on the box: who notices what he does, when, and with which code. Every cell of the table is executed. */

const ATTACKS = [...ON_ENTRIES, ...ON_HISTORY, ...BESIDE];
let year: Year;

beforeAll(async () => {
  year = await Year.make();
}, 300_000);
afterAll(() => year?.world.close());

describe('whoever has root', () => {
  it.each(ATTACKS.map((attack) => [attack.what, attack] as const))(
    '%s',
    async (_, { from, second, tamper, notices }) => {
      const loot = year.loot(from, second);
      await tamper(loot, year);
      expect(await observe(year, loot)).toEqual(notices);
    },
    120_000,
  );
});

describe('two histories', () => {
  it('are each intact to an auditor of their own, and not to the two together', async () => {
    const [one, other] = [year.loot('now'), year.loot('september')];
    await onDaemon(other, (client) => year.deny(60, client));
    const trust = ['--trust', year.kept('now.trust')];
    const [true_, false_] = [one, other].map(({ paths }) => ['--ledger', paths.ledger]);
    const anchorOf = join(year.kept('.'), 'other.anchor');
    writeFileSync(anchorOf, nextAnchor(year, other) ?? '');
    for (const ledger of [true_, false_])
      expect((await year.world.holdfast('ledger', 'verify', ...(ledger ?? []), ...trust)).code).toBe(0);
    const held = async (anchor: string, ledger: readonly string[] = [], ...more: string[]) => {
      const { code, stdout } = await year.world.holdfast(
        'anchor',
        'verify',
        anchor,
        ...ledger,
        ...trust,
        ...more,
      );
      return { code, words: stdout.replaceAll(/\s+/g, ' ') };
    };
    expect(await held(year.newestAnchor(), true_)).toMatchObject({ code: 0 });
    expect(await held(anchorOf, false_)).toMatchObject({ code: 0 });
    const crossed = await held(year.newestAnchor(), false_, '--against', one.paths.ledger);
    expect(crossed).toMatchObject({ code: 10 });
    expect(crossed.words).toMatch(/entry \d+ is the first that differs/);
    expect([10, 14]).toContain((await held(anchorOf, true_)).code);
  }, 120_000);

  it('are believed by whoever believes a forged trust file, which does not follow from the true one', async () => {
    const loot = year.loot('now');
    signAsStranger(loot);
    const forged = year.kept('forged.trust');
    await year.done('site', 'export-trust', forged, '--dir', loot.dir);
    const ledger = ['--ledger', loot.paths.ledger, '--trust', forged];
    const code = async (...args: string[]) => (await year.world.holdfast(...args)).code;
    expect(await code('ledger', 'verify', ...ledger)).toBe(0);
    expect(await code('anchor', 'verify', year.newestAnchor(), ...ledger)).toBe(13);
    expect(await code('site', 'check-trust', forged, '--against', year.kept('now.trust'))).toBe(13);
  }, 120_000);

  it('are believed under a trust file from before the key was stolen and changed, but for anchors of after', async () => {
    const loot = year.loot('june');
    await onDaemon(loot, (client) => year.deny(20, client));
    const ledger = ['--ledger', loot.paths.ledger, '--trust', year.kept('june.trust')];
    expect((await year.world.holdfast('ledger', 'verify', ...ledger)).code).toBe(0);
    expect((await year.world.holdfast('anchor', 'verify', year.newestAnchor(), ...ledger)).code).toBe(13);
  }, 120_000);
});

describe('the threat model', () => {
  it('has exactly this table', () => {
    const page = readFileSync(join(ROOT, 'docs/threat-model.md'), 'utf8');
    expect(page).toContain(tableOf(ATTACKS));
  });

  it('says of which attacks only what left the site can tell', () => {
    const outside = ATTACKS.filter(isSeenOutsideOnly);
    expect(outside.length).toBeGreaterThanOrEqual(4);
    // Whatever code it is, it is one of those that say so.
    for (const { notices } of outside) expect(['10', '14']).toContain(notices.anchor);
  });
});
