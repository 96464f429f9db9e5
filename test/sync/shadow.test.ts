import { describe, expect, it } from 'vitest';
import { sha256Hex } from '../../daemon/formats/digest.ts';
import { formatSiteTarget } from '../../daemon/formats/site-target.ts';
import { bundlesOf } from '../../sync/mirror-metadata.ts';
import { proposePublication } from '../../sync/repository/propose.ts';
import type { ShadowFile } from '../../sync/repository/site-file.ts';
import { readStaging, stagedFiles } from '../../sync/repository/staging.ts';
import { describeStaged } from '../../sync/repository/words.ts';
import { bundleBytes, NOW, SITE } from '../policy/publisher-world.ts';
import { CeremonyWorld } from './ceremony-world.ts';

const file = (version: number) => ({ name: 'base', version, bytes: bundleBytes(version, { sites: [SITE] }) });

function propose(world: CeremonyWorld, version: number, shadow?: ShadowFile) {
  return proposePublication(world.dir, {
    bundle: file(version),
    site: SITE,
    environments: ['production'],
    now: NOW,
    shadow,
  });
}

function words(world: CeremonyWorld): string {
  const staging = readStaging(world.staging);
  return stagedFiles(staging)
    .flatMap((staged) => describeStaged(staging, staged, () => ['CHANGE']))
    .join('\n');
}

describe('a bundle in shadow, by ceremony', () => {
  it('is said before it is signed, when it comes and when it goes, though what is in force stays', () => {
    const world = new CeremonyWorld();
    propose(world, 1);
    world.ceremony(['alice', 'bob']);
    propose(world, 1, { bundle: file(2), classes: null });
    expect(words(world)).toMatch(
      /production: base@2 in shadow \(SHA-256 [0-9a-f]{64}\)\n.*every action class, recorded, never enforced/,
    );
    expect(words(world)).not.toContain('CHANGE');
    world.ceremony(['alice', 'bob']);
    propose(world, 1, { bundle: file(2), classes: ['restart_service'] });
    expect(words(world)).toContain('what is in force for restart_service, recorded');
    world.ceremony(['alice', 'bob']);
    propose(world, 1);
    expect(words(world)).toContain('production: base@2 is in shadow no longer');
  });

  it('is verified with the update, and mirrored, like what is in force', async () => {
    const world = new CeremonyWorld();
    propose(world, 1, { bundle: file(2), classes: null });
    world.ceremony(['alice', 'bob']);
    const update = await world.verify();
    expect([...update.bundles.keys()].sort()).toEqual(
      [file(1), file(2)].map(({ bytes }) => sha256Hex(bytes)).sort(),
    );
    const siteFile = Buffer.from(formatSiteTarget(update.siteTarget));
    expect(bundlesOf(siteFile)).toEqual(['bundles/base/1.json', 'bundles/base/2.json']);
  });

  it('may be put in force later, under the version that it was judged by', async () => {
    const world = new CeremonyWorld();
    propose(world, 1, { bundle: file(2), classes: null });
    world.ceremony(['alice', 'bob']);
    propose(world, 2);
    world.ceremony(['alice', 'bob']);
    const { production } = (await world.verify()).siteTarget.environments;
    expect(production).toMatchObject({ version: 2 });
    expect(production).not.toHaveProperty('shadow');
  });

  it('is refused when its version was published with other contents, or is what is to run', () => {
    const world = new CeremonyWorld();
    propose(world, 1);
    world.ceremony(['alice', 'bob']);
    const other = { name: 'base', version: 1, bytes: bundleBytes(1, { sites: [SITE, 'other.example'] }) };
    expect(() => propose(world, 2, { bundle: other, classes: null })).toThrow(/published before/);
    expect(() => propose(world, 2, { bundle: file(2), classes: null })).toThrow(/both base version 2/);
  });
});
