import { execFileSync, spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { STARTER_POLICY } from '../../daemon/commands/init/starter.ts';
import { type InitReport, initSite } from '../../daemon/commands/init.ts';
import { openInlineEngine } from '../../daemon/engine/inline.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { parsePrivateKey } from '../../daemon/formats/openssh-key.ts';
import { parsePolicy } from '../../daemon/formats/tlog-policy.ts';
import { loadConfig } from '../../daemon/host/config.ts';
import { sitePaths } from '../../daemon/host/site.ts';
import { codeOfLater } from '../codes.ts';
import { temporaryDir } from '../host/temporary.ts';
import { PublisherWorld, SITE } from '../policy/publisher-world.ts';

const MAIN = join(import.meta.dirname, '../../daemon/main.ts');

function holdfast(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [MAIN, ...args], {
    encoding: 'utf8',
    env: { ...process.env, HOLDFAST_DIR: '' },
  });
}

/** Mode of every file and directory, with what differs from site to site cut out of the names. */
function modesOf(dir: string): Record<string, string> {
  const names = readdirSync(dir, { recursive: true, encoding: 'utf8' }).sort();
  return Object.fromEntries(
    ['.', ...names].map((name) => [
      name.replaceAll(/[0-9a-f]{64}/g, 'DIGEST'),
      (statSync(join(dir, name)).mode & 0o7777).toString(8),
    ]),
  );
}

