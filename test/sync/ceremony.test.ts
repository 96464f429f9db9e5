import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BoundaryError } from '../../daemon/formats/boundary-error.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { composePublication } from '../../sync/repository/finish.ts';
import { keyOf } from '../../sync/repository/keys.ts';
import {
  proposeKeys,
  proposeRenewal,
  proposeReturn,
  proposeRevocation,
} from '../../sync/repository/propose.ts';
import { refresh } from '../../sync/repository/refresh.ts';
import { reportOf } from '../../sync/repository/report.ts';
import { assertBefore, mergeSignatures } from '../../sync/repository/signatures.ts';
import { discardStaging, readStaging, stagedFiles } from '../../sync/repository/staging.ts';
import { describeStaged } from '../../sync/repository/words.ts';
import { codeOf, codeOfLater } from '../codes.ts';
import { temporaryDir } from '../host/temporary.ts';
import { DAY, NOW, SITE } from '../policy/publisher-world.ts';
import { CeremonyWorld } from './ceremony-world.ts';

const words = (world: CeremonyWorld): string =>
  stagedFiles(readStaging(world.staging))
    .flatMap((file) =>
      describeStaged(readStaging(world.staging), file, (before, after) => [
        `CHANGE ${before?.metadata.version ?? 'none'} to ${after.metadata.version}`,
      ]),
    )
    .join('\n');

