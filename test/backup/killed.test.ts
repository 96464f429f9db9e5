import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openBuilding } from '../../daemon/commands/init/building.ts';
import { lockFile } from '../../daemon/ledger/database.ts';
import { ROOT } from '../structure/sources.ts';
import { type BackupWorld, backupWorld, PATIENCE_MS } from './backup-world.ts';

/* A restore that is killed at any moment: what it leaves is never a site, and goes with the next one. */

const TRIES = 20;
let on: BackupWorld;
let file: string;

beforeAll(async () => {
  on = await backupWorld();
  file = join(on.world.root, 'killed.tar.zst.age');
  expect((await on.backup(file)).code).toBe(0);
}, PATIENCE_MS);

afterAll(() => on.world.close(), PATIENCE_MS);

function leftovers(name: string): string[] {
  const prefix = `.${name}.holdfast-init-`;
  return readdirSync(on.world.root).filter((found) => found.startsWith(prefix));
}

const built = (name: string): string[] => leftovers(name).filter((found) => !found.includes('init-lock'));

function begin(name: string): { child: ChildProcess; ended: Promise<void> } {
  const { root } = on.world;
  const args = ['restore', file, '--identity', on.identity, '--dir', join(root, name)];
  const child = spawn(process.execPath, [join(ROOT, 'daemon/main.ts'), ...args], {
    stdio: 'ignore',
    env: { ...process.env, NODE_OPTIONS: '' },
  });
  return { child, ended: new Promise((resolve) => child.once('exit', () => resolve())) };
}

/** Kills a restore when `path` is seen in what it builds. False when it was through before anybody looked. */
async function killedAt(name: string, path: string): Promise<boolean> {
  const { child, ended } = begin(name);
  const reached = (): boolean => built(name).some((found) => existsSync(join(on.world.root, found, path)));
  while (child.exitCode === null && !reached()) await turn();
  child.kill('SIGKILL');
  await ended;
  return built(name).length > 0;
}

test.each([
  ['when its directory is made', '.'],
  ['while the ledger is unpacked', 'state/unpacked/ledger.sqlite'],
  ['when the old log is in its place', 'state/former/1'],
  ['when the new log begins', 'state/ledger.sqlite'],
])(
  'killed %s, it leaves no site, and the next one clears what it left',
  async (_when, path) => {
    const name = `killed-${path.replaceAll(/[^a-z]/g, '')}`;
    const dir = join(on.world.root, name);
    let caught = false;
    for (let n = 0; n < TRIES && !caught; n++) {
      rmSync(dir, { recursive: true, force: true });
      caught = await killedAt(name, path);
    }
    expect(caught).toBe(true);
    expect(existsSync(dir)).toBe(false);
    const [left] = built(name);

    const { code, json } = await on.restore(file, name);
    expect(code).toBe(0);
    expect(json).toMatchObject({ cleared: [join(on.world.root, left ?? '')], left: [] });
    expect(leftovers(name)).toEqual([]);
  },
  PATIENCE_MS,
);

describe('what lies beside the place', () => {
  const place = (name: string): string => join(on.world.root, name);

  test('is cleared only where nobody holds it', () => {
    const first = openBuilding(place('held'));
    expect(() => openBuilding(place('held'))).toThrow(expect.objectContaining({ code: 'init.in_use' }));
    expect(existsSync(first.dir)).toBe(true);
    first.close();
    expect(leftovers('held')).toEqual([]);
    openBuilding(place('held')).close();
  });

  test('is not taken for its own when the name is longer, or not made by it', () => {
    const others = [
      '.mine.holdfast-init-',
      '.mine.holdfast-init-abc.def',
      '.mine.holdfast-init-longer7',
      '.mine.holdfast-init-x.holdfast-init-abcdef',
      '.mine.init-backup',
    ];
    for (const name of others) mkdirSync(place(name));
    mkdirSync(place('.mine.holdfast-init-abcdef'));
    const building = openBuilding(place('mine'));
    expect(building).toMatchObject({ cleared: [place('.mine.holdfast-init-abcdef')], left: [] });
    building.close();
    for (const name of others) expect(existsSync(place(name))).toBe(true);
  });

  test('a lock file that a killed process left is no lock', () => {
    const path = place('.again.holdfast-init-lock');
    lockFile(path).release();
    expect(existsSync(path)).toBe(true);
    openBuilding(place('again')).close();
    expect(existsSync(path)).toBe(false);
  });
});
