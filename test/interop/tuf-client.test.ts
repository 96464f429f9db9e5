import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { proposeKeys } from '../../sync/repository/propose.ts';
import { createRepository, publish } from '../../sync/repository/publish.ts';
import { temporaryDir } from '../host/temporary.ts';
import { bundleBytes, SITE } from '../policy/publisher-world.ts';
import { CeremonyWorld } from '../sync/ceremony-world.ts';
import { run } from './run.ts';
import { serve } from './serve.ts';

const CLIENT = fileURLToPath(new URL('./tuf-client', import.meta.url));
const BUNDLE = 'bundles/base/1.json';

/** A client with its own state, against a repository of ours behind a web server. */
async function setUp(world = new CeremonyWorld(Date.now()), signers = ['alice', 'bob']) {
  world.propose(1);
  world.ceremony(signers);
  const { url, asked } = await serve(world.repository);
  const base = temporaryDir();
  const metadata = join(base, 'metadata');
  const targets = join(base, 'targets');
  const rootFile = join(base, 'pinned.json');
  mkdirSync(metadata);
  mkdirSync(targets);
  writeFileSync(rootFile, world.root);
  const client = (...args: string[]) => run(CLIENT, ['--metadata-dir', metadata, ...args]);
  const refresh = () => client('--metadata-url', `${url}/metadata`, 'refresh');
  const download = (...names: string[]) =>
    run(CLIENT, [
      'download',
      ...names.flatMap((name) => ['--target-name', name]),
      ...['--target-dir', targets, '--target-base-url', `${url}/targets`],
      ...['--metadata-url', `${url}/metadata`, '--metadata-dir', metadata],
    ]);
  expect(await client('init', rootFile)).toMatchObject({ code: 0 });
  return { world, asked, metadata, targets, refresh, download };
}

describe('tuf-client', () => {
  it('asks for nothing at init, and follows the repository at refresh', async () => {
    const { asked, metadata, refresh } = await setUp();
    expect(asked).toEqual([]);
    expect(await refresh()).toMatchObject({ code: 0, stderr: '' });
    expect(readdirSync(metadata).sort()).toEqual([
      'root.json',
      'snapshot.json',
      'targets.json',
      'timestamp.json',
    ]);
  });

  it('does not fetch again what it has', async () => {
    const { asked, targets, download } = await setUp();
    expect(await download(BUNDLE, `sites/${SITE}.json`)).toMatchObject({ code: 0 });
    expect(readFileSync(join(targets, encodeURIComponent(BUNDLE)))).toEqual(Buffer.from(bundleBytes(1)));
    const fetched = () => asked.filter((path) => path.startsWith('/targets/')).length;
    expect(fetched()).toBe(2);
    expect(await download(BUNDLE, BUNDLE)).toMatchObject({ code: 0 });
    expect(fetched()).toBe(2);
  });

  it('finds what a region signed', async () => {
    const world = new CeremonyWorld(Date.now());
    world.delegate('north', [SITE], ['nora']);
    const { metadata, download } = await setUp(world, ['alice', 'bob', 'nora']);
    expect(await download(`sites/${SITE}.json`)).toMatchObject({ code: 0 });
    expect(readdirSync(metadata)).toContain('north.json');
  });

  it('keeps the roots that it verified although the rest is refused', async () => {
    const { world, metadata, refresh } = await setUp();
    proposeKeys(world.dir, { role: 'timestamp', change: () => world.role(['online-2'], 1), now: world.now });
    world.ceremony(['alice', 'bob'], { online: ['online', 'online-2'] });
    const path = join(world.repository, 'metadata', 'timestamp.json');
    const timestamp = JSON.parse(readFileSync(path, 'utf8')) as { signatures: unknown[] };
    writeFileSync(path, JSON.stringify({ ...timestamp, signatures: timestamp.signatures.slice(0, 1) }));
    const { code, stderr } = await refresh();
    expect([code, stderr]).toEqual([1, expect.stringMatching(/timestamp was signed by 0\/1 keys/)]);
    expect(JSON.parse(readFileSync(join(metadata, 'root.json'), 'utf8'))).toMatchObject({
      signed: { version: 2 },
    });
    expect(readdirSync(metadata)).toEqual(['root.json']);
  });

  it('refuses a rollback, a changed target and an unknown name', async () => {
    const { world, refresh, download } = await setUp();
    const old = join(temporaryDir(), 'old');
    cpSync(world.repository, old, { recursive: true });
    world.propose(2);
    world.ceremony(['alice', 'bob']);
    expect(await refresh()).toMatchObject({ code: 0 });
    cpSync(join(old, 'metadata', 'timestamp.json'), join(world.repository, 'metadata', 'timestamp.json'));
    expect(await refresh()).toMatchObject({ code: 1 });
    const fresh = await setUp();
    const dir = join(fresh.world.repository, 'targets', 'bundles', 'base');
    const [name = ''] = readdirSync(dir);
    writeFileSync(join(dir, name), '{}');
    expect(await fresh.download(BUNDLE)).toMatchObject({ code: 1 });
    expect(await fresh.download('nothing.json')).toMatchObject({ code: 1 });
    expect(await download('nothing.json')).toMatchObject({ code: 1 });
  });

  it('follows the 1-of-1 repository of a dev site as well', async () => {
    const world = new CeremonyWorld(Date.now());
    const dir = join(temporaryDir(), 'repository');
    const keys = {
      root: [world.key('dev')],
      targets: [world.key('dev')],
      snapshot: [world.key('dev')],
      timestamp: [world.key('dev')],
    };
    const lifetimes = { root: 9, targets: 9, snapshot: 9, timestamp: 9 };
    const now = world.now;
    const thresholds = { root: 1, targets: 1, snapshot: 1, timestamp: 1 };
    const { root } = createRepository(dir, { keys, thresholds, lifetimes, profile: 'dev', now });
    const bundle = { name: 'base', version: 1, bytes: bundleBytes(1) };
    publish(dir, { bundle, site: SITE, environments: ['production'], signers: keys, lifetimes, now });
    const { url } = await serve(dir);
    const metadata = temporaryDir();
    writeFileSync(join(metadata, 'root.json'), root);
    expect(
      await run(CLIENT, ['--metadata-dir', metadata, '--metadata-url', `${url}/metadata`, 'refresh']),
    ).toMatchObject({ code: 0, stderr: '' });
  });

  it('says how it is used', async () => {
    expect(await run(CLIENT, ['nonsense'])).toMatchObject({ code: 1 });
    expect(await run(CLIENT, ['--metadata-dir', temporaryDir(), 'refresh'])).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/metadata-url is missing/),
    });
  });
});
