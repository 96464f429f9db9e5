import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DecisionReply } from '../../daemon/api/client.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { ask, type Role, until, World } from '../world.ts';
import { expectIntact, expectKept, expectProven, verify } from './history.ts';
import { Load } from './load.ts';
import { inject, noStrace, withStrace } from './strace.ts';

let world: World;
beforeAll(async () => {
  world = await World.make();
});
afterAll(() => world?.close());

const state = (name: string) => join(world.paths.state, name);
let asked = 0;

/** Asks until the answer is no, with what was acknowledged until then. */
async function askUntilDenied(): Promise<{
  load: Load;
  last: DecisionReply | null;
  key: string;
  problem: JsonObject;
}> {
  const load = new Load(world, asked);
  const client = world.client('request');
  for (let last: DecisionReply | null = null; ; ) {
    const key = `e-${asked++}`;
    const answer: DecisionReply | JsonObject = await client
      .createDecision(ask('mark', key), { idempotencyKey: key })
      .catch((error: { body: JsonObject }) => error.body);
    if (!('decision_id' in answer)) return { load, last, key, problem: answer };
    last = answer as DecisionReply;
    load.decided(last);
    await pause(20);
  }
}

/** Says no to everything, and says why and what to do, on every way there is to ask. */
async function expectUnavailable(cause: RegExp, last: DecisionReply | null): Promise<void> {
  const { ready, ledger, degraded } = (await world.client('operator').status()) as unknown as {
    ready: boolean;
    ledger: { write_state: string };
    degraded: { component: string; cause: string; effect: string; instruction: string }[];
  };
  expect(ready).toBe(false);
  expect(ledger.write_state).toBe('unavailable');
  expect(degraded).toHaveLength(1);
  expect(degraded[0]?.component).toBe('ledger');
  expect(degraded[0]?.cause).toMatch(cause);
  expect(degraded[0]?.effect).toMatch(/every request is denied/);
  expect(degraded[0]?.instruction).toMatch(/\./);
  expect((await world.client('request').ready()).ready).toBe(false);
  if (last?.permit === undefined) return;
  const body = { audience: 'gateway', action_digest: last.action_digest };
  const redeeming = world.client('redeem').redeem(last.permit.id, body);
  await expect(redeeming).rejects.toMatchObject({ status: 503, code: 'ledger.unavailable' });
}

async function expectRecovered(load: Load, key: string): Promise<void> {
  const client = world.client('request');
  const again = await client.createDecision(ask('mark', key), { idempotencyKey: key });
  const twice = await client.createDecision(ask('mark', key), { idempotencyKey: key });
  expect(twice.decision_id).toBe(again.decision_id);
  const { ready, degraded } = await world.client('operator').status();
  expect({ ready, degraded }).toEqual({ ready: true, degraded: [] });
  const truth = await expectIntact(world);
  expectProven(world, load.acknowledged);
  expectKept(truth, load.acknowledged);
  expect(
    truth.entries.filter(
      ({ data }) =>
        (data.action as JsonObject | undefined)?.target !== undefined &&
        JSON.stringify(data.action).includes(`"${key}"`),
    ),
  ).toHaveLength(1);
}

const WAL = ['ledger.sqlite-wal'];
const LEDGER = ['ledger.sqlite-wal', 'ledger.sqlite'];
const HEAD = ['head.sqlite-wal', 'head.sqlite'];

describe.skipIf(noStrace !== null)(`a daemon whose disk reports errors${withStrace}`, () => {
  it.each([
    ['the sync of the log fails once', 'fsync:error=EIO:when=6', WAL, /IOERR/],
    ['the sync of the log fails, and cleaning up after it', 'fsync:error=EIO:when=6..9', LEDGER, /IOERR/],
    ['a write to the log fails in the middle of a batch', 'pwrite64:error=EIO:when=23..24', WAL, /IOERR/],
    ['there is no space for the log', 'pwrite64:error=ENOSPC:when=20..21', WAL, /FULL/],
    ['the second copy cannot be synced', 'fsync:error=EIO:when=4..5', HEAD, /IOERR/],
    ['there is no space for the second copy', 'pwrite64:error=ENOSPC:when=9..10', HEAD, /FULL/],
  ])('denies, says so and goes on by itself when %s', async (_, fault, files, cause) => {
    const daemon = await world.daemon({ wrap: inject(fault, ...files.map(state)) });
    const { load, last, key, problem } = await askUntilDenied();
    expect(problem).toMatchObject({ status: 503, code: 'ledger.unavailable' });
    await expectUnavailable(cause, last);
    await until('it to decide again', async () => (await world.client('request').ready()).ready);
    await expectRecovered(load, key);
    expect((await daemon.kill('SIGTERM')).code).toBe(0);
    expect((await verify(world)).code).toBe(0);
  });

  it('stays unavailable, asked or not, while the disk stays broken, and decides after it was replaced', async () => {
    const daemon = await world.daemon({ wrap: inject('fsync:error=EIO:when=6+', ...LEDGER.map(state)) });
    const { load, last, key } = await askUntilDenied();
    // Longer than it takes to try again: an idle daemon must not believe that all is well.
    const since = performance.now();
    while (performance.now() - since < 1_800) {
      await expectUnavailable(/IOERR/, last);
      await pause(100);
    }
    const status = await world.holdfast('status');
    expect(status.code).toBe(5);
    expect(status.stdout).toMatch(/disk reports errors/);
    await daemon.kill('SIGTERM');
    const next = await world.daemon();
    await expectRecovered(load, key);
    await next.kill('SIGTERM');
  });

  it('does not start, and says so, when not even its first entry can be written', async () => {
    const wrap = inject('fsync:error=EIO:when=1+', ...LEDGER.map(state));
    const { code, stderr } = await (await world.daemon({ wrap, unready: true })).ended;
    expect(code).toBe(5);
    expect(stderr).toMatch(/disk/i);
    expect((await verify(world)).code).toBe(0);
  });
});

/** The daemon's calls on its two databases, from the first of a start on: every one of them is a place to die. */
describe.skipIf(noStrace !== null)(`a daemon that dies at an exact call on its files${withStrace}`, () => {
  it.each([
    ...[1, 4, 7].map((n) => ['fsync', n] as const),
    ...[17, 20, 31].map((n) => ['pwrite64', n] as const),
    ['ftruncate', 1] as const,
  ])('loses nothing at %s number %i', async (call, n) => {
    const files = [...LEDGER, ...HEAD].map(state);
    const daemon = await world.daemon({
      wrap: inject(`${call}:signal=KILL:when=${n}`, ...files),
      unready: true,
    });
    const load = new Load(world, asked++);
    await Promise.race([daemon.ended, answering()]);
    load.start({ http: 1, stream: 1, gateway: 0 });
    await Promise.race([daemon.ended, pause(3_000)]);
    const { signal } = await daemon.kill();
    await load.end();
    expect(signal).toBe('SIGKILL');
    expect(load.unexpected).toEqual([]);
    expect([0, 11]).toContain((await verify(world, world.copySite())).code);
    const next: Role = await world.daemon();
    expectKept(await expectIntact(world), load.acknowledged);
    await next.kill('SIGTERM');
  });
});

async function answering(): Promise<void> {
  const client = world.newClient('request', 1_000);
  await until('the daemon to answer or die', async () =>
    client.ready().then(
      () => true,
      () => false,
    ),
  );
  client.close();
}