describe('a dev site', () => {
  let base: string;
  let dir: string;
  let report: InitReport;

  beforeAll(async () => {
    base = mkdtempSync(join(tmpdir(), 'holdfast-test-'));
    dir = join(base, 'site');
    report = await initSite({ dir, site: SITE, profile: 'dev' });
  });
  afterAll(() => rmSync(base, { recursive: true, force: true }));

  it('is complete and stands alone', () => {
    expect(readdirSync(base)).toEqual(['site']);
    expect(report).toMatchObject({
      dir,
      site: SITE,
      profile: 'dev',
      origin: `${SITE}/ledger`,
      publisher: {
        people: ['operator', 'alice', 'bob', 'carol', 'dave'],
        policy: { applied: true, serial: 1 },
      },
    });
    expect(loadConfig(dir)).toMatchObject({ site: SITE, profile: 'dev', operator_actor: 'operator' });
    const paths = sitePaths(dir);
    expect(readFileSync(join(paths.trust, 'ledger.vkey'), 'utf8').trim()).toBe(report.vkey);
    expect(
      parsePolicy(readFileSync(join(paths.trust, 'tlog-policy'), 'utf8')).logs.map(({ text }) => text),
    ).toEqual([report.vkey]);
    expect(readFileSync(join(paths.trust, 'root.json'))).toEqual(
      readFileSync(join(paths.publisher, 'repository/metadata/1.root.json')),
    );
  });

  it('gives every file exactly the mode that it needs', () => {
    const modes = modesOf(dir);
    const private_ = Object.entries(modes).filter(
      ([name]) => /^(state|gateway|sync|publisher\/(keys|people))/.test(name) && !name.endsWith('.pub'),
    );
    expect(private_.filter(([, mode]) => !['700', '600'].includes(mode))).toEqual([]);
    expect(private_.length).toBeGreaterThan(20);
    expect(modes).toMatchObject({
      '.': '755',
      state: '700',
      gateway: '700',
      sync: '700',
      run: '750',
      inbox: '770',
      outbox: '770',
      trust: '755',
      publisher: '700',
      'holdfast.json': '644',
      'trust/root.json': '644',
    });
    expect(
      Object.entries(modes).filter(
        ([name, mode]) => (Number.parseInt(mode, 8) & 0o002) !== 0 && name !== '.',
      ),
    ).toEqual([]);
  });

  it('has a ledger that tells how it came about, with no machine path in it', async () => {
    const engine = await openInlineEngine(dir);
    try {
      const answer = await engine.call({
        method: 'ledger.entries',
        args: { from: '0', limit: '10' },
        body: null,
        key: null,
        peer: { socket: 'internal', uid: null },
      });
      const { entries } = JSON.parse(String(answer.body)) as { entries: { entry: JsonObject }[] };
      expect(entries.slice(0, 4).map(({ entry }) => entry.type)).toEqual([
        'system.initialized',
        'system.started',
        'policy.applied',
        'system.stopped',
      ]);
      expect(entries[0]?.entry.data).toMatchObject({
        site: SITE,
        profile: 'dev',
        vkey: report.vkey,
        root_digest: report.root_digest,
      });
      expect(entries[2]?.entry.data).toMatchObject({
        source: 'publisher/repository',
        who: 'operator',
        site_target: { profile: 'dev' },
      });
      expect(answer.body).not.toContain(base);
    } finally {
      await engine.stop('test');
    }
  });

  it('gives its people keys that OpenSSH reads', () => {
    const { publisher } = sitePaths(dir);
    for (const name of report.publisher?.people ?? []) {
      const path = join(publisher, 'people', name);
      const line = readFileSync(`${path}.pub`, 'utf8').trim();
      expect(execFileSync('ssh-keygen', ['-y', '-f', path], { encoding: 'utf8' }).trim()).toBe(line);
      expect(parsePrivateKey(readFileSync(path, 'utf8')).comment).toBe(`${name}@${SITE}`);
      expect(readFileSync(join(publisher, 'policy/principals.yaml'), 'utf8')).toContain(line);
    }
  });

  it('is never overwritten', async () => {
    const before = modesOf(dir);
    const key = readFileSync(join(sitePaths(dir).keys, 'ledger.key'), 'utf8');
    const again = holdfast('init', '--site', SITE, '--profile', 'dev', '--dir', dir);
    expect([again.status, again.stdout]).toEqual([2, '']);
    expect(again.stderr).toMatch(/There is a site .* already; nothing was changed/);
    expect([modesOf(dir), readFileSync(join(sitePaths(dir).keys, 'ledger.key'), 'utf8')]).toEqual([
      before,
      key,
    ]);
  });

  it('publishes and imports a change of its policy, and only under a new version', () => {
    const publisher = join(dir, 'publisher');
    const policy = join(publisher, 'policy');
    const metadata = join(policy, 'metadata.yaml');
    writeFileSync(
      metadata,
      readFileSync(metadata, 'utf8').replace(/^description: .*$/m, 'description: Changed.'),
    );
    const refused = holdfast('repo', 'publish', publisher, policy, '--site', SITE);
    expect([refused.status, refused.stderr]).toEqual([2, expect.stringContaining('Raise metadata.version')]);
    writeFileSync(metadata, readFileSync(metadata, 'utf8').replace(/^version: 1$/m, 'version: 2'));
    const published = holdfast(
      'repo',
      'publish',
      publisher,
      policy,
      '--site',
      SITE,
      '--env',
      'production',
      '--json',
    );
    expect(JSON.parse(published.stdout)).toMatchObject({ serial: 2, environments: ['production'] });
    const imported = holdfast('import', join(publisher, 'repository'), '--dir', dir, '--json');
    expect([imported.status, JSON.parse(imported.stdout)]).toMatchObject([
      0,
      { applied: true, environments: { production: { version: 2 }, staging: { version: 1 } } },
    ]);
    const again = holdfast('import', join(publisher, 'repository'), '--dir', dir, '--json');
    expect([again.status, JSON.parse(again.stdout)]).toMatchObject([0, { applied: true, unchanged: true }]);
  });

  it('refuses a repository of somebody else with exit code 3, and records it', () => {
    const stranger = new PublisherWorld(mkdtempSync(join(base, 'stranger-')));
    stranger.publish(1);
    const refused = holdfast('import', stranger.dir, '--dir', dir, '--json');
    expect([refused.status, JSON.parse(refused.stdout)]).toMatchObject([
      3,
      { applied: false, code: 'update.bad_signature', record_id: expect.any(Number) },
    ]);
  });

  it('lends its root to no other profile', async () => {
    const rootFile = join(sitePaths(dir).trust, 'root.json');
    for (const profile of ['node', 'appliance'] as const) {
      expect(await codeOfLater(initSite({ dir: join(base, profile), site: SITE, profile, rootFile }))).toBe(
        'init.dev_root',
      );
      expect(existsSync(join(base, profile))).toBe(false);
    }
  });
});

