import { cpSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { archiveDir } from '../../daemon/ledger/archive.ts';
import { openDatabase } from '../../daemon/ledger/database.ts';
import { LEDGER_KIND } from '../../daemon/ledger/schema.ts';
import { ROOT } from '../structure/sources.ts';
import { ask, type Role, type RoleOptions, until, World } from '../world.ts';
import { verify } from './history.ts';
import { Random, SEED } from './random.ts';
import { inject, noStrace, withStrace } from './strace.ts';

const SEGMENT = 256;
const TIMEOUT = 180_000;

let world: World;
let policy: string;
let daemon: Role;

beforeAll(async () => {
  policy = mkdtempSync(join(tmpdir(), 'hf-policy-'));
  cpSync(join(ROOT, 'test/crash/policy'), policy, { recursive: true });
  const section = `archive_after: 1s\nkeep_entries_for: 1s\nsegment_size: ${SEGMENT}\n`;
  writeFileSync(join(policy, 'retention.yaml'), section);
  world = await World.make(policy);
  daemon = await world.daemon();
}, TIMEOUT);

afterAll(async () => {
  await world?.close();
  rmSync(policy, { recursive: true, force: true });
}, TIMEOUT);

/** Decisions that are denied at once, some more than fill so many segments. */
async function fill(segments: number): Promise<void> {
  for (let left = segments * SEGMENT; left > 0; left -= 8) {
    await Promise.all(
      Array.from({ length: 8 }, (_, at) =>
        world.client('request').createDecision(ask('unheard_of', `m-${left}-${at}`)),
      ),
    );
  }
  await pause(1_100);
}

/** Every entry's text, in order, as the daemon answers. */
async function everyEntry(): Promise<string[]> {
  const all: string[] = [];
  for (;;) {
    const { entries, size } = await world.client('operator').entries({ from: all.length, limit: 200 });
    for (const { entry } of entries) all.push(JSON.stringify(entry));
    if (all.length >= size) return all;
  }
}

const archiveFiles = (): string[] => {
  const directory = archiveDir(world.paths.ledger);
  return existsSync(directory) ? readdirSync(directory).filter((name) => name.endsWith('.zst')) : [];
};

function rows(): number {
  const database = openDatabase(world.paths.ledger, { kind: LEDGER_KIND, readonly: true });
  const count = database.prepareColumn<number>('SELECT count(*) FROM entries').get() ?? 0;
  database.close();
  return count;
}

/** After a kill: what lies there verifies, and the daemon that is started again has every entry as it was. */
async function expectWhole(before: readonly string[], options: RoleOptions = {}): Promise<void> {
  expect([0, 11]).toContain((await verify(world, world.copySite())).code);
  daemon = await world.daemon(options);
  expect((await everyEntry()).slice(0, before.length)).toEqual(before);
}

async function restart(options: RoleOptions): Promise<void> {
  await daemon.kill('SIGTERM');
  daemon = await world.daemon(options);
}

/** Removing goes on after every start, until nothing is left to remove. */
async function cleared(): Promise<void> {
  const { archived } = await world.client('operator').retention();
  const size = (await world.client('operator').entries({ limit: 1 })).size;
  await until('archived entries to leave the table', async () => rows() <= size - archived.entries);
}

const first = (n: number): string =>
  join(
    archiveDir(world.paths.ledger),
    `${String(n * SEGMENT).padStart(12, '0')}-${String((n + 1) * SEGMENT).padStart(12, '0')}.entries.zst`,
  );

describe(`a daemon that is killed while it archives (CRASH_SEED=${SEED})`, () => {
  it.skipIf(noStrace !== null)(
    `before its archive file is on record: nothing is archived, and the next round does it${withStrace}`,
    async () => {
      await fill(2);
      const before = await everyEntry();
      await restart({ wrap: inject('openat:signal=KILL', first(0)) });
      await expect(world.client('operator').prune(false)).rejects.toThrow();
      await daemon.ended;
      await expectWhole(before);
      expect((await world.client('operator').prune(false)).archived.map(({ first: at }) => at)).toContain(0);
      await cleared();
      expect((await everyEntry()).slice(0, before.length)).toEqual(before);
    },
    TIMEOUT,
  );

  it(
    'at random moments of rounds and removals: no entry is lost or changed',
    async () => {
      const random = new Random(SEED);
      for (let round = 0; round < 6; round++) {
        await fill(1);
        const before = await everyEntry();
        const pruning = world
          .client('operator')
          .prune(false)
          .catch(() => null);
        await pause(random.whole(0, 1_500));
        await daemon.kill();
        await pruning;
        await expectWhole(before);
      }
      await world.client('operator').prune(false);
      await cleared();
      const verified = await world.json('ledger', 'verify');
      expect(verified).toMatchObject({ code: 0, findings: [] });
      expect(archiveFiles().length).toBeGreaterThan(4);
    },
    TIMEOUT,
  );

  it.skipIf(noStrace !== null)(
    `between the record of a carried file and its removal: the same call ends it${withStrace}`,
    async () => {
      await fill(1);
      await world.client('operator').prune(false);
      await cleared();
      const stick = join(world.root, 'stick');
      cpSync(archiveDir(world.paths.ledger), stick, { recursive: true });
      const before = await everyEntry();
      await restart({ wrap: inject('unlink:signal=KILL', first(1)) });
      expect(
        (await world.holdfast('ledger', 'prune', '--carried', stick, '--to', 'cabinet 3')).code,
      ).not.toBe(0);
      await daemon.ended;
      // The record came first; whether the file went before the end, nobody can tell.
      if (!existsSync(first(0))) cpSync(stick, archiveDir(world.paths.ledger), { recursive: true });
      await expectWhole(before);
      const again = await world.json('ledger', 'prune', '--carried', stick, '--to', 'cabinet 3');
      expect(again.code).toBe(0);
      expect(archiveFiles()).toEqual([]);
      const elsewhere = await world.json('ledger', 'verify');
      expect(elsewhere).toMatchObject({ code: 0, findings: [] });
      const there = await world.json('ledger', 'verify', '--archive', stick);
      expect(there).toMatchObject({ code: 0, archive: { elsewhere: [] } });
      const shown = await world.holdfast('ledger', 'show', '20');
      expect(shown.stderr).toMatch(/carried off \(cabinet 3\)/);
    },
    TIMEOUT,
  );
});
