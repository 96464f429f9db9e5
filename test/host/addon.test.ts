import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, it } from 'vitest';

/*
 * Loading the native parts that an executable carries, in a process of its own. The loader goes by paths, and descriptors
 * get the numbers of those that were closed.
 */

const ROOT = join(import.meta.dirname, '../..');

const LOAD_BOTH = `
import { readFileSync } from 'node:fs';
const paths = JSON.parse(process.argv[1]);
globalThis[Symbol.for('holdfast.embedding')] = {
  threadCode: '', names: Object.keys(paths), read: (name) => readFileSync(paths[name]),
};
const { loadAddon } = await import(process.argv[2]);
const kinds = Object.keys(paths).map((name) => Object.keys(loadAddon(name.slice('native/'.length, -'.node'.length))));
console.log(JSON.stringify(kinds));
`;

it('gives each addon what it asked for, whichever descriptor it comes through', () => {
  const system = `linux-${process.arch}`;
  const paths = {
    'native/better_sqlite3.node': join(ROOT, `node_modules/better-sqlite3/prebuilds/${system}.node`),
    'native/koffi.node': join(
      ROOT,
      `node_modules/@koromix/koffi-${system}/${system.replace('-', '_')}/koffi.node`,
    ),
  };
  const args = [JSON.stringify(paths), join(ROOT, 'daemon/host/addon.ts')];
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--input-type=module', '-e', LOAD_BOTH, ...args],
    { encoding: 'utf8', env: { PATH: process.env.PATH } },
  );
  expect(stderr).toBe('');
  expect(status).toBe(0);
  const [sqlite, koffi] = JSON.parse(stdout) as string[][];
  expect(sqlite).toContain('Database');
  expect(koffi).toContain('load');
  expect(koffi).not.toContain('Database');
});
