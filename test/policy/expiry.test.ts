import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { CeremonyWorld } from '../sync/ceremony-world.ts';
import { copyOf, offer } from './hostile-world.ts';
import { DAY, NOW } from './publisher-world.ts';
import { SiteWorld } from './site-world.ts';

/* Freshness through real imports: expired metadata is never activated, and the last good policy is never thrown away. */

type Freshness = { step: string; next: { step: string } | null };

async function policyOf(
  site: SiteWorld,
): Promise<{ version: string; freshness: Freshness; loaded: unknown }> {
  const status = await site.ask('status.get');
  const { environments } = status.policy as unknown as {
    environments: { version: string; freshness: Freshness }[];
  };
  const { environments: loaded } = (await site.ask('policy.get')) as unknown as {
    environments: { loaded: boolean }[];
  };
  const [production] = environments;
  if (production === undefined) throw new Error('production has no policy');
  return { ...production, loaded: loaded[0]?.loaded };
}

describe('a site that hears nothing', () => {
  it('keeps the last good policy when all of its metadata has expired, and says how old it is', async () => {
    const { site, good } = await offer();
    for (const [days, step] of [
      [1, 'fresh'],
      [8, 'warn'],
      [15, 'escalate'],
      [46, 'deny'],
      [4_000, 'deny'],
    ] as const) {
      await site.restart(() => site.clock.advance(NOW + days * DAY - site.clock.now()));
      expect(await policyOf(site)).toMatchObject({ version: 'base@1', loaded: true, freshness: { step } });
    }
    // What came too late is not the rescue, and takes nothing away.
    await site.refuses('update.expired', () => site.import(good));
    expect(await policyOf(site)).toMatchObject({ version: 'base@1', loaded: true });
    expect((await site.ask('status.get')).ready).toBe(true);
  });

  it('is current again with what headquarters signs now, whatever expired meanwhile', async () => {
    const hq = new CeremonyWorld();
    hq.propose(1);
    hq.ceremony(['alice', 'bob']);
    const site = new SiteWorld(hq.root);
    await site.import(copyOf(hq));
    const later = NOW + 200 * DAY;
    await site.restart(() => site.clock.advance(200 * DAY));
    expect((await policyOf(site)).freshness.step).toBe('deny');
    hq.propose(2, { now: later });
    hq.ceremony(['alice', 'bob'], { now: later });
    const result = await site.import(copyOf(hq));
    expect(result).toMatchObject({ applied: true });
    expect(await policyOf(site)).toMatchObject({ version: 'base@2', freshness: { step: 'fresh' } });
    site.truth();
  });

  it('takes the update in force again, after it expired, for what it is: expired', async () => {
    const { site, first } = await offer();
    const before = (await site.ask('policy.get')) as JsonObject;
    site.clock.advance(46 * DAY);
    await site.refuses('update.expired', () => site.import(first));
    expect(await site.ask('policy.get')).toEqual(before);
  });

  it('gets back from its expired medium what was damaged on disk, and nothing else', async () => {
    const { site, first, good } = await offer();
    const whole = site.stored();
    await site.restart(() => {
      site.clock.advance(46 * DAY);
      const bundles = join(site.paths.policy, 'bundles');
      for (const name of readdirSync(bundles)) writeFileSync(join(bundles, name), '{}');
    });
    expect((await site.ask('status.get')).ready).toBe(false);
    await site.refuses('update.expired', () => site.import(good));
    expect(await site.import(first)).toMatchObject({ applied: true, unchanged: true });
    expect(await site.ask('status.get')).toMatchObject({ ready: true });
    expect(site.stored()).toEqual(whole);
    await site.refuses('update.expired', () => site.import(first));
  });
});
