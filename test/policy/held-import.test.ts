import { cpSync, existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { canonicalBytes } from '../../daemon/formats/canonical-json.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import type { ImportResult } from '../../daemon/policy/import.ts';
import { publish } from '../../sync/repository/publish.ts';
import { person } from '../engine/fixture.ts';
import { temporaryDir } from '../host/temporary.ts';
import { bundleBytes, DAY, NOW, PublisherWorld, SITE } from './publisher-world.ts';
import { SiteWorld } from './site-world.ts';

/** A bundle whose updates wait for carol. */
function heldBytes(version: number): Uint8Array {
  const bundle = JSON.parse(Buffer.from(bundleBytes(version)).toString('utf8')) as JsonObject;
  return canonicalBytes({
    ...bundle,
    activation: { hold: { roles: ['L4'], min_signatures: 1 } },
    principals: {
      carol: { kind: 'human', roles: ['L4'], status: 'active', keys: [{ public_key: person('carol').line }] },
    },
  });
}

/** A site that runs serial 1, which holds what follows. */
async function world(): Promise<{ hq: PublisherWorld; site: SiteWorld; stick: (name: string) => string }> {
  const base = temporaryDir();
  const hq = new PublisherWorld(base);
  hq.publish(1, { bytes: heldBytes(1) });
  const site = new SiteWorld(hq.root);
  expect(await site.import(hq.dir)).toMatchObject({ applied: true, serial: 1 });
  const stick = (name: string): string => {
    const copy = join(base, name);
    cpSync(hq.dir, copy, { recursive: true });
    return copy;
  };
  return { hq, site, stick };
}

const updatesOf = (site: SiteWorld) => readdirSync(join(site.paths.policy, 'updates')).sort();
const idOf = (result: ImportResult) => ('update_id' in result ? result.update_id : '');

describe('an import that is held', () => {
  it('is verified, stored and recorded, and changes nothing', async () => {
    const { hq, site } = await world();
    const before = await site.ask('policy.get');
    hq.publish(2, { bytes: heldBytes(2) });
    const result = await site.import(hq.dir);
    expect(result).toMatchObject({
      applied: false,
      held: true,
      code: 'policy.held',
      serial: 2,
      hold: { missing: ['1 signature by L4 (production: rules in force)'] },
    });
    expect(site.truth().entries.at(-1)).toMatchObject({
      type: 'policy.held',
      data: { who: 'operator:ana', code: 'policy.held', hold: { id: idOf(result) } },
    });
    expect(await site.ask('policy.get')).toEqual({ ...before, newest_offered: idOf(result) });
    expect(updatesOf(site)).toEqual([String(before.update_id), idOf(result)].sort());
    expect(readdirSync(site.paths.inbox)).toEqual([]);
  });

  it('names when the first of its metadata expires', async () => {
    const { hq, site } = await world();
    hq.publish(2, { bytes: heldBytes(2) });
    const result = await site.import(hq.dir);
    expect(result).toMatchObject({ hold: { expires_at: new Date(NOW + 7 * DAY).toISOString() } });
  });

  it('may come again: nothing is stored or recorded twice', async () => {
    const { hq, site } = await world();
    hq.publish(2, { bytes: heldBytes(2) });
    await site.import(hq.dir);
    const [stored, entries] = [site.stored(), site.truth().entries.length];
    expect(await site.import(hq.dir)).toMatchObject({ held: true, unchanged: true, record_id: null });
    expect(site.stored()).toEqual(stored);
    expect(site.truth().entries.length).toBe(entries);
  });

  it('survives a restart with its files', async () => {
    const { hq, site } = await world();
    hq.publish(2, { bytes: heldBytes(2) });
    const result = await site.import(hq.dir);
    const stored = site.stored();
    await site.restart();
    expect(await site.ask('status.get')).toMatchObject({ held_update: { id: idOf(result), serial: 2 } });
    expect(site.stored()).toEqual(stored);
  });

  it('gives way to a newer one, whose files take the place of its own', async () => {
    const { hq, site } = await world();
    hq.publish(2, { bytes: heldBytes(2) });
    const older = await site.import(hq.dir);
    hq.publish(3, { bytes: heldBytes(3) });
    const newer = await site.import(hq.dir);
    expect(newer).toMatchObject({ held: true, serial: 3 });
    expect(updatesOf(site)).not.toContain(idOf(older));
    expect(updatesOf(site)).toContain(idOf(newer));
    const types = site.truth().entries.map(({ type }) => type);
    expect(types.slice(-2)).toEqual(['policy.lapsed', 'policy.held']);
  });

  it('signed anew goes on waiting under its name, until the later date', async () => {
    const { hq, site } = await world();
    hq.publish(2, { bytes: heldBytes(2) });
    const first = await site.import(hq.dir);
    const later = new Date(NOW + 30 * DAY).toISOString().replace('.000', '');
    hq.edit('metadata/timestamp.json', { version: 9, expires: later }, hq.keys.timestamp[0] ?? null);
    const again = await site.import(hq.dir);
    expect(idOf(again)).not.toBe(idOf(first));
    expect(again).toMatchObject({ held: true, hold: { id: idOf(first) } });
    expect(updatesOf(site)).not.toContain(idOf(first));
    expect(site.truth().entries.filter(({ type }) => type === 'policy.lapsed')).toEqual([]);
  });
});

describe('while an update waits', () => {
  it('nothing older gets in, though it is newer than what is in force', async () => {
    const { hq, site, stick } = await world();
    hq.publish(2, { bytes: heldBytes(2) });
    const between = stick('between');
    hq.publish(3, { bytes: heldBytes(3) });
    await site.import(hq.dir);
    await site.refuses('update.rolled_back', () => site.import(between));
    expect(await site.ask('status.get')).toMatchObject({ held_update: { serial: 3 } });
  });

  it('a key that it takes away signs nothing any more, though the update is not in force', async () => {
    const { hq, site, stick } = await world();
    hq.publish(2, { bytes: heldBytes(2) });
    const stolen = stick('stolen');
    const thief = hq.keys;
    const keys = {
      root: thief.root,
      targets: [hq.newKey('targets-2')],
      snapshot: [hq.newKey('snapshot-2')],
      timestamp: [hq.newKey('timestamp-2')],
    };
    hq.rotate(2, keys, thief.root);
    hq.keys = keys;
    hq.publish(3, { bytes: heldBytes(3) });
    expect(await site.import(hq.dir)).toMatchObject({ held: true, serial: 3 });
    // What the thief can make with the old keys looks newer than everything, and leaves the new root out.
    for (const version of [7, 8, 9])
      publish(stolen, {
        bundle: { name: 'base', version, bytes: heldBytes(version) },
        site: SITE,
        environments: ['production'],
        signers: thief,
        lifetimes: { root: 3_650, targets: 90, snapshot: 30, timestamp: 7 },
        now: NOW,
      });
    await site.refuses('update.bad_signature', () => site.import(stolen));
  });

  it('the update in force may come again, to repair what was damaged', async () => {
    const { hq, site, stick } = await world();
    const first = stick('first');
    const policy = (await site.ask('policy.get')) as { environments: { digest: string }[] };
    hq.publish(2, { bytes: heldBytes(2) });
    await site.import(hq.dir);
    const file = join(site.paths.policy, 'bundles', `${policy.environments[0]?.digest}.json`);
    await site.restart(() => writeFileSync(file, '{}'));
    expect(await site.ask('policy.get')).toMatchObject({ environments: [{ loaded: false }] });
    expect(await site.import(first)).toMatchObject({ applied: true, unchanged: true });
    expect(await site.ask('policy.get')).toMatchObject({ environments: [{ loaded: true }] });
    expect(await site.ask('status.get')).toMatchObject({ held_update: { serial: 2 } });
  });

  it('one that expired on the way is refused like any other', async () => {
    const { hq, site } = await world();
    hq.publish(2, { bytes: heldBytes(2) });
    await site.import(hq.dir);
    site.clock.advance(8 * DAY);
    await site.refuses('update.expired', () => site.import(hq.dir));
    expect(existsSync(join(site.paths.policy, 'updates'))).toBe(true);
  });
});
