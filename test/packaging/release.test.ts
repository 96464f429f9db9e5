import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { RELEASE_NAMESPACE, signChecksums, writeChecksums } from '../../packaging/release.ts';

const none = spawnSync('ssh-keygen', ['-?']).error !== undefined;

describe('checksums of a release', () => {
  let dir: string;
  let keys: string;
  beforeEach(() => {
    keys = mkdtempSync(join(tmpdir(), 'holdfast-release-key-'));
    dir = mkdtempSync(join(tmpdir(), 'holdfast-release-'));
    writeFileSync(join(dir, 'b.deb'), 'b');
    writeFileSync(join(dir, 'a.tar.gz'), 'a');
  });
  afterEach(() => {
    for (const path of [dir, keys]) rmSync(path, { recursive: true, force: true });
  });

  it('are those that sha256sum checks, one for each file and none for itself', () => {
    writeChecksums(dir);
    writeChecksums(dir);
    const lines = readFileSync(join(dir, 'SHA256SUMS'), 'utf8').trim().split('\n');
    expect(lines.map((line) => line.slice(66))).toEqual(['a.tar.gz', 'b.deb']);
    execFileSync('sha256sum', ['--quiet', '--strict', '-c', 'SHA256SUMS'], { cwd: dir });
  });

  it.skipIf(none)('are signed by a key that ssh-keygen believes, and by no other', () => {
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(keys, 'key')]);
    const signers = `holdfast-release ${readFileSync(join(keys, 'key.pub'), 'utf8')}`;
    writeChecksums(dir);
    signChecksums(dir, join(keys, 'key'));
    writeFileSync(join(dir, 'release-signers'), signers);
    const sums = readFileSync(join(dir, 'SHA256SUMS'), 'utf8');
    expect(verify(sums).status).toBe(0);
    expect(verify(sums.replace('a', 'b')).status).not.toBe(0);
  });

  function verify(input: string): { status: number | null } {
    const who = ['-f', join(dir, 'release-signers'), '-I', 'holdfast-release', '-n', RELEASE_NAMESPACE];
    return spawnSync('ssh-keygen', ['-Y', 'verify', ...who, '-s', join(dir, 'SHA256SUMS.sig')], { input });
  }
});
