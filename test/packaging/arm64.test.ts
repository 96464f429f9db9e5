import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { packagedFile } from './product.ts';

/* The package for ARM, unpacked and run on an emulated processor. */

const LIBRARIES = '/usr/aarch64-linux-gnu';
const VERSION = (JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }).version;
const shipped = packagedFile(`holdfast_${VERSION}_arm64.deb`);
const has = (tool: string) => spawnSync(tool, ['--version']).error === undefined;
const why =
  shipped === null
    ? 'nothing is packaged'
    : !has('dpkg-deb') || !has('qemu-aarch64-static') || !existsSync(LIBRARIES)
      ? 'dpkg-deb, qemu-aarch64-static or the libraries for ARM are not installed'
      : null;

describe.skipIf(why !== null)(`the arm64 package${why === null ? '' : ` (${why})`}`, () => {
  let dir: string;
  const run = (...args: string[]) =>
    execFileSync('qemu-aarch64-static', ['-L', LIBRARIES, join(dir, 'root/usr/bin/holdfast'), ...args], {
      encoding: 'utf8',
      env: { PATH: '/usr/bin:/bin', HOLDFAST_DIR: join(dir, 'site') },
    });

  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), 'holdfast-arm64-'));
    execFileSync('dpkg-deb', ['-x', String(shipped), join(dir, 'root')]);
  }, 120_000);
  afterAll(() => rmSync(dir, { recursive: true, force: true }));

  it('is of that processor, and knows its version', () => {
    // ELF header: machine 183 is AArch64.
    expect(readFileSync(join(dir, 'root/usr/bin/holdfast')).readUInt16LE(18)).toBe(183);
    expect(run('--version').trim()).toBe(VERSION);
  }, 120_000);

  it('makes a site whose ledger verifies', () => {
    run('init', '--site', 'x.example', '--profile', 'dev');
    const report = JSON.parse(run('ledger', 'verify', '--json')) as { code: number; entries: number };
    expect([report.code, report.entries > 0]).toEqual([0, true]);
  }, 240_000);

  it('carries the same units and pages as the one for x64', () => {
    const list = (arch: string) =>
      execFileSync('dpkg-deb', ['-c', String(packagedFile(`holdfast_${VERSION}_${arch}.deb`))], {
        encoding: 'utf8',
        maxBuffer: 1e8,
      })
        .trim()
        .split('\n')
        .map((line) => line.slice(line.indexOf('./')));
    expect(list('arm64')).toEqual(list('amd64'));
  });
});
