import { spawnSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { packagedFile } from './product.ts';

/* The native parts of the executable: where they are unpacked, and that nobody else's file is ever loaded. */

const executable = packagedFile('holdfast-linux-x64');

describe.skipIf(executable === null || process.arch !== 'x64')(
  'native addons of an executable',
  { timeout: 180_000 },
  () => {
    let root: string;
    let native: string;
    beforeAll(() => {
      root = mkdtempSync(join(tmpdir(), 'hf-addon-'));
      expect(
        run({}, 'init', '--site', 'x.example', '--profile', 'dev', '--dir', join(root, 'site')).code,
      ).toBe(0);
    });
    afterAll(() => rmSync(root, { recursive: true, force: true }));
    beforeEach(() => {
      native = mkdtempSync(join(root, 'given-'));
    });

    function run(env: Record<string, string>, ...args: string[]): { code: number | null; text: string } {
      const home = join(root, 'home');
      mkdirSync(home, { recursive: true });
      const { status, stdout, stderr } = spawnSync(executable ?? '', args, {
        encoding: 'utf8',
        env: { PATH: '/usr/bin:/bin', HOME: home, TMPDIR: root, ...env },
      });
      return { code: status, text: `${stdout}${stderr}` };
    }
    const verify = (env: Record<string, string> = { HOLDFAST_NATIVE_DIR: native }) =>
      run(env, 'ledger', 'verify', '--dir', join(root, 'site'));
    const unpacked = (): string => {
      const [name = ''] = readdirSync(join(native, 'native'));
      return join(native, 'native', name);
    };

    it('are unpacked once into the directory that was given, for their user alone', () => {
      expect(verify().code).toBe(0);
      expect(readdirSync(join(native, 'native'))).toEqual([
        expect.stringMatching(/^better_sqlite3-[0-9a-f]{16}\.node$/),
      ]);
      expect(statSync(unpacked()).mode & 0o777).toBe(0o500);
      const { ino, mtimeMs } = statSync(unpacked());
      expect(verify().code).toBe(0);
      expect(statSync(unpacked())).toMatchObject({ ino, mtimeMs });
    });

    it('leave nothing behind where no directory was given, and nothing in a home', () => {
      const before = readdirSync(root);
      expect(verify({}).code).toBe(0);
      expect(readdirSync(root)).toEqual(before);
      expect(readdirSync(join(root, 'home'))).toEqual([]);
    });

    it('are not loaded once somebody changed them', () => {
      verify();
      chmodSync(unpacked(), 0o700);
      appendFileSync(unpacked(), 'x');
      const refused = verify();
      expect(refused).toEqual({
        code: 10,
        text: expect.stringContaining('its content is not what this program carries'),
      });
      rmSync(unpacked());
      expect(verify().code).toBe(0);
    });

    it('are not loaded through a link, nor from a file that others may write', () => {
      verify();
      const path = unpacked();
      chmodSync(path, 0o577);
      expect(verify()).toEqual({ code: 10, text: expect.stringContaining('others may write it') });
      renameSync(path, join(native, 'elsewhere.node'));
      symlinkSync(join(native, 'elsewhere.node'), path);
      expect(verify()).toEqual({ code: 10, text: expect.stringContaining('was not loaded') });
    });

    it('go elsewhere when the directory cannot be used, unless nothing can', () => {
      const file = join(root, 'no-directory');
      appendFileSync(file, '');
      expect(verify({ HOLDFAST_NATIVE_DIR: file }).code).toBe(0);
      expect(verify({ HOLDFAST_NATIVE_DIR: file, TMPDIR: '/nonexistent' }).code).not.toBe(0);
    });
  },
);