describe('a site of another profile', () => {
  it('pins the root that it is given and has no policy, no publisher and no people', async () => {
    const base = temporaryDir();
    const { root } = new PublisherWorld(base);
    writeFileSync(join(base, 'root.json'), root);
    const dir = join(base, 'site');
    const report = await initSite({ dir, site: SITE, profile: 'node', rootFile: join(base, 'root.json') });
    expect(report.publisher).toBeNull();
    expect(readFileSync(join(dir, 'trust/root.json'))).toEqual(Buffer.from(root));
    expect(existsSync(join(dir, 'publisher'))).toBe(false);
    expect(readdirSync(join(dir, 'state/policy'))).toEqual([]);
    expect(loadConfig(dir).operator_actor).toBeNull();
  });
});

describe('init refuses', () => {
  it('to guess the site or the root: exit code 2 and a word on what to give', () => {
    const dir = join(temporaryDir(), 'site');
    const without = holdfast('init', '--profile', 'dev', '--dir', dir);
    const rootless = holdfast('init', '--site', SITE, '--dir', dir);
    expect([without.status, rootless.status, existsSync(dir)]).toEqual([2, 2, false]);
    expect(without.stderr).toContain('--site');
    expect(rootless.stderr).toContain('--root root.json');
  });

  it.each(['https://outpost-7.example', 'Outpost', '../x', 'a b'])('the origin %j', async (site) => {
    expect(await codeOfLater(initSite({ dir: join(temporaryDir(), 'site'), site, profile: 'dev' }))).toBe(
      'site.bad_origin',
    );
  });

  it('a directory with anything in it, a file, and a missing parent', async () => {
    const base = temporaryDir();
    mkdirSync(join(base, 'full'));
    writeFileSync(join(base, 'full', 'note'), '');
    writeFileSync(join(base, 'file'), '');
    const init = (name: string) =>
      codeOfLater(initSite({ dir: join(base, name), site: SITE, profile: 'dev' }));
    expect([await init('full'), await init('file'), await init('no/where')]).toEqual([
      'init.not_free',
      'init.not_free',
      'init.no_parent',
    ]);
    expect(readdirSync(base).sort()).toEqual(['file', 'full']);
  });

  it('a root for dev, and a policy directory for others', async () => {
    const base = temporaryDir();
    const init = (options: object) =>
      codeOfLater(initSite({ dir: join(base, 'site'), site: SITE, profile: 'dev', ...options }));
    expect(await init({ rootFile: 'root.json' })).toBe('init.dev_root');
    expect(await init({ profile: 'node', rootFile: 'root.json', policyDir: STARTER_POLICY })).toBe(
      'init.policy_not_here',
    );
    expect(await init({ profile: 'node', rootFile: join(base, 'missing.json') })).toBe('file.missing');
  });

  it('a root file that is none', async () => {
    const base = temporaryDir();
    writeFileSync(join(base, 'root.json'), '{}');
    expect(
      await codeOfLater(
        initSite({ dir: join(base, 'site'), site: SITE, profile: 'node', rootFile: join(base, 'root.json') }),
      ),
    ).toBe('update.bad_root');
  });

  it('a defective policy, and leaves nothing behind', async () => {
    const base = temporaryDir();
    const policyDir = join(base, 'policy');
    cpSync(STARTER_POLICY, policyDir, { recursive: true });
    writeFileSync(join(policyDir, 'gates.yaml'), '- id: broken\n');
    await expect(
      initSite({ dir: join(base, 'site'), site: SITE, profile: 'dev', policyDir }),
    ).rejects.toThrow(/gates\.yaml/);
    expect(readdirSync(base)).toEqual(['policy']);
  });

  it('does not follow a link in a policy directory', async () => {
    const base = temporaryDir();
    const policyDir = join(base, 'policy');
    cpSync(STARTER_POLICY, policyDir, { recursive: true });
    rmSync(join(policyDir, 'gates.yaml'));
    symlinkSync(join(STARTER_POLICY, 'gates.yaml'), join(policyDir, 'gates.yaml'));
    expect(
      await codeOfLater(initSite({ dir: join(base, 'site'), site: SITE, profile: 'dev', policyDir })),
    ).toBe('file.not_regular');
  });

  it('takes an empty directory that was made for it', async () => {
    const base = temporaryDir();
    mkdirSync(join(base, 'site'));
    expect(
      (await initSite({ dir: join(base, 'site'), site: SITE, profile: 'dev' })).publisher?.policy.applied,
    ).toBe(true);
  });
});
