import {
  appendFileSync,
  closeSync,
  copyFileSync,
  existsSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ApiClient } from '../../daemon/api/client.ts';
import { composeEngine } from '../../daemon/engine/compose.ts';
import { Engine } from '../../daemon/engine/engine.ts';
import { BoundaryError } from '../../daemon/formats/boundary-error.ts';
import type { SitePaths } from '../../daemon/host/site.ts';
import { openHeadStore } from '../../daemon/ledger/head-store.ts';
import { ask, ORIGIN, World } from '../world.ts';
import { verify } from './history.ts';
import { SEED } from './random.ts';

/* Copies of a site's files, damaged one way each: what the verifier calls it, and whether a daemon goes on from there. */

let world: World;
let other: World;
/** As a kill -9 left it: everything newer than the start in the log, some of it newer than the second copy. */
let crashed: SitePaths;
/** As an orderly stop left it, at an early and at a later time. */
let early: SitePaths;
let late: SitePaths;
let commits: Commit[];
let headSize: number;

/** A commit in the log beside a database: where it ends, and how many entries the ledger has then. */
interface Commit {
  end: number;
  size: number;
}

const FRAME = 24 + 4096;

beforeAll(async () => {
  [world, other] = await Promise.all([World.make(), World.make()]);
  const client = world.client('request');
  const orderly = await world.daemon();
  for (let n = 0; n < 5; n++) await client.createDecision(ask('mark', `early-${n}`));
  await orderly.kill('SIGTERM');
  early = world.copySite();
  const newest = await killedAhead(client);
  crashed = world.copySite();
  commits = commitsOf(`${crashed.ledger}-wal`, newest + 1);
  headSize = copied(crashed);
  await (await world.daemon()).kill('SIGTERM');
  late = world.copySite();
});
afterAll(() => Promise.all([world?.close(), other?.close()]));

/**
 * Kills a daemon soon after the second copy followed, which it does twice a second: with some commits of one entry each
 * ahead of it. Again where it caught up before the daemon was dead. Resolves with the index of the newest entry.
 */
async function killedAhead(client: ApiClient): Promise<number> {
  for (let round = 0; ; round++) {
    const daemon = await world.daemon();
    const started = performance.now();
    let newest = 0;
    for (let n = 0; ; n++) {
      const { ledger } = await client.createDecision(ask('mark', `m-${round}-${n}`));
      newest = ledger.record_id ?? 0;
      if (performance.now() - started > 800 && isSomeAhead(newest)) break;
    }
    await daemon.kill();
    if (isSomeAhead(newest)) return newest;
  }
}

function isSomeAhead(newest: number): boolean {
  const ahead = newest + 1 - copied(world.paths);
  return ahead >= 3 && ahead <= 30;
}

/** How many entries the second copy covers. */
function copied({ head }: SitePaths): number {
  const heads = openHeadStore(head, { readonly: true });
  try {
    return heads.read(ORIGIN)?.size ?? 0;
  } finally {
    heads.close();
  }
}

/** SQLite file format §4: frames with the header's salts; those that commit say how large the database is then. */
function commitsOf(path: string, size: number): Commit[] {
  const log = readFileSync(path);
  const ends: number[] = [];
  for (let at = 32; at + FRAME <= log.length; at += FRAME) {
    if (!log.subarray(at + 8, at + 16).equals(log.subarray(16, 24))) break;
    if (log.readUInt32BE(at + 4) !== 0) ends.push(at + FRAME);
  }
  return ends.map((end, index) => ({ end, size: size - (ends.length - 1 - index) }));
}

/** A fresh copy of a site's two databases and logs over those of the world's own, which nobody uses any more. */
function lay(from: SitePaths): SitePaths {
  const { paths } = world;
  for (const name of ['ledger', 'head'] as const) {
    for (const suffix of ['', '-wal', '-shm']) {
      rmSync(paths[name] + suffix, { force: true });
      if (suffix !== '-shm' && existsSync(from[name] + suffix))
        copyFileSync(from[name] + suffix, paths[name] + suffix);
    }
  }
  return paths;
}

/** The verifier's code, of files that it does not change. */
async function codeOf(paths: SitePaths): Promise<number | string> {
  const before = [paths.ledger, `${paths.ledger}-wal`].map(
    (path) => existsSync(path) && readFileSync(path).toString('base64'),
  );
  try {
    return (await verify(world, { ...paths })).code;
  } catch (error) {
    if (!(error instanceof BoundaryError)) throw error;
    return error.code;
  } finally {
    const after = [paths.ledger, `${paths.ledger}-wal`].map(
      (path) => existsSync(path) && readFileSync(path).toString('base64'),
    );
    expect(after).toEqual(before);
  }
}

