import { readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { TargetFile } from '@tufjs/models';
import { describe, expect, it } from 'vitest';
import { sha256Hex } from '../../daemon/formats/digest.ts';
import { openDraft, putTargets, saveDraft } from '../../sync/repository/draft.ts';
import { proposePublication } from '../../sync/repository/propose.ts';
import { leftoversOf, proposePrune, pruneAtOnce, removeFiles } from '../../sync/repository/prune.ts';
import { createDevPublisher, publishFrom, repositoryDir } from '../../sync/repository/publisher.ts';
import { readStaging, stagedFiles } from '../../sync/repository/staging.ts';
import { readState } from '../../sync/repository/state.ts';
import { describeStaged } from '../../sync/repository/words.ts';
import { codeOf } from '../codes.ts';
import { temporaryDir } from '../host/temporary.ts';
import { bundleBytes, DAY, NOW, SITE } from '../policy/publisher-world.ts';
import { CeremonyWorld } from './ceremony-world.ts';

const OTHER = 'outpost-8.example';
const BOTH = ['alice', 'bob'] as const;

const names = (found: readonly { name: string }[]): string[] => found.map(({ name }) => name).sort();
const listed = (world: CeremonyWorld): string[] =>
  Object.keys(readState(world.repository).targets.signed.targets).sort();
const onDisk = (dir: string): string[] =>
  readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((file) => file.isFile())
    .map((file) => join(file.parentPath, file.name).slice(dir.length + 1))
    .sort();

/** As if everything had been published that long before `NOW`. */
function age(dir: string, days: number): void {
  const at = (NOW - days * DAY) / 1_000;
  for (const name of onDisk(dir)) utimesSync(join(dir, name), at, at);
}

/** Versions 1 to `last` of one bundle were published for the site, one after the other. */
function worldWith(last: number): CeremonyWorld {
  const world = new CeremonyWorld();
  for (let version = 1; version <= last; version++) {
    world.propose(version, { sites: [SITE, OTHER] });
    world.ceremony(BOTH);
  }
  return world;
}

const words = (world: CeremonyWorld): string[] =>
  stagedFiles(readStaging(world.staging)).flatMap((file) =>
    describeStaged(readStaging(world.staging), file, () => []),
  );

describe('what no site needs any more', () => {
  it('is every bundle but those that some site has, in force or in shadow, published or staged', () => {
    const world = worldWith(4);
    expect(names(leftoversOf(world.dir, NOW).bundles)).toEqual(
      [1, 2, 3].map((v) => `bundles/base/${v}.json`),
    );

    const file = (version: number) => ({
      name: 'base',
      version,
      bytes: bundleBytes(version, { sites: [SITE, OTHER] }),
    });
    proposePublication(world.dir, {
      bundle: file(2),
      site: OTHER,
      environments: ['production'],
      now: NOW,
      shadow: { bundle: file(3), classes: null },
    });
    expect(names(leftoversOf(world.dir, NOW).bundles)).toEqual(['bundles/base/1.json']);
    world.ceremony(BOTH);
    world.delegate('north', [OTHER], ['nora', 'nils']);
    for (const name of ['nora', 'nils']) world.sign(name);
    world.ceremony(BOTH);
    expect(names(leftoversOf(world.dir, NOW).bundles)).toEqual(['bundles/base/1.json']);

    // What is in force now is named until the staged file of its site is published.
    world.propose(5, { sites: [SITE, OTHER] });
    expect(names(leftoversOf(world.dir, NOW).bundles)).toEqual(['bundles/base/1.json']);
  });

  it('is files that nothing names, once nobody can be on the way to them', async () => {
    const world = worldWith(3);
    writeFileSync(join(world.repository, 'metadata', 'README'), 'by hand');
    expect(leftoversOf(world.dir, NOW).files).toEqual([]);
    age(world.repository, 2);

    const { files } = leftoversOf(world.dir, NOW);
    const old = names(files).filter((name) => name.startsWith('targets/'));
    expect(names(files).filter((name) => name.startsWith('metadata/'))).toEqual(
      [1, 2, 3]
        .flatMap((version) => [`metadata/${version}.snapshot.json`, `metadata/${version}.targets.json`])
        .sort(),
    );
    expect(old).toHaveLength(2);
    for (const name of old) expect(name).toMatch(/^targets\/sites\//);

    removeFiles(world.dir, names(files));
    expect(leftoversOf(world.dir, NOW).files).toEqual([]);
    expect(onDisk(world.repository)).toContain('metadata/1.root.json');
    expect(onDisk(world.repository)).toContain('metadata/README');
    expect((await world.verify()).siteTarget.serial).toBe(3);
  });

  it('is no root, however many there were', async () => {
    const world = worldWith(1);
    world.delegate('north', [OTHER], ['nora', 'nils']);
    for (const name of ['nora', 'nils']) world.sign(name);
    world.ceremony(BOTH);
    age(world.repository, 400);
    const { files } = leftoversOf(world.dir, NOW);
    removeFiles(world.dir, names(files));
    expect(onDisk(world.repository)).toContain('metadata/1.root.json');
    expect(onDisk(world.repository)).toContain('metadata/1.north.json');
    expect((await world.verify()).siteTarget.serial).toBe(1);
  });
});

it('is asked of a publisher only, and is nothing before the first publication', () => {
  expect(codeOf(() => leftoversOf(temporaryDir(), NOW))).toBe('publish.no_publisher');
});

describe('a shorter list', () => {
  it('is signed like any other, said in few words, and accepted by a site that had the longer one', async () => {
    const world = worldWith(5);
    const before = await world.verify();
    const trusted = temporaryDir();
    for (const [name, bytes] of before.files)
      if (name.startsWith('metadata/')) writeFileSync(join(trusted, name.slice('metadata/'.length)), bytes);

    proposePrune(world.dir, names(leftoversOf(world.dir, NOW).bundles), NOW);
    expect(words(world)).toEqual([
      expect.stringMatching(/^targets version 7, valid until /),
      '  4 bundles are no longer listed; a site that has one would refuse everything from here on',
      '    base 1 to 4',
    ]);
    expect(codeOf(() => world.finish())).toBe('finish.not_signed');
    world.ceremony(BOTH);

    expect(listed(world)).toEqual(['bundles/base/5.json', `sites/${SITE}.json`]);
    const after = await world.verify({ trustedMetadataDir: trusted });
    expect(after.siteTarget).toEqual(before.siteTarget);
    expect([...after.bundles.keys()]).toEqual([...before.bundles.keys()]);

    age(world.repository, 2);
    removeFiles(world.dir, names(leftoversOf(world.dir, NOW).files));
    expect(onDisk(join(world.repository, 'targets', 'bundles'))).toHaveLength(1);
    expect((await world.verify()).siteTarget.serial).toBe(5);
  });

  it('keeps what a version said: it is published again with the same contents only', () => {
    const world = worldWith(3);
    proposePrune(world.dir, ['bundles/base/1.json', 'bundles/base/2.json'], NOW);
    world.ceremony(BOTH);
    const publish = (sites: string[]) => world.propose(2, { site: OTHER, sites });
    expect(codeOf(() => publish([OTHER]))).toBe('publish.version_taken');
    expect(publish([SITE, OTHER])).toMatchObject({ serial: 1 });
  });

  it('that lacks what a site has is not published, whoever signed it', () => {
    const world = worldWith(2);
    world.delegate('north', [SITE], ['nora', 'nils']);
    for (const name of ['nora', 'nils']) world.sign(name);
    world.ceremony(BOTH);
    proposePrune(world.dir, ['bundles/base/2.json'], NOW);
    for (const name of BOTH) world.sign(name);
    expect(codeOf(() => world.finish())).toBe('finish.bundle_in_use');
  });

  it.each(['../../evil.json', 'bundles/../evil/1.json', 'firmware/1.bin'])(
    'with a name that is none of ours is neither signed nor published: %s',
    (name) => {
      const world = worldWith(1);
      const bytes = bundleBytes(7);
      const draft = openDraft(world.dir, NOW);
      const file = new TargetFile({ path: name, length: bytes.length, hashes: { sha256: sha256Hex(bytes) } });
      putTargets(draft, { targets: { ...readState(world.repository).targets.signed.targets, [name]: file } });
      saveDraft(draft);
      expect(codeOf(() => words(world))).toBe('sign.not_as_shown');
      for (const signer of BOTH) world.sign(signer);
      expect(codeOf(() => world.finish())).toBe('finish.bad_name');
    },
  );

  it('with a bundle under the name of another is not signed', () => {
    const world = worldWith(1);
    const bytes = bundleBytes(7);
    const draft = openDraft(world.dir, NOW);
    const name = 'bundles/base/9.json';
    const file = new TargetFile({ path: name, length: bytes.length, hashes: { sha256: sha256Hex(bytes) } });
    draft.files.set(name, bytes);
    putTargets(draft, { targets: { ...readState(world.repository).targets.signed.targets, [name]: file } });
    saveDraft(draft);
    expect(codeOf(() => words(world))).toBe('sign.not_as_shown');
  });
});

describe('a dev publisher', () => {
  it('drops at once', () => {
    const dir = temporaryDir();
    createDevPublisher(dir, { name: SITE, now: NOW });
    const publish = (version: number, bytes = bundleBytes(version)) =>
      publishFrom(dir, {
        bundle: { name: 'base', version, bytes },
        site: SITE,
        environments: ['production'],
        now: NOW,
      });
    for (const version of [1, 2]) publish(version);
    pruneAtOnce(dir, names(leftoversOf(dir, NOW).bundles), NOW);
    const { targets, timestamp } = readState(repositoryDir(dir));
    expect(Object.keys(targets.signed.targets).sort()).toEqual(['bundles/base/2.json', `sites/${SITE}.json`]);
    expect(timestamp.signed.version).toBe(4);
    expect(leftoversOf(dir, NOW).bundles).toEqual([]);
    expect(JSON.parse(readFileSync(join(dir, 'dropped.json'), 'utf8'))).toEqual({
      schema: 'holdfast/dropped/v1',
      bundles: { 'bundles/base/1.json': sha256Hex(bundleBytes(1)) },
    });
    expect(codeOf(() => publish(1, bundleBytes(1, { sites: [SITE, OTHER] })))).toBe('publish.version_taken');
    writeFileSync(join(dir, 'dropped.json'), '{}');
    expect(codeOf(() => publish(3))).toBe('publisher.malformed');
  });
});