describe('a ceremony', () => {
  it('publishes what two of three have signed, on copies, merged in any order', async () => {
    const world = new CeremonyWorld();
    expect(world.propose(1)).toMatchObject({ serial: 1, region: null });
    const sticks = ['carol', 'bob'].map((name) => {
      const copy = world.stick();
      world.sign(name, copy);
      return copy;
    });
    expect(codeOf(() => world.finish())).toBe('finish.not_signed');
    for (const stick of sticks.reverse())
      expect(mergeSignatures(readStaging(world.staging), readStaging(stick))).toBe(1);
    // A second time brings nothing.
    expect(mergeSignatures(readStaging(world.staging), readStaging(sticks[0] ?? ''))).toBe(0);
    expect(world.finish().versions).toEqual({ root: 1, targets: 2, snapshot: 2, timestamp: 2 });
    expect((await world.verify()).siteTarget.serial).toBe(1);
  });

  it('changes nothing that readers see before it is finished', () => {
    const world = new CeremonyWorld();
    const before = readdirSync(world.repository, { recursive: true });
    world.propose(1);
    world.sign('alice');
    expect(readdirSync(world.repository, { recursive: true })).toEqual(before);
    expect(codeOf(() => world.finish())).toBe('finish.not_signed');
    expect(readdirSync(world.repository, { recursive: true })).toEqual(before);
  });

  it('does not count one signer twice, nor somebody who is no signer', () => {
    const world = new CeremonyWorld();
    world.propose(1);
    world.sign('alice');
    expect(codeOf(() => world.sign('alice'))).toBe('sign.not_a_signer');
    expect(codeOf(() => world.sign('mallory'))).toBe('sign.not_a_signer');
    expect(codeOf(() => world.finish())).toBe('finish.not_signed');
  });

  it('takes several changes before the first signature and none after it', async () => {
    const world = new CeremonyWorld();
    world.propose(1);
    world.propose(1, { environments: ['staging'] });
    world.sign('alice');
    expect(codeOf(() => world.propose(2))).toBe('staging.signed');
    world.sign('bob');
    world.finish();
    const { environments } = (await world.verify()).siteTarget;
    expect(Object.keys(environments).sort()).toEqual(['production', 'staging']);
  });

  it('takes no signature from a copy that says something else', () => {
    const world = new CeremonyWorld();
    world.propose(1);
    const stick = world.stick();
    world.sign('alice', stick);
    discardStaging(world.staging);
    world.propose(2);
    expect(codeOf(() => mergeSignatures(readStaging(world.staging), readStaging(stick)))).toBe(
      'merge.differs',
    );
  });

  it('takes no broken signature from a copy', () => {
    const world = new CeremonyWorld();
    world.propose(1);
    const stick = world.stick();
    world.sign('alice', stick);
    const path = join(stick, 'metadata', '2.targets.json');
    const text = readFileSync(path, 'utf8');
    writeFileSync(
      path,
      text.replace(/"sig": "(..)/, (_all, two: string) => `"sig": "${two === '00' ? '11' : '00'}`),
    );
    expect(mergeSignatures(readStaging(world.staging), readStaging(stick))).toBe(0);
  });

  it('believes the repository, not the staging area, about who may sign', () => {
    const world = new CeremonyWorld();
    const other = new CeremonyWorld();
    world.propose(1);
    for (const file of ['1.root.json', '1.targets.json'])
      cpSync(join(other.repository, 'metadata', file), join(world.staging, 'before', 'metadata', file));
    for (const name of ['alice', 'bob']) {
      try {
        world.sign(name);
      } catch {
        // With a foreign root beside it nobody here is a signer.
      }
    }
    expect(codeOf(() => world.finish())).toBe('finish.not_signed');
  });

  it('refuses to publish what does not follow what is published', () => {
    const world = new CeremonyWorld();
    world.propose(1);
    const stick = world.stick();
    world.ceremony(['alice', 'bob']);
    world.propose(2);
    world.ceremony(['alice', 'bob']);
    cpSync(stick, world.staging, { recursive: true });
    for (const name of ['alice', 'bob']) world.sign(name);
    expect(codeOf(() => world.finish())).toBe('finish.outdated');
  });

  it('is whole for readers at every moment of being finished, and can be finished again', async () => {
    const world = new CeremonyWorld();
    world.propose(1);
    world.ceremony(['alice', 'bob']);
    proposeKeys(world.dir, {
      role: 'targets',
      change: () => world.role(['alice', 'bob', 'dave'], 2),
      now: NOW,
    });
    world.propose(2);
    for (const name of ['alice', 'bob', 'dave']) {
      try {
        world.sign(name);
      } catch {
        // Dave is no root signer; what he may sign he signs.
      }
    }
    const publication = composePublication(world.dir, { signers: [world.key('online')], now: NOW });
    const files = [...publication.files];
    for (let written = 0; written <= files.length; written++) {
      const cut = join(temporaryDir(), 'hq');
      cpSync(world.dir, cut, { recursive: true });
      for (const [name, bytes] of files.slice(0, written)) {
        mkdirSync(dirname(join(cut, 'repository', name)), { recursive: true });
        writeFileSync(join(cut, 'repository', name), bytes);
      }
      const repositoryDir = join(cut, 'repository');
      const { serial } = (await world.verify({ repositoryDir })).siteTarget;
      expect([1, 2]).toContain(serial);
      const again = composePublication(cut, { signers: [world.key('online')], now: NOW });
      for (const [name, bytes] of again.files) {
        mkdirSync(dirname(join(repositoryDir, name)), { recursive: true });
        writeFileSync(join(repositoryDir, name), bytes);
      }
      const update = await world.verify({ repositoryDir });
      expect([update.siteTarget.serial, update.versions.root]).toEqual([2, 2]);
    }
  });
});

describe('words before a signature', () => {
  it('name the keys, the thresholds and what becomes weaker', () => {
    const world = new CeremonyWorld();
    proposeKeys(world.dir, { role: 'root', change: () => world.role(['alice', 'dave'], 1), now: NOW });
    expect(words(world)).toMatch(/root version 2, valid until 2028/);
    expect(words(world)).toMatch(/root: 1 of 2 must sign \(so far 2 of 3\)/);
    expect(words(world)).toMatch(/from now on: dave/);
    expect(words(world)).toMatch(/no longer: bob/);
    expect(words(world)).toMatch(/no longer: carol/);
    expect(words(world)).toMatch(/FEWER signatures/);
  });

  it('name site, environment, versions and the policy’s change', () => {
    const world = new CeremonyWorld();
    world.propose(1);
    world.ceremony(['alice', 'bob']);
    world.propose(2, { environments: ['production', 'staging'] });
    expect(words(world)).toMatch(/outpost-7\.example: serial 1 → 2/);
    expect(words(world)).toMatch(/production: base@1 → base@2[\s\S]*CHANGE 1 to 2/);
    expect(words(world)).toMatch(/staging: nothing → base@2[\s\S]*CHANGE none to 2/);
  });

  it('are not given for a target that is not the one to be signed', () => {
    const world = new CeremonyWorld();
    world.propose(1);
    const dir = join(world.staging, 'targets', 'bundles', 'base');
    const [name] = readdirSync(dir);
    writeFileSync(join(dir, name ?? ''), '{}');
    expect(codeOf(() => words(world))).toBe('staging.target_differs');
    rmSync(join(dir, name ?? ''));
    expect(codeOf(() => words(world))).toBe('sign.not_as_shown');
  });

  it.each([
    [
      'a member that no word speaks of',
      '2.targets.json',
      (s: JsonObject) => Object.assign(s, { 'x-more': 1 }),
    ],
    [
      'a remark on a file',
      '2.targets.json',
      (s: JsonObject) => {
        for (const info of Object.values(s.targets as JsonObject))
          Object.assign(info as JsonObject, { custom: { a: 1 } });
      },
    ],
    [
      'the stamp of a dev publisher',
      '2.root.json',
      (s: JsonObject) => Object.assign(s, { 'x-holdfast-profile': 'dev' }),
    ],
    [
      'one snapshot for all',
      '2.root.json',
      (s: JsonObject) => Object.assign(s, { consistent_snapshot: false }),
    ],
    [
      'a key of no role',
      '2.root.json',
      (s: JsonObject) => {
        const keys = s.keys as JsonObject;
        Object.assign(keys, { [keyOf(new CeremonyWorld().key('mallory')).keyID]: Object.values(keys)[0] });
      },
    ],
  ])('are not given for a file that says more: %s', (_what, file, change) => {
    const world = new CeremonyWorld();
    world.propose(1);
    proposeKeys(world.dir, { role: 'root', change: () => world.role(['alice', 'dave'], 1), now: NOW });
    const path = join(world.staging, 'metadata', file);
    const metadata = JSON.parse(readFileSync(path, 'utf8')) as { signed: JsonObject };
    expect(words(world)).toMatch(/targets version 2/);
    change(metadata.signed);
    writeFileSync(path, JSON.stringify(metadata));
    expect(codeOf(() => words(world))).toBe('sign.not_as_shown');
  });

  it('compare only with what was really signed', () => {
    const world = new CeremonyWorld();
    world.propose(1);
    assertBefore(readStaging(world.staging));
    const path = join(world.staging, 'before', 'metadata', '1.targets.json');
    writeFileSync(path, readFileSync(path, 'utf8').replace(/"expires": "20/, '"expires": "21'));
    expect(codeOf(() => assertBefore(readStaging(world.staging)))).toBe('staging.untrue');
  });
});

describe('rotation', () => {
  it('follows several roots from one stick, whoever signed them', async () => {
    const world = new CeremonyWorld();
    world.propose(1);
    world.ceremony(['alice', 'bob']);
    proposeKeys(world.dir, { role: 'root', change: () => world.role(['dave', 'erin'], 2), now: NOW });
    expect(codeOf(() => world.ceremony(['dave', 'erin']))).toBe('finish.not_signed');
    expect(codeOf(() => world.ceremony(['alice']))).toBe('finish.not_signed');
    world.ceremony(['carol']);
    proposeKeys(world.dir, {
      role: 'root',
      change: () => world.role(['frank', 'grace', 'heidi'], 2),
      now: NOW,
    });
    world.ceremony(['dave', 'erin', 'grace', 'heidi']);
    const update = await world.verify();
    expect(update.versions.root).toBe(3);
    expect([...update.files.keys()].filter((name) => name.endsWith('root.json'))).toHaveLength(3);
  });

  it('is followed by a site that was away for a year, and judged by the last root alone', async () => {
    const world = new CeremonyWorld();
    world.propose(1);
    world.ceremony(['alice', 'bob']);
    const trustedMetadataDir = join(temporaryDir(), 'metadata');
    cpSync(join(world.repository, 'metadata'), trustedMetadataDir, { recursive: true });
    const pinned = world.root;
    for (const [day, signers, next] of [
      [300, ['alice', 'bob'], ['dave', 'erin']],
      [700, ['dave', 'erin'], ['frank', 'grace']],
    ] as const) {
      const now = NOW + day * DAY;
      proposeKeys(world.dir, { role: 'root', change: () => world.role(next, 2), now });
      world.ceremony([...signers, ...next], { now });
    }
    const now = NOW + 800 * DAY;
    world.propose(2, { now });
    world.ceremony(['alice', 'carol'], { now });
    const update = await world.verify({ now, trustedRoot: pinned, trustedMetadataDir });
    expect([update.versions.root, update.siteTarget.serial]).toEqual([3, 2]);
    const late = NOW + (700 + 731) * DAY;
    expect(await codeOfLater(world.verify({ now: late, trustedRoot: pinned }))).toBe('update.expired');
  });

  it.each([['targets'], ['snapshot'], ['timestamp']] as const)(
    'of all keys of %s leaves nothing to the old ones',
    async (role) => {
      const world = new CeremonyWorld();
      world.propose(1);
      world.ceremony(['alice', 'bob']);
      const names = role === 'targets' ? ['dave', 'erin'] : ['online-2'];
      proposeKeys(world.dir, { role, change: () => world.role(names, names.length), now: NOW });
      const online = role === 'targets' ? ['online'] : ['online', 'online-2'];
      world.ceremony(['alice', 'bob', ...(role === 'targets' ? names : [])], { online });
      expect((await world.verify()).versions.root).toBe(2);
      world.propose(2);
      if (role === 'targets') {
        expect(codeOf(() => world.sign('alice'))).toBe('sign.not_a_signer');
        world.ceremony(names);
      } else {
        for (const name of ['alice', 'bob']) world.sign(name);
        expect(codeOf(() => world.finish())).toBe('chain.not_signed');
        world.finish({ online: ['online', 'online-2'] });
      }
      expect((await world.verify()).siteTarget.serial).toBe(2);
    },
  );

  it('lets nobody set a threshold that cannot be met, or put one key in twice', () => {
    const world = new CeremonyWorld();
    const change = (names: string[], threshold: number) => () =>
      proposeKeys(world.dir, { role: 'root', change: () => world.role(names, threshold), now: NOW });
    expect(codeOf(change(['alice', 'bob'], 3))).toBe('role.threshold');
    expect(codeOf(change(['alice', 'alice'], 2))).toBe('role.threshold');
    expect(codeOf(change([], 1))).toBe('role.threshold');
  });
});

describe('revocation', () => {
  it('takes a key out of everything at once, and what it signed is signed again', async () => {
    const world = new CeremonyWorld();
    world.delegate('north', [SITE], ['bob', 'nora']);
    world.propose(1);
    world.ceremony(['alice', 'bob', 'nora']);
    const replacement = world.role(['dave'], 1).keys;
    expect(proposeRevocation(world.dir, { key: 'bob', replacement, now: NOW }).roles).toEqual([
      'root',
      'targets',
      'north',
    ]);
    for (const name of ['alice', 'carol', 'dave', 'nora']) world.sign(name);
    world.finish();
    const update = await world.verify();
    expect(update.versions).toMatchObject({ root: 2, targets: 3 });
    const { published } = reportOf(world.dir);
    expect(published?.roles.flatMap(({ keys }) => keys.map(({ name }) => name))).not.toContain('bob');
    world.propose(2);
    expect(codeOf(() => world.sign('bob'))).toBe('sign.not_a_signer');
  });

  it('says when too few would be left', () => {
    const world = new CeremonyWorld();
    world.delegate('north', [SITE], ['nora']);
    world.ceremony(['alice', 'bob', 'nora']);
    const revoke = (key: string) => () => proposeRevocation(world.dir, { key, replacement: [], now: NOW });
    expect(codeOf(revoke('nora'))).toBe('role.threshold');
    expect(codeOf(revoke('nobody'))).toBe('key.unknown');
    expect(codeOf(revoke('carol'))).toBe('accepted');
  });

  it('of the online key recovers sites that were led astray with it', async () => {
    const world = new CeremonyWorld();
    world.propose(1);
    world.ceremony(['alice', 'bob']);
    // The thief publishes far ahead; the site accepts, and keeps it.
    const stolen = join(temporaryDir(), 'hq');
    cpSync(world.dir, stolen, { recursive: true });
    for (let i = 0; i < 5; i++) refresh(stolen, { signers: [world.key('online')], now: NOW });
    const trustedMetadataDir = join(stolen, 'repository', 'metadata');
    expect(await codeOfLater(world.verify({ trustedMetadataDir }))).toBe('update.rolled_back');
    const replacement = world.role(['online-2'], 1).keys;
    proposeRevocation(world.dir, { key: 'online', replacement, now: NOW });
    world.ceremony(['alice', 'bob'], { online: ['online-2'] });
    expect(await codeOfLater(world.verify({ trustedMetadataDir }))).toBe('accepted');
    expect(codeOf(() => refresh(world.dir, { signers: [world.key('online')], now: NOW }))).toBe(
      'chain.not_signed',
    );
  });
});

describe('a region', () => {
  it('signs for its sites, while bundles stay with the targets keys', async () => {
    const world = new CeremonyWorld();
    world.propose(1);
    world.ceremony(['alice', 'bob']);
    world.delegate('north', [SITE], ['nora', 'nils']);
    world.ceremony(['alice', 'bob', 'nora', 'nils']);
    // The file moved along, with its serial.
    expect((await world.verify()).siteTarget.serial).toBe(1);
    expect(world.propose(2)).toMatchObject({ serial: 2, region: 'north' });
    world.sign('nora');
    expect(codeOf(() => world.finish())).toBe('finish.not_signed');
    world.ceremony(['nils', 'carol', 'bob']);
    const update = await world.verify();
    expect(update.siteTarget.serial).toBe(2);
    expect([...update.files.keys()]).toContain('metadata/2.north.json');
    expect((await world.verify({ files: update.files })).updateId).toBe(update.updateId);
    // A bundle that is there needs only the region.
    world.propose(2, { environments: ['staging'] });
    world.ceremony(['nora', 'nils']);
    expect((await world.verify()).siteTarget.serial).toBe(3);
  });

  it('cannot sign for another region’s site', () => {
    const world = new CeremonyWorld();
    world.delegate('north', [SITE], ['nora']);
    world.delegate('south', ['outpost-9.example'], ['sam']);
    world.ceremony(['alice', 'bob', 'nora', 'sam']);
    world.propose(1, { site: 'outpost-9.example' });
    world.sign('alice');
    expect(codeOf(() => world.sign('nora'))).toBe('sign.not_a_signer');
    expect(codeOf(() => world.ceremony(['bob']))).toBe('finish.not_signed');
  });

  it('may get sites of another one, which loses them', async () => {
    const world = new CeremonyWorld();
    world.delegate('north', [SITE, 'outpost-8.example'], ['nora']);
    world.propose(1);
    world.ceremony(['alice', 'bob', 'nora']);
    world.delegate('south', [SITE], ['sam']);
    world.ceremony(['alice', 'bob', 'nora', 'sam']);
    expect((await world.verify()).siteTarget.serial).toBe(1);
    expect(world.propose(2)).toMatchObject({ region: 'south', serial: 2 });
    const { published } = reportOf(world.dir);
    expect(published?.sites).toMatchObject([{ site: SITE, region: 'south', serial: 1 }]);
  });

  it('hands a site back to the top-level keys, files and serial along, and is dissolved when it was the last', async () => {
    const world = new CeremonyWorld();
    world.delegate('north', [SITE, 'outpost-8.example'], ['nora']);
    world.propose(1);
    world.ceremony(['alice', 'bob', 'nora']);
    const trusted = join(temporaryDir(), 'metadata');
    cpSync(join(world.repository, 'metadata'), trusted, { recursive: true });
    proposeReturn(world.dir, { sites: [SITE], now: world.now });
    // A region that keeps sites signs what it keeps.
    world.sign('alice');
    expect(codeOf(() => world.ceremony(['bob']))).toBe('finish.not_signed');
    world.ceremony(['nora']);
    expect((await world.verify({ trustedMetadataDir: trusted })).siteTarget.serial).toBe(1);
    expect(reportOf(world.dir).published?.sites).toMatchObject([{ site: SITE, region: null, serial: 1 }]);
    expect(world.propose(2)).toMatchObject({ region: null, serial: 2 });
    world.sign('alice');
    expect(codeOf(() => world.sign('nora'))).toBe('sign.not_a_signer');
    world.ceremony(['bob']);
    expect((await world.verify({ trustedMetadataDir: trusted })).siteTarget.serial).toBe(2);
    proposeReturn(world.dir, { sites: ['outpost-8.example'], now: world.now });
    world.ceremony(['alice', 'bob']);
    expect(reportOf(world.dir).published?.roles.map(({ role }) => role)).not.toContain('north');
    expect((await world.verify({ trustedMetadataDir: trusted })).siteTarget.serial).toBe(2);
    expect(codeOf(() => proposeReturn(world.dir, { sites: [SITE], now: world.now }))).toBe(
      'region.not_delegated',
    );
  });

  it('that is dissolved and comes back is not taken for a rollback', async () => {
    const world = new CeremonyWorld();
    world.delegate('north', [SITE], ['nora']);
    world.propose(1);
    world.ceremony(['alice', 'bob', 'nora']);
    const trusted = join(temporaryDir(), 'metadata');
    const keep = (): void => cpSync(join(world.repository, 'metadata'), trusted, { recursive: true });
    keep();
    world.delegate('south', [SITE], ['sam']);
    world.ceremony(['alice', 'bob', 'sam']);
    expect(await codeOfLater(world.verify({ trustedMetadataDir: trusted }))).toBe('accepted');
    world.delegate('north', [SITE], ['nora']);
    world.ceremony(['alice', 'bob', 'nora']);
    expect((await world.verify()).siteTarget.serial).toBe(1);
    expect(await codeOfLater(world.verify({ trustedMetadataDir: trusted }))).toBe('accepted');
  });
});

describe('refresh', () => {
  it('renews the timestamp alone while the snapshot lasts, then both, and nothing else', async () => {
    const world = new CeremonyWorld();
    world.propose(1);
    world.ceremony(['alice', 'bob']);
    const online = [world.key('online')];
    expect(await codeOfLater(world.verify({ now: NOW + 46 * DAY }))).toBe('update.expired');
    expect(refresh(world.dir, { signers: online, now: NOW + 40 * DAY }).versions).toEqual({
      snapshot: 2,
      timestamp: 3,
    });
    expect(await codeOfLater(world.verify({ now: NOW + 46 * DAY }))).toBe('accepted');
    const later = refresh(world.dir, { signers: online, now: NOW + 80 * DAY });
    expect(later.versions).toEqual({ snapshot: 3, timestamp: 4 });
    const update = await world.verify({ now: NOW + 120 * DAY });
    expect(update.versions).toEqual({ root: 1, targets: 2, snapshot: 3, timestamp: 4 });
  });

  it('asks for people when what they signed has expired; they renew it', async () => {
    const world = new CeremonyWorld();
    world.propose(1);
    world.ceremony(['alice', 'bob']);
    const now = NOW + 400 * DAY;
    expect(codeOf(() => refresh(world.dir, { signers: [world.key('online')], now }))).toBe('refresh.expired');
    proposeRenewal(world.dir, { role: 'targets', now });
    world.ceremony(['alice', 'carol'], { now });
    expect((await world.verify({ now })).siteTarget.serial).toBe(1);
    expect(codeOf(() => proposeRenewal(world.dir, { role: 'snapshot', now }))).toBe('role.unknown');
  });
});

describe('show', () => {
  it('tells who signed and who is still to ask', () => {
    const world = new CeremonyWorld();
    world.propose(1);
    world.sign('carol');
    const report = reportOf(world.dir);
    const names = (keys: { name: string }[] = []): string[] => keys.map(({ name }) => name);
    expect(names(report.published?.roles.find(({ role }) => role === 'root')?.signed)).toEqual([
      'alice',
      'bob',
    ]);
    const [need] = report.staged?.[0]?.needs ?? [];
    expect([need?.threshold, names(need?.signed), names(need?.open)]).toEqual([
      2,
      ['carol'],
      ['alice', 'bob'],
    ]);
  });
});

describe('any sequence of ceremonies', () => {
  it('is accepted by a site that follows it, or only the last of it', async () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('publish' as const), env: fc.constantFrom('production', 'staging') }),
      fc.record({
        kind: fc.constant('rotate' as const),
        role: fc.constantFrom('root', 'targets', 'timestamp', 'snapshot'),
      }),
      fc.record({ kind: fc.constant('delegate' as const), region: fc.constantFrom('north', 'south') }),
      fc.record({ kind: fc.constant('refresh' as const) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 6 }), async (steps) => {
        const world = new CeremonyWorld();
        const everybody = new Set(['alice', 'bob', 'carol', 'nora', 'sam']);
        const online = new Set(['online']);
        const finish = (): void => {
          for (const name of everybody) {
            try {
              world.sign(name);
            } catch (error) {
              if (!(error instanceof BoundaryError) || error.code !== 'sign.not_a_signer') throw error;
            }
          }
          world.finish({ online: [...online] });
        };
        world.propose(1);
        finish();
        let trustedMetadataDir = temporaryDir();
        let version = 1;
        for (const [i, next] of steps.entries()) {
          if (next.kind === 'publish') world.propose(++version, { environments: [next.env] });
          else if (next.kind === 'delegate') {
            const isThere = reportOf(world.dir).published?.roles.some(({ role }) => role === next.region);
            world.delegate(
              next.region,
              [SITE],
              isThere === true ? null : [next.region === 'north' ? 'nora' : 'sam'],
            );
          } else if (next.kind === 'rotate') {
            const names = [`new-${i}`];
            for (const name of names)
              (next.role === 'root' || next.role === 'targets' ? everybody : online).add(name);
            proposeKeys(world.dir, { role: next.role, change: () => world.role(names, 1), now: NOW });
          }
          if (next.kind === 'refresh')
            refresh(world.dir, { signers: [...online].map((name) => world.key(name)), now: NOW });
          else finish();
          await world.verify({ trustedMetadataDir });
          const kept = join(temporaryDir(), 'metadata');
          mkdirSync(kept);
          for (const [name, bytes] of (await world.verify({ trustedMetadataDir })).files)
            if (name.startsWith('metadata/'))
              writeFileSync(join(kept, name.slice('metadata/'.length)), bytes);
          trustedMetadataDir = kept;
        }
        await world.verify();
      }),
      { numRuns: 8 },
    );
  });
});
