import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { BoundaryError } from '../../daemon/formats/boundary-error.ts';
import { sha256Hex } from '../../daemon/formats/digest.ts';
import { formatSiteTarget } from '../../daemon/formats/site-target.ts';
import { verifyUpdate } from '../../daemon/policy/verify-update.ts';
import { proposeKeys } from '../../sync/repository/propose.ts';
import { refresh } from '../../sync/repository/refresh.ts';
import { temporaryDir } from '../host/temporary.ts';
import { bundleBytes, SITE } from '../policy/publisher-world.ts';
import { CeremonyWorld } from '../sync/ceremony-world.ts';
import { pythonWith } from './python.ts';
import { run } from './run.ts';
import { serve } from './serve.ts';

const VERSION = '7.0.0';
const venv = mkdtempSync(join(tmpdir(), 'holdfast-python-tuf-'));
const python = await pythonWith(venv, [`tuf==${VERSION}`, 'securesystemslib[crypto]==1.4.0']);

afterAll(() => rmSync(venv, { recursive: true, force: true }));

const script = (name: string): string => fileURLToPath(new URL(`./python/${name}`, import.meta.url));

describe.skipIf(python === null)(`python-tuf ${VERSION} (skipped where pip cannot bring it)`, () => {
  const follow = (url: string, root: string, work: string, ...names: string[]) =>
    run(python ?? '', [script('verify.py'), url, root, work, ...names]);

  it('accepts what our publisher makes: ceremony, region, rotated roots, refresh', async () => {
    const world = new CeremonyWorld(Date.now());
    const work = temporaryDir();
    const root = join(work, 'root.json');
    writeFileSync(root, world.root);
    world.delegate('north', [SITE], ['nora', 'nils']);
    world.propose(1);
    world.ceremony(['alice', 'bob', 'nora', 'nils']);
    const { url } = await serve(world.repository);
    const names = ['bundles/base/1.json', `sites/${SITE}.json`];
    expect(await follow(url, root, work, ...names)).toMatchObject({ code: 0, stderr: '' });
    const fetched = readFileSync(join(work, 'targets', encodeURIComponent('bundles/base/1.json')));
    expect(fetched).toEqual(Buffer.from(bundleBytes(1)));
    proposeKeys(world.dir, { role: 'root', change: () => world.role(['dave', 'erin'], 2), now: world.now });
    world.ceremony(['alice', 'bob', 'dave', 'erin']);
    proposeKeys(world.dir, { role: 'targets', change: () => world.role(['frank'], 1), now: world.now });
    world.ceremony(['dave', 'erin', 'frank']);
    refresh(world.dir, { signers: [world.key('online')], now: world.now });
    expect(await follow(url, root, work, ...names)).toMatchObject({ code: 0, stderr: '' });
    expect(JSON.parse(readFileSync(join(work, 'metadata', 'root.json'), 'utf8'))).toMatchObject({
      signed: { version: 3 },
    });
  });

  it('refuses what we refuse: a changed timestamp of ours', async () => {
    const world = new CeremonyWorld(Date.now());
    world.propose(1);
    world.ceremony(['alice', 'bob']);
    const work = temporaryDir();
    const root = join(work, 'root.json');
    writeFileSync(root, world.root);
    const path = join(world.repository, 'metadata', 'timestamp.json');
    writeFileSync(path, readFileSync(path, 'utf8').replace('"version": 2', '"version": 3'));
    const { url } = await serve(world.repository);
    expect(await follow(url, root, work)).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/UnsignedMetadata/),
    });
    await expect(world.verify()).rejects.toThrow(BoundaryError);
  });

  it('makes repositories that our verifier accepts', async () => {
    const work = temporaryDir();
    const bundle = bundleBytes(1);
    const pinned = { name: 'base', version: 1, digest: sha256Hex(bundle), path: 'bundles/base/1.json' };
    const siteTarget = formatSiteTarget({
      schema: 'holdfast/site/v1',
      site: SITE,
      serial: 1,
      issued_at: '2026-11-20T12:00:00Z',
      environments: { production: pinned },
    });
    writeFileSync(join(work, 'bundle.json'), bundle);
    writeFileSync(join(work, 'site.json'), siteTarget);
    const repositoryDir = join(work, 'repository');
    const made = await run(python ?? '', [
      script('make.py'),
      ...[repositoryDir, SITE, join(work, 'bundle.json'), join(work, 'site.json')],
    ]);
    expect(made).toMatchObject({ code: 0, stderr: '' });
    const update = await verifyUpdate({
      repositoryDir,
      trustedRoot: readFileSync(join(repositoryDir, 'metadata', '1.root.json')),
      site: SITE,
      now: Date.now(),
      expiry: 'enforce',
    });
    expect(update).toMatchObject({
      versions: { root: 2, targets: 1, snapshot: 1, timestamp: 1 },
      siteTarget: { serial: 1, environments: { production: pinned } },
    });
    expect(readdirSync(join(repositoryDir, 'metadata'))).toContain('1.north.json');
    expect([...update.files.keys()]).toContain('metadata/1.north.json');
  });
});
