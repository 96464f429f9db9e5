import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { enrolmentOf, readEnrolment } from '../../daemon/commands/enrolment.ts';
import { initSite } from '../../daemon/commands/init/site.ts';
import { makeFolder, signFolder } from '../../daemon/commands/provision/make.ts';
import { openFolder } from '../../daemon/commands/provision/read.ts';
import { destroyFiles, secretFiles } from '../../daemon/commands/reset/keys.ts';
import { openInlineEngine } from '../../daemon/engine/inline.ts';
import { openEnrolment } from '../../daemon/formats/enrolment.ts';
import { PROVISIONING_FILE } from '../../daemon/formats/provisioning.ts';
import { loadConfig } from '../../daemon/host/config.ts';
import { sitePaths } from '../../daemon/host/site.ts';
import { codeOf, codeOfLater } from '../codes.ts';
import { temporaryDir } from '../host/temporary.ts';
import { SITE } from '../policy/publisher-world.ts';
import { CeremonyWorld } from '../sync/ceremony-world.ts';

const now = Date.now();

/** Headquarters, a folder that two of it signed, and a place for the box. */
async function headquarters() {
  const work = temporaryDir();
  const folder = join(work, 'folder');
  const hq = new CeremonyWorld(now);
  hq.propose(1);
  hq.ceremony(['alice', 'bob']);
  const made = await makeFolder({
    site: SITE,
    profile: 'appliance',
    repository: hq.repository,
    configFile: null,
    out: folder,
    now,
  });
  signFolder(folder, made.payload, hq.key('alice'));
  signFolder(folder, null, hq.key('carol'));
  return { hq, work, folder, dir: join(work, 'box') };
}

async function box() {
  const world = await headquarters();
  const provisioned = openFolder(world.folder);
  await initSite({ dir: world.dir, site: SITE, profile: 'appliance', provisioned });
  return world;
}

describe('a site from a provisioning folder', () => {
  it('begins as an appliance, with its policy and the root of headquarters', async () => {
    const { dir, hq } = await box();
    expect(loadConfig(dir)).toMatchObject({ site: SITE, profile: 'appliance', peers: { tls: true } });
    expect(readFileSync(join(sitePaths(dir).trust, 'root.json'))).toEqual(Buffer.from(hq.root));
    expect(existsSync(join(sitePaths(dir).state, 'provisioning'))).toBe(false);
  });

  it('introduces itself by its first entry, which names the folder', async () => {
    const { dir, folder } = await box();
    const paths = sitePaths(dir);
    const text = readFileSync(join(paths.outbox, 'enrolment.proof'), 'utf8');
    const enrolment = openEnrolment(text);
    expect(enrolment).toMatchObject({
      site: SITE,
      profile: 'appliance',
      provisioning: openFolder(folder).digest,
    });
    expect(readFileSync(join(paths.trust, 'ledger.vkey'), 'utf8').trim()).toBe(enrolment.vkey);
    const again = await enrolmentOf({ paths, config: loadConfig(dir) });
    expect(openEnrolment(again.text).vkey).toBe(enrolment.vkey);
  });

  it('its enrolment counts for nothing when any part of it was changed', async () => {
    const { dir } = await box();
    const text = readFileSync(join(sitePaths(dir).outbox, 'enrolment.proof'), 'utf8');
    const lines = text.split('\n');
    for (const [at, line] of lines.entries()) {
      if (line === '') continue;
      const changed = line.replace(/[A-Za-z0-9](?=[^A-Za-z0-9]*$)/, (char) => (char === 'A' ? 'B' : 'A'));
      const forged = lines.with(at, changed).join('\n');
      expect(
        codeOf(() => openEnrolment(forged)),
        line,
      ).not.toBe('accepted');
    }
  });

  it('two files are two sites, and text of something else is none', async () => {
    const { dir, work } = await box();
    const path = join(sitePaths(dir).outbox, 'enrolment.proof');
    expect(await codeOfLater(readEnrolment([path, path]))).toBe('enrolment.malformed');
    const other = join(work, 'other.txt');
    writeFileSync(other, 'hello\n');
    expect(await codeOfLater(readEnrolment([other]))).toBe('enrolment.malformed');
  });

  it.each([
    ['root.json', 'provision.altered'],
    ['holdfast.json', 'provision.altered'],
    ['repository/metadata/timestamp.json', 'provision.altered'],
    [PROVISIONING_FILE, 'json.'],
  ])('is not made when %s was changed on the way', async (name, code) => {
    const { folder, work } = await headquarters();
    const altered = join(work, `altered-${name.replaceAll('/', '-')}`);
    cpSync(folder, altered, { recursive: true });
    writeFileSync(join(altered, name), 'x', { flag: 'a' });
    const found = codeOf(() => openFolder(altered));
    if (code.endsWith('.')) expect(found).not.toBe('accepted');
    else expect(found).toBe(code);
  });

  it('a folder that too few signed is none, and strangers cannot sign it', async () => {
    const { hq, work } = await headquarters();
    const out = join(work, 'unsigned');
    const options = {
      site: SITE,
      profile: 'node',
      repository: hq.repository,
      configFile: null,
      out,
      now,
    } as const;
    const made = await makeFolder(options);
    expect(codeOf(() => openFolder(out))).toBe('provision.missing');
    expect(codeOf(() => signFolder(out, made.payload, hq.key('mallory')))).toBe('provision.not_a_signer');
    expect(signFolder(out, made.payload, hq.key('alice'))).toMatchObject({ signed: ['alice'], threshold: 2 });
    signFolder(out, null, hq.key('alice'));
    expect(codeOf(() => openFolder(out))).toBe('provision.unsigned');
  });

  it('is not made half: a policy that is refused leaves nothing behind', async () => {
    const { folder, work } = await headquarters();
    const late = { now: () => now + 4_000 * 86_400_000, monotonic: () => 0, uptime: () => 0 };
    const target = join(work, 'late');
    const provisioned = openFolder(folder);
    const action = () =>
      initSite({ dir: target, site: SITE, profile: 'appliance', provisioned, clock: late as never });
    expect(await codeOfLater(action())).toMatch(/^update\./);
    expect(existsSync(target)).toBe(false);
  });

  it('never changes its profile or its name, whatever its settings say', async () => {
    const { dir } = await box();
    const path = sitePaths(dir).config;
    const before = readFileSync(path, 'utf8');
    writeFileSync(path, before.replace('"appliance"', '"node"'));
    expect(await codeOfLater(openInlineEngine(dir))).toBe('config.other_profile');
    writeFileSync(path, before);
    const engine = await openInlineEngine(dir);
    await engine.stop('test');
  });

  it('its keys can be destroyed, every one, without following links', async () => {
    const { dir, work } = await box();
    const paths = sitePaths(dir);
    const files = secretFiles(paths);
    expect(files.map((path) => path.slice(dir.length))).toEqual(
      expect.arrayContaining([
        '/state/keys/ledger.key',
        '/state/keys/sealing.key',
        '/state/keys/tls-authority.key',
        '/gateway/tls/gateway.pem',
      ]),
    );
    const copy = join(work, 'destroyed');
    mkdirSync(copy);
    for (const [at, file] of files.entries()) cpSync(file, join(copy, `${at}.key`));
    const copies = files.map((_, at) => join(copy, `${at}.key`));
    destroyFiles(copies);
    expect(copies.filter((path) => existsSync(path))).toEqual([]);
  });
});
