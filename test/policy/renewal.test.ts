import { cpSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseVkey } from '../../daemon/formats/signed-note.ts';
import { proposeKeys, proposeRevocation } from '../../sync/repository/propose.ts';
import { refresh } from '../../sync/repository/refresh.ts';
import { namedKey } from '../../sync/repository/roles.ts';
import { temporaryDir } from '../host/temporary.ts';
import type { CeremonyWorld } from '../sync/ceremony-world.ts';
import { copyOf, type Offer, offer } from './hostile-world.ts';
import { DAY } from './publisher-world.ts';

/* Signed anew, and nothing that the site runs is another: a key was taken away, a date was set, another site got policy. */

/** The second update is in force; headquarters is where it was then. */
async function inForce(): Promise<Offer> {
  const o = await offer();
  expect(await o.site.import(o.good)).toMatchObject({ applied: true, unchanged: false, serial: 2 });
  return o;
}

const keyOf = (hq: CeremonyWorld, name: string) => namedKey(parseVkey(hq.key(name).vkey));

function refreshed(hq: CeremonyWorld, now: number): string {
  refresh(hq.dir, { signers: [hq.key('online')], now });
  return copyOf(hq);
}

const updates = ({ site }: Offer): string[] => readdirSync(join(site.paths.policy, 'updates'));

describe('what is signed anew', () => {
  it('is no refusal: the site goes on as it was, and remembers the newer signatures', async () => {
    const o = await inForce();
    const { hq, site } = o;
    const before = await site.ask('policy.get');
    const stick = refreshed(hq, hq.now + DAY);
    const result = await site.import(stick);
    expect(result).toMatchObject({ applied: true, unchanged: true, renewed: true, serial: 2 });
    const { entries } = site.truth();
    expect(entries.at(-1)).toMatchObject({
      type: 'policy.applied',
      data: { renews: before.update_id, environments: { production: { version: 2 } } },
    });
    const { repository, environments } = await site.ask('policy.get');
    expect(environments).toEqual(before.environments);
    expect(repository).toMatchObject({ timestamp: Number(Object(before.repository).timestamp) + 1 });
    // The same again is nothing at all, and what was good before is now too old.
    expect(await site.import(stick)).toMatchObject({ applied: true, unchanged: true, record_id: null });
    expect(site.truth().entries.length).toBe(entries.length);
    await site.refuses('update.rolled_back', () => site.import(o.good));
    await site.restart();
    await site.refuses('update.rolled_back', () => site.import(o.good));
  });

  it('leaves the update that put it in force in the store, and no more than one beside it', async () => {
    const o = await inForce();
    const before = updates(o);
    for (let day = 1; day <= 4; day++) {
      expect(await o.site.import(refreshed(o.hq, o.hq.now + day * DAY))).toMatchObject({ renewed: true });
      expect(updates(o)).toHaveLength(before.length + 1);
    }
    expect(updates(o)).toEqual(expect.arrayContaining(before));
    o.hq.propose(3);
    o.hq.ceremony(['alice', 'bob', 'nora']);
    expect(await o.site.import(copyOf(o.hq))).toMatchObject({ unchanged: false, serial: 3 });
  });

  it('is how a stolen key stops counting: revoked without any new policy, it authorizes nothing more', async () => {
    const o = await inForce();
    const { hq, site } = o;
    const weaker = forked(hq, ['bob', 'carol', 'nora']);
    proposeRevocation(hq.dir, { key: 'bob', replacement: [keyOf(hq, 'dora')], now: hq.now });
    // Nobody has published policy since: the file of the site is the one that is in force.
    hq.ceremony(['alice', 'carol']);
    expect(await site.import(copyOf(hq))).toMatchObject({ renewed: true, serial: 2 });
    expect((await site.ask('policy.get')).repository).toMatchObject({ root: 2 });
    await site.refuses('update.bad_signature', () => site.import(weaker));
  });

  it('is how a region’s stolen key stops counting: the list that it may sign is too old', async () => {
    const o = await inForce();
    const { hq, site } = o;
    const old = forked(hq, [], 0);
    proposeKeys(hq.dir, {
      role: 'north',
      now: hq.now,
      change: () => ({ keys: [keyOf(hq, 'nils')], threshold: 1 }),
    });
    hq.ceremony(['alice', 'bob', 'nils']);
    expect(await site.import(copyOf(hq))).toMatchObject({ renewed: true, serial: 2 });
    await site.refuses('update.rolled_back', () => site.import(old));
  });

  it('is not taken from two repositories of the same versions: nobody could verify that again', async () => {
    const o = await inForce();
    const { hq, site } = o;
    const other = forked(hq, ['alice', 'bob', 'nora'], 1);
    hq.propose(4);
    hq.ceremony(['alice', 'bob', 'nora']);
    expect(await site.import(copyOf(hq))).toMatchObject({ unchanged: false, serial: 3 });
    await site.refuses('update.damaged', () => site.import(other));
  });
});

/** What these people, with the online key, publish that many times, while headquarters goes on without it. */
function forked(hq: CeremonyWorld, names: readonly string[], times = 2): string {
  const kept = join(temporaryDir(), 'hq');
  cpSync(hq.dir, kept, { recursive: true });
  for (let version = 3; version < 3 + times; version++) {
    hq.propose(version);
    hq.ceremony(names);
  }
  for (let again = 0; again < 3; again++) refresh(hq.dir, { signers: [hq.key('online')], now: hq.now });
  const fork = copyOf(hq);
  rmSync(hq.dir, { recursive: true });
  cpSync(kept, hq.dir, { recursive: true });
  return fork;
}
