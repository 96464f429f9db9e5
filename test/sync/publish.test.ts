import { cpSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { verifyUpdate } from '../../daemon/policy/verify-update.ts';
import { createDevPublisher, publishFrom, repositoryDir } from '../../sync/repository/publisher.ts';
import { codeOf } from '../codes.ts';
import { temporaryDir } from '../host/temporary.ts';
import { bundleBytes, NOW, PublisherWorld, SITE } from '../policy/publisher-world.ts';

/** Content of every file below a directory. */
function contents(dir: string): Map<string, string> {
  const files = readdirSync(dir, { recursive: true, withFileTypes: true }).filter((file) => file.isFile());
  return new Map(
    files.map((file) => [
      join(file.parentPath, file.name).slice(dir.length),
      readFileSync(join(file.parentPath, file.name), 'hex'),
    ]),
  );
}

describe('publish', () => {
  it('raises every version and the serial, and keeps the other environments', () => {
    const world = new PublisherWorld(temporaryDir());
    expect(world.publish(1, { environments: ['production', 'staging'] })).toMatchObject({
      serial: 1,
      versions: { targets: 2, snapshot: 2, timestamp: 2 },
    });
    expect(world.publish(2, { environments: ['staging'] })).toMatchObject({
      serial: 2,
      versions: { targets: 3, snapshot: 3, timestamp: 3 },
    });
  });

  it('serves several sites, each with its own serial', async () => {
    const world = new PublisherWorld(temporaryDir());
    world.publish(1);
    world.publish(2, { bytes: bundleBytes(2, { sites: [SITE, 'hq.example/other'] }) });
    expect(
      world.publish(2, {
        site: 'hq.example/other',
        bytes: bundleBytes(2, { sites: [SITE, 'hq.example/other'] }),
      }).serial,
    ).toBe(1);
    expect((await world.verify({ site: 'hq.example/other' })).siteTarget).toMatchObject({
      site: 'hq.example/other',
      serial: 1,
    });
    expect((await world.verify()).siteTarget.serial).toBe(2);
  });

  it('never replaces a file that a reader may be reading, except the timestamp', () => {
    const world = new PublisherWorld(temporaryDir());
    world.publish(1);
    const before = contents(world.dir);
    world.publish(2);
    const after = contents(world.dir);
    const changed = [...before]
      .filter(([name, content]) => after.get(name) !== content)
      .map(([name]) => name);
    expect(changed).toEqual(['/metadata/timestamp.json']);
  });

  it('leaves a valid repository whenever it is cut short', async () => {
    const world = new PublisherWorld(temporaryDir());
    world.publish(1);
    const timestamp = readFileSync(world.path('metadata/timestamp.json'));
    world.publish(2);
    // All of the second publication except its last step.
    const cut = temporaryDir();
    cpSync(world.dir, cut, { recursive: true });
    writeFileSync(join(cut, 'metadata', 'timestamp.json'), timestamp);
    expect((await world.verify({ repositoryDir: cut })).siteTarget.serial).toBe(1);
  });

  it('refuses other contents under a published version, and older versions', () => {
    const world = new PublisherWorld(temporaryDir());
    world.publish(2);
    const before = contents(world.dir);
    expect(codeOf(() => world.publish(2, { bytes: bundleBytes(2, { sites: [SITE, 'x.example'] }) }))).toBe(
      'publish.version_taken',
    );
    expect(codeOf(() => world.publish(1))).toBe('publish.not_newer');
    expect(contents(world.dir)).toEqual(before);
    expect(codeOf(() => world.publish(2))).toBe('accepted');
  });

  it('is not made anew over an existing repository', () => {
    const world = new PublisherWorld(temporaryDir());
    expect(codeOf(() => new PublisherWorld(join(world.dir, '..')))).toMatch(/exists/);
  });
});

describe('dev publisher', () => {
  it('stamps everything and keeps its keys to itself', async () => {
    const dir = temporaryDir();
    const { root } = createDevPublisher(dir, { name: SITE, now: NOW });
    publishFrom(dir, {
      bundle: { name: 'base', version: 1, bytes: bundleBytes(1) },
      site: SITE,
      environments: ['production'],
      now: NOW,
    });
    const update = await verifyUpdate({
      repositoryDir: repositoryDir(dir),
      trustedRoot: root,
      site: SITE,
      now: NOW,
      expiry: 'enforce',
    });
    expect([update.profile, update.siteTarget.profile]).toEqual(['dev', 'dev']);
    const modes = readdirSync(join(dir, 'keys')).map(
      (name) => statSync(join(dir, 'keys', name)).mode & 0o777,
    );
    expect(modes).toEqual([0o600, 0o600, 0o600, 0o600]);
  });

  it('says so when a directory is none', () => {
    expect(
      codeOf(() =>
        publishFrom(temporaryDir(), {
          bundle: { name: 'base', version: 1, bytes: bundleBytes(1) },
          site: SITE,
          environments: ['production'],
          now: NOW,
        }),
      ),
    ).toBe('publish.no_publisher');
  });
});
