import { spawnSync } from 'node:child_process';
import { cpSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { createKeyFile, openKeyFile } from '../../sync/repository/key-file.ts';
import { proposePublication } from '../../sync/repository/propose.ts';
import { signStaged } from '../../sync/repository/signatures.ts';
import { readStaging } from '../../sync/repository/staging.ts';
import { temporaryDir } from '../host/temporary.ts';
import { bundleBytes, SITE } from '../policy/publisher-world.ts';
import { ROOT } from '../structure/sources.ts';

const PASSPHRASE = 'correct horse battery';

interface Ran {
  code: number | null;
  out: string;
  err: string;
}

/** Headquarters at the command line: key files that open fast, one passphrase for all. */
class Desk {
  readonly dir = temporaryDir();

  run(...args: string[]): Ran {
    return this.runWith(`${PASSPHRASE}\n`, ...args);
  }

  runWith(input: string, ...args: string[]): Ran {
    const { status, stdout, stderr } = spawnSync(process.execPath, [join(ROOT, 'daemon/main.ts'), ...args], {
      cwd: this.dir,
      encoding: 'utf8',
      input,
      env: { PATH: process.env.PATH, HOME: '/nonexistent', NO_COLOR: '1' },
    });
    return { code: status, out: stdout, err: stderr };
  }

  json(...args: string[]): JsonObject {
    const { code, out, err } = this.run(...args, '--json');
    if (code !== 0) throw new Error(`${args.join(' ')}: ${err}`);
    return JSON.parse(out) as JsonObject;
  }

  async keys(...names: string[]): Promise<void> {
    for (const name of names)
      await createKeyFile(this.path(`${name}.key`), { name, passphrase: PASSPHRASE, workFactor: 10 });
  }

  /** A publisher `hq` of alice, bob and carol with everything signed. */
  async publisher(): Promise<void> {
    await this.keys('alice', 'bob', 'carol', 'online');
    const people = ['alice.key.pub', 'bob.key.pub', 'carol.key.pub'];
    this.json('repo', 'init', 'hq', '--root', ...people, '--online', 'online.key.pub');
    this.ceremony('alice', 'bob');
  }

  sign(name: string, path = 'hq'): Ran {
    return this.run('repo', 'sign', path, '--key', `${name}.key`, '--passphrase-fd', '0');
  }

  finish(...keys: string[]): Ran {
    const online = keys.length === 0 ? ['online.key'] : keys;
    return this.run('repo', 'finish', 'hq', '--key', ...online, '--passphrase-fd', '0');
  }

  ceremony(...names: string[]): void {
    for (const ran of [...names.map((name) => this.sign(name)), this.finish()])
      if (ran.code !== 0) throw new Error(ran.err);
  }

  bundle(version: number, changes: Parameters<typeof bundleBytes>[1] = {}): string {
    writeFileSync(this.path(`bundle-${version}.json`), bundleBytes(version, changes));
    return `bundle-${version}.json`;
  }

  path(name: string): string {
    return join(this.dir, name);
  }
}

describe('repo new-key', () => {
  it('makes a key that only its passphrase opens, and a public half to hand out', async () => {
    const desk = new Desk();
    const made = desk.run('repo', 'new-key', 'dora.key', '--name', 'dora', '--passphrase-fd', '0');
    expect(made).toMatchObject({ code: 0, err: '' });
    expect(statSync(desk.path('dora.key')).mode & 0o777).toBe(0o600);
    expect(readFileSync(desk.path('dora.key'), 'utf8')).toMatch(/^-----BEGIN AGE ENCRYPTED FILE-----\n/);
    expect(readFileSync(desk.path('dora.key.pub'), 'utf8')).toMatch(/^dora\+[0-9a-f]{8}\+[A-Za-z0-9+/=]+\n$/);
    expect((await openKeyFile(desk.path('dora.key'), PASSPHRASE)).name).toBe('dora');
    await expect(openKeyFile(desk.path('dora.key'), 'another one entirely')).rejects.toThrow(/does not open/);
    const again = desk.run('repo', 'new-key', 'dora.key', '--name', 'dora', '--passphrase-fd', '0');
    expect([again.code, again.err]).toEqual([2, expect.stringMatching(/is there already/)]);
  });

  it.each([
    ['a short passphrase', 'short\n', ['--passphrase-fd', '0'], /at least 10 characters/],
    ['no passphrase', '', ['--passphrase-fd', '0'], /no passphrase/],
    ['no terminal', '', [], /no terminal/],
    ['no such descriptor', '', ['--passphrase-fd', '99'], /No passphrase can be read/],
    ['no number', '', ['--passphrase-fd', PASSPHRASE], /No passphrase can be read/],
  ])('refuses %s', (_what, input, options, words) => {
    const desk = new Desk();
    const { code, err } = desk.runWith(input, 'repo', 'new-key', 'dora.key', '--name', 'dora', ...options);
    expect([code, err]).toEqual([2, expect.stringMatching(words)]);
    expect(readdirSync(desk.dir)).toEqual([]);
  });
});

describe('repo init', () => {
  it('makes what keys are missing, for people who start at one desk', () => {
    const desk = new Desk();
    const { err } = desk.run('repo', 'init', 'hq', '--passphrase-fd', '0');
    expect(err).toMatch(/carry each to its holder/);
    const keys = readdirSync(desk.path('hq/keys')).filter((name) => name.endsWith('.key'));
    expect(keys.sort()).toEqual(['online.key', 'signer-1.key', 'signer-2.key', 'signer-3.key']);
    for (const name of keys) renameSync(desk.path(`hq/keys/${name}`), desk.path(name));
    desk.ceremony('signer-1', 'signer-3');
    expect(desk.json('repo', 'show', 'hq')).toMatchObject({
      published: { profile: null, roles: [{ role: 'root', threshold: 2 }, {}, {}, {}] },
      staged: null,
    });
  });

  it('refuses private keys, unmeetable thresholds and a directory in use', async () => {
    const desk = new Desk();
    await desk.keys('alice', 'online');
    const init = (...args: string[]): string =>
      desk.run('repo', 'init', 'hq', '--online', 'online.key.pub', ...args).err;
    expect(init('--root', 'alice.key')).toMatch(/private key; name its public half/);
    expect(init('--root', 'alice.key.pub')).toMatch(/1 keys and needs the signatures of 2/);
    expect(init('--root', 'alice.key.pub', '--root-threshold', '0')).toMatch(/whole number from 1/);
    expect(init('--root', 'alice.key.pub', '--expires', 'root=never')).toMatch(/ROLE=DAYS/);
    expect(readdirSync(desk.dir)).not.toContain('hq');
    const one = ['--root-threshold', '1', '--targets-threshold', '1'];
    desk.json('repo', 'init', 'hq', '--online', 'online.key.pub', '--root', 'alice.key.pub', ...one);
    expect(init('--root', 'alice.key.pub', ...one)).toMatch(/never made anew/);
  });
});

it.each(['show', 'discard', 'prune'])('repo %s tells a misspelt directory from an empty one', (command) => {
  const desk = new Desk();
  const { code, out, err } = desk.run('repo', command, 'hqq');
  expect([code, out, err]).toEqual([2, '', expect.stringContaining("hqq is no publisher's directory")]);
});

describe('a policy on its way from headquarters', () => {
  it('is proposed, shown in words, signed on copies, published, imported; an old one is not', async () => {
    const desk = new Desk();
    await desk.publisher();
    const staged = desk.json('repo', 'publish', 'hq', desk.bundle(1), '--site', SITE, '--env', 'production');
    expect(staged).toMatchObject({ serial: 1, region: null, staged: [{ complete: false }] });
    cpSync(desk.path('hq/staging'), desk.path('stick'), { recursive: true });
    const signed = desk.sign('carol', 'stick');
    expect(signed.err).toMatch(/You sign as carol:\ntargets version 2/);
    expect(signed.err).toMatch(/production: nothing → base@1/);
    expect(signed.err).toMatch(/There was no policy before: everything was denied\./);
    expect(desk.sign('alice', 'hq/staging/metadata/2.targets.json').code).toBe(0);
    expect(desk.finish()).toMatchObject({
      code: 2,
      err: expect.stringMatching(/1 of 2 signatures.*still to ask: bob, carol/),
    });
    expect(desk.json('repo', 'merge', 'hq', 'stick')).toMatchObject({
      added: 1,
      staged: [{ complete: true }],
    });
    expect(desk.finish().code).toBe(0);

    const root = 'hq/repository/metadata/1.root.json';
    desk.json('init', '--site', SITE, '--profile', 'node', '--root', root, '--dir', 'site');
    expect(desk.json('import', 'hq/repository', '--dir', 'site')).toMatchObject({ applied: true, serial: 1 });

    const old = desk.path('old');
    cpSync(desk.path('hq/repository'), old, { recursive: true });
    desk.json('repo', 'publish', 'hq', desk.bundle(2), '--site', SITE);
    desk.ceremony('alice', 'bob');
    expect(desk.json('import', 'hq/repository', '--dir', 'site')).toMatchObject({ applied: true, serial: 2 });
    const back = desk.run('import', old, '--dir', 'site', '--json');
    expect([back.code, JSON.parse(back.out)]).toEqual([
      3,
      expect.objectContaining({ code: 'update.rolled_back' }),
    ]);
    const older = desk.run('repo', 'publish', 'hq', 'bundle-1.json', '--site', SITE);
    expect([older.code, older.err]).toEqual([2, expect.stringMatching(/runs base version 2 already/)]);
  });

  it('goes through a region, whose keys sign for its sites only', async () => {
    const desk = new Desk();
    await desk.publisher();
    await desk.keys('nora');
    desk.json('repo', 'delegate', 'hq', 'north', '--site', SITE, '--key', 'nora.key.pub');
    expect(desk.json('repo', 'publish', 'hq', desk.bundle(1), '--site', SITE)).toMatchObject({
      region: 'north',
    });
    desk.ceremony('alice', 'bob', 'nora');
    const report = desk.json('repo', 'show', 'hq');
    expect(report).toMatchObject({ published: { sites: [{ site: SITE, region: 'north', serial: 1 }] } });
    expect(desk.run('repo', 'show', 'hq').out).toMatch(/north +1 +1 of 1 +nora\*/);
    expect(desk.run('repo', 'delegate', 'hq', 'root', '--site', SITE, '--key', 'nora.key.pub').err).toMatch(
      /no role of TUF/,
    );
  });

  it('is not published when the site would refuse it', async () => {
    const desk = new Desk();
    await desk.publisher();
    proposePublication(desk.path('hq'), {
      bundle: { name: 'base', version: 1, bytes: bundleBytes(1, { sites: ['other.example'] }) },
      site: SITE,
      environments: ['production'],
      now: Date.now(),
    });
    expect(desk.sign('alice').err).toMatch(/does not name outpost-7\.example.*Nothing was signed/);
    for (const name of ['alice', 'bob'])
      signStaged(
        readStaging(desk.path('hq/staging')),
        await openKeyFile(desk.path(`${name}.key`), PASSPHRASE),
      );
    expect(desk.finish()).toMatchObject({
      code: 2,
      err: expect.stringMatching(/would refuse this, so nothing was published/),
    });
    expect(desk.json('repo', 'show', 'hq')).toMatchObject({ published: { sites: [] } });
    expect(desk.json('repo', 'discard', 'hq')).toEqual({ discarded: true });
  });
});

describe('keys that change', () => {
  it('rotate, are added, are revoked; a site that missed it all follows from one stick', async () => {
    const desk = new Desk();
    await desk.publisher();
    await desk.keys('dave', 'erin', 'online-2');
    desk.json('repo', 'publish', 'hq', desk.bundle(1), '--site', SITE);
    desk.ceremony('alice', 'bob');
    const root = 'hq/repository/metadata/1.root.json';
    desk.json('init', '--site', SITE, '--profile', 'node', '--root', root, '--dir', 'site');

    desk.json('repo', 'add-key', 'hq', 'dave.key.pub', '--role', 'root');
    desk.ceremony('alice', 'bob');
    desk.json('repo', 'rotate', 'hq', 'root', '--add', 'erin.key.pub', '--remove', 'alice', 'bob');
    expect(desk.sign('dave').err).toMatch(/from now on: erin[\s\S]*no longer: alice/);
    desk.ceremony('alice', 'erin');
    desk.json('repo', 'revoke', 'hq', 'online', '--replace', 'online-2.key.pub');
    for (const name of ['carol', 'dave']) expect(desk.sign(name).code).toBe(0);
    expect(desk.finish()).toMatchObject({
      code: 2,
      err: expect.stringMatching(/needs 1 of these keys: online-2/),
    });
    expect(desk.finish('online-2.key').code).toBe(0);
    expect(desk.json('import', 'hq/repository', '--dir', 'site')).toMatchObject({ applied: true });
    expect(
      readdirSync(desk.path('hq/repository/metadata')).filter((name) => name.endsWith('root.json')),
    ).toHaveLength(4);
    const wrong = desk.run('repo', 'rotate', 'hq', 'root', '--remove', 'mallory');
    expect([wrong.code, wrong.err]).toEqual([2, expect.stringMatching(/root has no key mallory/)]);
  });

  it('of the online kind refresh the timestamp without anybody else', async () => {
    const desk = new Desk();
    await desk.publisher();
    const before = readFileSync(desk.path('hq/repository/metadata/1.targets.json'));
    const refreshed = desk.json('repo', 'refresh', 'hq', '--key', 'online.key', '--passphrase-fd', '0');
    expect(refreshed).toMatchObject({ versions: { snapshot: 1, timestamp: 2 } });
    expect(readFileSync(desk.path('hq/repository/metadata/1.targets.json'))).toEqual(before);
    expect(desk.run('repo', 'refresh', 'hq', '--key', 'alice.key', '--passphrase-fd', '0')).toMatchObject({
      code: 2,
    });
    desk.json('repo', 'renew', 'hq', 'targets');
    expect(desk.sign('alice').err).toMatch(/only signed again/);
  });
});