/** Opens the engine as a daemon does; the code with which it refuses, or null, and then the ledger is intact. */
async function refusal(paths: SitePaths): Promise<string | null> {
  try {
    new Engine(composeEngine({ dir: paths.root })).close();
  } catch (error) {
    if (!(error instanceof BoundaryError)) throw error;
    expect(error.message).toMatch(/\. .*(verify|init|backup|program|key)/i);
    return error.code;
  }
  expect((await verify(world)).code).toBe(0);
  return null;
}

describe('a log that was cut or garbled', () => {
  it('was ahead of the second copy when it was left', () => {
    const above = commits.filter(({ size }) => size > headSize);
    const below = commits.filter(({ size }) => size < headSize);
    expect(above.length).toBeGreaterThan(2);
    expect(below.length).toBeGreaterThan(3);
    expect(commits.at(-1)?.size).toBeGreaterThan(headSize);
  });

  it(`is a torn tail above the second copy and a loss below it, wherever it is cut (seed ${SEED})`, async () => {
    const total = commits.at(-1)?.end ?? 0;
    const nearHead = commits.find(({ size }) => size >= headSize)?.end ?? 0;
    const cuts = fc.oneof(
      fc.integer({ min: 0, max: total }),
      fc.integer({ min: Math.max(0, nearHead - 3 * FRAME), max: nearHead + 3 * FRAME }),
      fc.constantFrom(...commits.map(({ end }) => end)),
    );
    await fc.assert(
      fc.asyncProperty(cuts, async (cut) => {
        const paths = lay(crashed);
        truncateSync(`${paths.ledger}-wal`, cut);
        const left = commits.findLast(({ end }) => end <= cut)?.size ?? 0;
        const code = await codeOf(paths);
        if (left < headSize) {
          expect([10, 14]).toContain(code);
          expect(['ledger.rolled_back', 'ledger.damaged']).toContain(await refusal(paths));
          return;
        }
        // A cut exactly between two commits leaves no trace.
        expect(code).toBe(commits.some(({ end }) => end === cut) ? 0 : 11);
        expect(await refusal(paths)).toBe(null);
      }),
      { seed: SEED, numRuns: 25 },
    );
  });

  it(`is tampered with unless only its last commit is hit, which may be torn (seed ${SEED})`, async () => {
    const total = commits.at(-1)?.end ?? 0;
    const lastStart = commits.at(-2)?.end ?? 0;
    const places = fc.oneof(
      fc.integer({ min: 0, max: total - 1 }),
      fc.integer({ min: lastStart, max: total - 1 }),
    );
    await fc.assert(
      fc.asyncProperty(places, fc.integer({ min: 1, max: 255 }), async (at, mask) => {
        const paths = lay(crashed);
        flip(`${paths.ledger}-wal`, at, mask);
        const code = await codeOf(paths);
        expect(code).toBe(at < lastStart ? 10 : 11);
        expect(await refusal(paths)).toBe(at < lastStart ? 'ledger.damaged' : null);
      }),
      { seed: SEED, numRuns: 25 },
    );
  });

  it('is no torn tail when the second copy knows what its last commit held', async () => {
    const paths = lay(crashed);
    new Engine(composeEngine({ dir: paths.root })).close();
    const heads = openHeadStore(paths.head, { readonly: true });
    const known = heads.read(ORIGIN)?.size ?? 0;
    heads.close();
    expect(known).toBeGreaterThan(commits.at(-1)?.size ?? 0);
    for (const suffix of ['', '-wal']) copyFileSync(crashed.ledger + suffix, paths.ledger + suffix);
    const last = commits.at(-1)?.end ?? 0;
    for (const cut of [last, last - 1, last - FRAME]) {
      truncateSync(`${paths.ledger}-wal`, cut);
      expect(await codeOf(paths)).toBe(14);
      expect(await refusal(paths)).toBe('ledger.rolled_back');
    }
  });

  it('keeps a daemon from starting with words and exit code 5, or is repaired by its start', async () => {
    const lost = lay(crashed);
    truncateSync(`${lost.ledger}-wal`, (commits.find(({ size }) => size === headSize - 1)?.end ?? 0) + 100);
    const refused = await (await world.daemon({ unready: true })).ended;
    expect(refused.code).toBe(5);
    expect(refused.stderr).toMatch(/^holdfast: The ledger .* was not opened: .*Run ledger verify/);
    expect(refused.stderr).not.toMatch(/ at .*\.ts:/);
    expect((await world.holdfast('ledger', 'verify')).code).toBe(14);

    const torn = lay(crashed);
    truncateSync(`${torn.ledger}-wal`, (commits.at(-1)?.end ?? 0) - 100);
    const verified = await world.holdfast('ledger', 'verify');
    expect(verified.code).toBe(11);
    expect(verified.stdout).toMatch(/TORN TAIL/);
    const daemon = await world.daemon();
    expect((await world.client('request').createDecision(ask('mark', 'after'))).status).toBe('authorized');
    await daemon.kill('SIGTERM');
    expect((await world.holdfast('ledger', 'verify')).code).toBe(0);
  });
});

