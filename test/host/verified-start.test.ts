import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import type { Embedding } from '../../daemon/host/embedded.ts';
import { assertOwnProgram, checkOwnProgram, type OwnProgram } from '../../daemon/host/verified-start.ts';
import { VERSION } from '../../daemon/host/version.ts';
import { releasePublicKey, signedManifest } from '../../packaging/manifest.ts';
import { codeOfLater } from '../codes.ts';

/* A program that holds itself against a manifest made and signed by the packaging, with a real ssh-keygen. */

const ARCH = process.arch as 'x64' | 'arm64';
const dir = mkdtempSync(join(tmpdir(), 'holdfast-manifest-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));
const key = join(dir, 'release');
execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'somebody@somewhere', '-f', key]);
execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(dir, 'other')]);

const program = join(dir, 'holdfast');
const manifest = `${program}.manifest`;
const ADDON = Buffer.from('an addon');

function inside(changes: Record<string, Uint8Array> = {}): Embedding {
  const line = releasePublicKey({ HOLDFAST_RELEASE_KEY: key }) ?? '';
  const files: Record<string, Uint8Array> = {
    'release.pub': Buffer.from(line),
    'native/koffi.node': ADDON,
    ...changes,
  };
  return { threadCode: '', names: Object.keys(files), read: (name) => files[name] ?? new Uint8Array() };
}

function own(changes: Partial<OwnProgram> = {}): OwnProgram {
  return { inside: inside(), program, path: program, manifests: [manifest], ...changes };
}

function sign(changes: { version?: string; arch?: 'x64' | 'arm64'; key?: string } = {}): void {
  const executable = readFileSync(program);
  writeFileSync(
    manifest,
    signedManifest({ version: VERSION, arch: ARCH, executable, addons: { koffi: ADDON }, key, ...changes }),
  );
}

beforeEach(() => {
  writeFileSync(program, Buffer.alloc(9_000_000, 'program'));
  sign();
});

describe('a released program', () => {
  it('finds that it is what was released', async () => {
    expect(await checkOwnProgram(own())).toEqual({ state: 'signed', manifest, version: VERSION, files: 2 });
    expect(await codeOfLater(assertOwnProgram('appliance', own(), {}))).toBe('accepted');
  });

  it('finds a changed byte, wherever it is', async () => {
    for (const at of [0, 4_500_000, 8_999_999]) {
      const bytes = readFileSync(program);
      bytes[at] = (bytes[at] ?? 0) ^ 1;
      writeFileSync(program, bytes);
      expect(await codeOfLater(checkOwnProgram(own()))).toBe('program.changed');
    }
  });

  it('finds another native part, and one that nobody signed', async () => {
    const other = inside({ 'native/koffi.node': Buffer.from('an axe on') });
    expect(await codeOfLater(checkOwnProgram(own({ inside: other })))).toBe('program.changed');
    const more = inside({ 'native/more.node': Buffer.from('more') });
    expect(await codeOfLater(checkOwnProgram(own({ inside: more })))).toBe('program.changed');
  });

  it('does not take a manifest by another key, for another version, another processor, or none', async () => {
    sign({ key: join(dir, 'other') });
    expect(await codeOfLater(checkOwnProgram(own()))).toBe('manifest.unsigned');
    sign({ version: '9.9.9' });
    expect(await codeOfLater(checkOwnProgram(own()))).toBe('program.changed');
    sign({ arch: ARCH === 'x64' ? 'arm64' : 'x64' });
    expect(await codeOfLater(checkOwnProgram(own()))).toBe('program.changed');
    expect(await codeOfLater(checkOwnProgram(own({ manifests: [join(dir, 'none')] })))).toBe(
      'program.no_manifest',
    );
  });
});

describe('an unsigned program', () => {
  const build: Embedding = { threadCode: '', names: ['native/koffi.node'], read: () => ADDON };

  it('says so, and is no appliance unless somebody accepts it', async () => {
    expect(await checkOwnProgram(own({ inside: build }))).toEqual({
      state: 'unsigned',
      reason: 'development_build',
    });
    expect(await checkOwnProgram(own({ inside: null }))).toEqual({ state: 'unsigned', reason: 'checkout' });
    expect(await codeOfLater(assertOwnProgram('node', own({ inside: build }), {}))).toBe('accepted');
    expect(await codeOfLater(assertOwnProgram('appliance', own({ inside: build }), {}))).toBe(
      'program.unsigned',
    );
    expect(await codeOfLater(assertOwnProgram('appliance', own({ inside: null }), {}))).toBe(
      'program.unsigned',
    );
    const accepting = { HOLDFAST_UNSIGNED: 'accept' };
    expect(await codeOfLater(assertOwnProgram('appliance', own({ inside: null }), accepting))).toBe(
      'accepted',
    );
  });
});

describe('the release key', () => {
  it('is embedded without its comment', () => {
    expect(releasePublicKey({ HOLDFAST_RELEASE_KEY: key })).toMatch(/^ssh-ed25519 [A-Za-z0-9+/=]+\n$/);
    expect(releasePublicKey({ HOLDFAST_RELEASE_PUBLIC_KEY: `${key}.pub` })).toBe(
      releasePublicKey({ HOLDFAST_RELEASE_KEY: key }),
    );
    expect(releasePublicKey({})).toBeNull();
    expect(() => releasePublicKey({ HOLDFAST_RELEASE_KEY: join(dir, 'absent') })).toThrow('is missing');
  });
});
