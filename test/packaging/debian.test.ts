import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { debianPackage } from '../../packaging/debian.ts';
import { systemdPlace } from '../../packaging/layout.ts';
import { script } from '../../packaging/scripts.ts';
import { tarball } from '../../packaging/tarball.ts';
import { filesAround } from './product.ts';

const NAMES = ['preinst', 'postinst', 'prerm', 'postrm', 'install.sh'];
const has = (tool: string) => spawnSync(tool, ['--version']).error === undefined;

// The real files around a program of one line.
const files = [
  ...filesAround(Buffer.from('#!/bin/sh\necho 0.1.0\n')),
  { path: 'etc/holdfast/example', mode: 0o644, content: Buffer.from('setting\n') },
];
let dir: string;
let path: string;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'holdfast-deb-'));
  path = join(dir, 'holdfast_1.2.3_arm64.deb');
  writeFileSync(path, await debianPackage({ version: '1.2.3', arch: 'arm64', files }));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const dpkg = (...args: string[]) => execFileSync('dpkg-deb', args, { encoding: 'utf8', maxBuffer: 1e8 });

describe.skipIf(!has('dpkg-deb'))('what dpkg-deb says of the package', () => {
  it('is for the right processor, and names what it needs', () => {
    const field = (name: string) => dpkg('-f', path, name).trim();
    expect(field('Package')).toBe('holdfast');
    expect(field('Version')).toBe('1.2.3');
    expect(field('Architecture')).toBe('arm64');
    expect(field('Depends')).toContain('libc6 (>= 2.34)');
    expect(Number(field('Installed-Size'))).toBeGreaterThan(100);
    expect(field('Description').split('\n')[0]?.length).toBeLessThan(80);
  });

  it('has everything of root, nothing writable by others, nothing set-uid, nothing outside of its places', () => {
    const lines = dpkg('-c', path).trim().split('\n');
    expect(lines.length).toBeGreaterThan(30);
    for (const line of lines) {
      expect(line).toMatch(/^[d-]rw(x|-)r-(x|-)r-(x|-) root\/root /);
      expect(line).toMatch(
        / \.\/(usr\/(|bin\/.*|lib\/(|systemd\/.*|sysusers\.d\/.*|tmpfiles\.d\/.*|udev\/.*)|share\/.*)|etc\/.*)$/,
      );
    }
    const executable = lines.filter((line) => /^-rwx/.test(line));
    expect(executable).toHaveLength(1);
    expect(executable[0]).toContain('./usr/bin/holdfast');
  });

  it('lists digests that are true, and what an operator may change', () => {
    const root = join(dir, 'root');
    dpkg('-x', path, root);
    dpkg('-e', path, join(dir, 'control'));
    execFileSync('md5sum', ['--quiet', '-c', join(dir, 'control/md5sums')], { cwd: root });
    expect(readFileSync(join(dir, 'control/conffiles'), 'utf8')).toBe('/etc/holdfast/example\n');
    for (const name of NAMES.slice(0, 4))
      expect(statSync(join(dir, 'control', name)).mode & 0o777).toBe(0o755);
    const docs = readdirSync(join(root, 'usr/share/doc/holdfast'));
    expect(docs).toEqual(
      expect.arrayContaining(['README.md', 'changelog.gz', 'copyright', 'docs', 'sbom.cdx.json.gz']),
    );
  });
});

it('is the same package each time', async () => {
  const again = await debianPackage({ version: '1.2.3', arch: 'arm64', files: [...files].reverse() });
  expect(Buffer.from(again).equals(readFileSync(path))).toBe(true);
});

describe('the scripts', () => {
  const facts = { version: '1.2.3', machine: 'x86_64' };

  it.each(NAMES)('%s is a script that a POSIX shell reads, with every blank filled', (name) => {
    const text = script(name, facts);
    expect(text).toMatch(/^#!\/bin\/sh\n/);
    expect(text).toMatch(/^set -eu$/m);
    expect(text).not.toMatch(/@[A-Z_]+@|^#include/m);
    const { status, stderr } = spawnSync('sh', ['-n'], { input: text, encoding: 'utf8' });
    expect([status, stderr]).toEqual([0, '']);
  });

  it.skipIf(!has('shellcheck')).each(NAMES)('shellcheck finds nothing in %s', (name) => {
    const { stdout } = spawnSync('shellcheck', ['-s', 'sh', '-'], {
      input: script(name, facts),
      encoding: 'utf8',
    });
    expect(stdout).toBe('');
  });

  it('know the formats of the sources', () => {
    expect(script('preinst', facts)).toMatch(/^LEDGER_FORMAT=\d+$/m);
    expect(script('preinst', { ...facts, formats: { ledger: 7, head: 3 } })).toMatch(
      /^LEDGER_FORMAT=7\nHEAD_FORMAT=3$/m,
    );
  });
});

describe('the archive for other hosts', () => {
  it('has digests of all that is in it, and is the same each time', async () => {
    const bytes = await tarball({ version: '1.2.3', arch: 'x64', files });
    expect(Buffer.from(await tarball({ version: '1.2.3', arch: 'x64', files })).equals(bytes)).toBe(true);
    execFileSync('tar', ['-xz', '-C', dir], { input: bytes });
    const root = join(dir, 'holdfast-1.2.3-linux-x64');
    execFileSync('sha256sum', ['--quiet', '--strict', '-c', 'SHA256SUMS'], { cwd: root });
    const listed = readFileSync(join(root, 'SHA256SUMS'), 'utf8').trim().split('\n').length;
    const there = readdirSync(root, { recursive: true, withFileTypes: true }).filter((one) => one.isFile());
    expect(listed).toBe(there.length - 1);
    expect(statSync(join(root, 'install.sh')).mode & 0o777).toBe(0o755);
  });
});

describe('the place of a file of systemd/', () => {
  it.each([
    ['holdfast-daemon.service', 'usr/lib/systemd/system/holdfast-daemon.service'],
    ['holdfast-import@.service', 'usr/lib/systemd/system/holdfast-import@.service'],
    ['x.service.d/10-y.conf', 'usr/lib/systemd/system/x.service.d/10-y.conf'],
    ['sysusers.d/holdfast.conf', 'usr/lib/sysusers.d/holdfast.conf'],
    ['tmpfiles.d/holdfast.conf', 'usr/lib/tmpfiles.d/holdfast.conf'],
    ['holdfast-site.tmpfiles', 'usr/share/holdfast/holdfast-site.tmpfiles'],
    ['udev/90-holdfast.rules', 'usr/lib/udev/rules.d/90-holdfast.rules'],
    ['drop-ins/strict.conf', 'usr/share/doc/holdfast/systemd/drop-ins/strict.conf'],
  ])('%s → %s', (path, place) => expect(systemdPlace(path)).toBe(place));

  it('is known, or nothing is packaged', () => {
    expect(() => systemdPlace('holdfast.conf')).toThrow('nobody knows where systemd/holdfast.conf goes');
  });
});