describe('a file that was cut, replaced or removed', () => {
  const cases: [
    what: string,
    damage: (paths: SitePaths) => void,
    codes: (number | string)[],
    refusals: string[],
  ][] = [
    [
      'the last page is missing',
      ({ ledger }) => truncateSync(ledger, statSync(ledger).size - 4096),
      [14],
      ['ledger.damaged'],
    ],
    [
      'half of it is missing',
      ({ ledger }) => truncateSync(ledger, 4096 * Math.floor(statSync(ledger).size / 8192)),
      [14],
      ['ledger.damaged'],
    ],
    [
      'a part of a page is missing',
      ({ ledger }) => truncateSync(ledger, statSync(ledger).size - 100),
      [14],
      ['ledger.damaged'],
    ],
    ['it is empty', ({ ledger }) => truncateSync(ledger, 0), [10, 14], ['ledger.damaged']],
    [
      'it is text',
      ({ ledger }) => writeFileSync(ledger, 'not a database\n'.repeat(2000)),
      [10],
      ['database.unreadable'],
    ],
    ['it is the second copy', ({ ledger, head }) => copyFileSync(head, ledger), [10], ['database.kind']],
    [
      'it is of another site of that name',
      ({ ledger }) => copyFileSync(other.paths.ledger, ledger),
      [10, 13, 14],
      ['ledger.key'],
    ],
    [
      'an older copy was put back',
      ({ ledger }) => copyFileSync(early.ledger, ledger),
      [14],
      ['ledger.rolled_back'],
    ],
    ['something was appended', ({ ledger }) => appendFileSync(ledger, Buffer.alloc(4096, 7)), [0], []],
    ['it is gone', ({ ledger }) => rmSync(ledger), ['database.missing'], ['database.missing']],
    ['the second copy is gone', ({ head }) => rmSync(head), [10], ['database.missing']],
    ['the second copy is empty', ({ head }) => truncateSync(head, 0), [10], ['database.kind']],
    [
      'the second copy is the ledger',
      ({ ledger, head }) => copyFileSync(ledger, head),
      [10],
      ['database.kind'],
    ],
    ['the two have changed places', swap, [10], ['database.kind']],
    [
      'the second copy is of another site of that name',
      ({ head }) => copyFileSync(other.paths.head, head),
      [10, 13],
      ['ledger.forked', 'ledger.rolled_back'],
    ],
    ['the second copy is an older one', ({ head }) => copyFileSync(early.head, head), [0], []],
  ];

  it.each(cases)('is called what it is when %s', async (_, damage, codes, refusals) => {
    const paths = lay(late);
    damage(paths);
    expect(codes).toContain(await codeOf(paths));
    const refused = await refusal(paths);
    if (refusals.length === 0) expect(refused).toBe(null);
    else expect(refusals).toContain(refused);
  });

  it('is not made anew by a daemon that misses it', async () => {
    const paths = lay(late);
    rmSync(paths.ledger);
    const { code, stderr } = await (await world.daemon({ unready: true })).ended;
    expect(code).toBe(5);
    expect(stderr).toMatch(/^holdfast: .* is missing; nothing was created in its place/);
    expect(existsSync(paths.ledger)).toBe(false);
  });

  it('loses what lay in a log that was removed, which the second copy shows', async () => {
    const paths = lay(crashed);
    rmSync(`${paths.ledger}-wal`);
    expect(await codeOf(paths)).toBe(14);
    expect(await refusal(paths)).toBe('ledger.rolled_back');
  });
});

function swap({ ledger, head }: SitePaths): void {
  renameSync(ledger, `${ledger}.aside`);
  renameSync(head, ledger);
  renameSync(`${ledger}.aside`, head);
}

function flip(path: string, at: number, mask: number): void {
  const byte = readFileSync(path)[at] ?? 0;
  const file = openSync(path, 'r+');
  writeSync(file, Uint8Array.of(byte ^ mask), 0, 1, at);
  closeSync(file);
}
