import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { debianPackage } from '../../packaging/debian.ts';
import { hostFiles } from '../../packaging/layout.ts';

const ROOT = join(import.meta.dirname, '../..');
const there = spawnSync('lintian', ['--version']).error === undefined;

describe.skipIf(!there)('lintian (Debian package lintian)', () => {
  let dir: string;
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), 'hf-lintian-'));
  });
  afterAll(() => rmSync(dir, { recursive: true, force: true }));

  it('has nothing to say about the package that was not decided', { timeout: 300_000 }, async () => {
    const executable = Buffer.from('#!/bin/sh\n');
    // Man pages are made of the commands, elsewhere.
    const man = { path: 'usr/share/man/man1/holdfast.1', mode: 0o644, content: Buffer.from('.TH x 1\n') };
    const files = hostFiles({
      root: ROOT,
      executable,
      licences: 'Copyright (c) 2026 Somebody\n',
      sbom: '{}',
      generated: dir,
      manifest: null,
    });
    const path = join(dir, 'holdfast_1.0.0_amd64.deb');
    writeFileSync(path, await debianPackage({ version: '1.0.0', arch: 'x64', files: [...files, man] }));
    const { stdout } = spawnSync('lintian', ['--allow-root', '--tag-display-limit', '0', path], {
      encoding: 'utf8',
      timeout: 240_000,
    });
    const tags = stdout.split('\n').filter((line) => /^[EW]:/.test(line));
    expect(tags.filter((line) => !/manual-page|no-manual|groff|man\b/.test(line))).toEqual([]);
  });
});
