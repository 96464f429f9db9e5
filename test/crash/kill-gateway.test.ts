import { randomUUID } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ApiProblem, type DecisionReply } from '../../daemon/api/client.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { ask, type Role, until, World } from '../world.ts';
import { expectIntact, expectMarksOnce, expectOnce } from './history.ts';
import { inject, noStrace, withStrace } from './strace.ts';

let world: World;
let running: Role | null = null;
const journal = () => join(world.paths.gateway, 'journal');
beforeAll(async () => {
  world = await World.make();
  await world.daemon();
});
afterAll(() => world?.close());

/** strace counts the calls of each thread for itself, so that there must be only one that writes files. */
const ONE_THREAD = { UV_THREADPOOL_SIZE: '1' };

/** What the gateway, asked anew, says about a decision; a refusal is an answer. */
async function execute(id: string): Promise<JsonObject> {
  const body = { decision_id: id, context: { actor: { id: 'agent:ops-1', role: 'agent' } } };
  return world
    .client('gateway')
    .action(body)
    .catch((error: unknown) => {
      if (error instanceof ApiProblem) return error.body;
      throw error;
    });
}

/** The newest decision that the site has made. */
async function newest(): Promise<DecisionReply> {
  const { decisions } = await world.client('operator').listDecisions({ limit: 1 });
  return world.client('operator').getDecision(decisions[0]?.decision_id ?? '');
}

const marksOf = (mark: string) => world.marks().filter((line) => line.endsWith(` ${mark}`));

/** The gateway dies at one call on its journal while it executes an action, and comes back without strace. */
async function dieAt(fault: string, mark: string): Promise<void> {
  const doomed = await world.gateway({ wrap: inject(fault, journal()), env: ONE_THREAD });
  const gone = world.client('gateway').action(ask('mark', mark));
  await expect(gone).rejects.toMatchObject({ name: 'ApiUnreachable' });
  expect((await doomed.ended).signal).toBe('SIGKILL');
  running = await world.gateway();
}

async function recovered(): Promise<void> {
  const client = world.client('gateway');
  await until('the gateway to recover', async () => (await client.status()).recovered === true);
  await until('it to report', async () => (await client.status()).unreported === 0);
}

/** The permit is spent whatever anybody tries, and a person's signed word closes the open outcome. */
async function expectUnknownUntilReconciled(mark: string, ran: string[]): Promise<void> {
  const decision = await newest();
  expect(decision).toMatchObject({ status: 'executed', permit_state: 'unknown' });
  expect(await execute(decision.decision_id)).toMatchObject({ code: 'gateway.already_used' });
  expect(marksOf(mark)).toEqual(ran);
  const status = await world.holdfast('status');
  expect(status.stdout).toContain('1 outcome unknown');
  const reconciled = await world.sign(decision, 'reconcile');
  expect(reconciled).toMatchObject({ code: 0 });
  expect(await newest()).toMatchObject({ decision_id: decision.decision_id, permit_state: 'failed' });
  expect((await world.sign(decision, 'reconcile')).code).toBe(3);
  expect(marksOf(mark)).toEqual(ran);
}

describe('a gateway that is killed', () => {
  let mark: string;
  beforeEach(() => {
    mark = `m-${randomUUID()}`;
  });

  afterEach(async () => {
    await running?.kill('SIGTERM');
    running = null;
  });

  it('while its tool runs reports unknown and never runs it again', async () => {
    const gateway = await world.gateway();
    const gone = world.client('gateway').action(ask('slow_mark', mark, { seconds: 1 }));
    const lost = expect(gone).rejects.toMatchObject({ name: 'ApiUnreachable' });
    await until('the tool to run', async () => marksOf(mark).length === 1);
    await gateway.kill();
    await lost;
    expect(await newest()).toMatchObject({ permit_state: 'redeemed' });
    running = await world.gateway();
    await recovered();
    // The tool was never a part of the gateway: it may come to its end, and nobody knows.
    await until('the tool to end', async () => marksOf(mark).length === 2);
    await expectUnknownUntilReconciled(mark, [`ran ${mark}`, `ended ${mark}`]);
  });

  // The journal is synced when a run starts, when it has ended, and when that was acknowledged.
  it.skipIf(noStrace !== null)(
    `after it redeemed and before it may start the tool reports unknown, and the tool never ran${withStrace}`,
    async () => {
      await dieAt('fdatasync:signal=KILL:when=1', mark);
      await recovered();
      await expectUnknownUntilReconciled(mark, []);
    },
  );

  it.skipIf(noStrace !== null)(
    `with the redemption recorded and no word of it in its journal reports unknown${withStrace}`,
    async () => {
      const before = readFileSync(journal());
      await dieAt('fdatasync:signal=KILL:when=1', mark);
      await running?.kill();
      // The line was written and not synced: after a power cut it may be missing.
      writeFileSync(journal(), before);
      running = await world.gateway();
      await recovered();
      await expectUnknownUntilReconciled(mark, []);
    },
  );

  it.skipIf(noStrace !== null)(
    `when the tool has ended and that is not journaled reports unknown${withStrace}`,
    async () => {
      await dieAt('write:signal=KILL:when=2', mark);
      await recovered();
      await expectUnknownUntilReconciled(mark, [`ran ${mark}`]);
    },
  );

  it.skipIf(noStrace !== null)(
    `when the outcome is journaled and perhaps not reported reports it${withStrace}`,
    async () => {
      await dieAt('write:signal=KILL:when=3', mark);
      await recovered();
      const decision = await newest();
      expect(decision).toMatchObject({ status: 'executed', permit_state: 'succeeded' });
      expect(await execute(decision.decision_id)).toMatchObject({ code: 'gateway.already_used' });
      expect(marksOf(mark)).toEqual([`ran ${mark}`]);
      expect((await world.sign(decision, 'reconcile')).code).toBe(3);
    },
  );

  it('has left a ledger in which everything happened once', async () => {
    expectOnce(await expectIntact(world));
    expectMarksOnce(world);
    expect(await world.client('redeem').openPermits('gateway')).toEqual([]);
  });
});
