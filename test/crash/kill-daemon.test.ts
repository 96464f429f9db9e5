import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Role } from '../world.ts';
import { until, World } from '../world.ts';
import { expectIntact, expectKept, expectMarksOnce, expectOnce, expectProven, verify } from './history.ts';
import { type Acknowledged, Load } from './load.ts';
import { Random, SEED } from './random.ts';

const ROUNDS = 12;

let world: World;
beforeAll(async () => {
  world = await World.make();
});
afterAll(() => world?.close());

describe(`a daemon that is killed at random moments under load (CRASH_SEED=${SEED})`, () => {
  const random = new Random(SEED);
  const told: Acknowledged[] = [];
  const acted: string[] = [];
  let daemon: Role;
  let gateway: Role;
  beforeAll(async () => {
    daemon = await world.daemon();
    gateway = await world.gateway();
  });

  it.each(Array.from({ length: ROUNDS }, (_, round) => round + 1))(
    'loses nothing in round %i',
    async (round) => {
      const load = new Load(world, SEED + round);
      load.start({ http: 4, stream: 1, gateway: 2 });
      await pause(random.whole(20, 350));
      await daemon.kill();
      await load.end();
      expect(load.unexpected).toEqual([]);
      expectProven(world, load.acknowledged);
      told.push(...load.acknowledged);
      acted.push(...load.acted);

      // As it lies there, before anybody repairs anything: at most the last write is cut short.
      const crashed = await verify(world, world.copySite());
      expect([0, 11]).toContain(crashed.code);

      daemon = await world.daemon();
      const truth = await expectIntact(world);
      expectKept(truth, told);
      expectOnce(truth);
      await expectSpent(load);
      await expectOneAnswer(load);
    },
  );

  it('is verified intact while it is at work', async () => {
    const load = new Load(world, SEED);
    load.start({ http: 2, stream: 1, gateway: 0 });
    // By now there is something to verify, so that the second copy moves on before the verifier has come to its end.
    for (let time = 0; time < 4; time++) {
      const { code, stdout } = await world.holdfast('ledger', 'verify');
      expect({ code, stdout }).toMatchObject({ code: 0, stdout: expect.stringMatching(/^INTACT /) });
    }
    expect(load.acknowledged.length).toBeGreaterThan(100);
    load.stop();
    await load.end();
    expect(load.unexpected).toEqual([]);
  });

  it('has run no tool twice, and every one that was reported', async () => {
    // What the gateway could not report it has journaled; what others left open it reports as unknown.
    await gateway.kill('SIGTERM');
    gateway = await world.gateway();
    await until(
      'every outcome to be reported',
      async () => (await world.client('redeem').openPermits('gateway')).length === 0,
    );
    await gateway.kill('SIGTERM');
    expectMarksOnce(world);
    const ran = new Set(world.marks());
    for (const mark of acted) expect(ran).toContain(`ran ${mark}`);
    expect(acted.length).toBeGreaterThan(0);
    expect(told.length).toBeGreaterThan(ROUNDS * 10);
    expect((await daemon.kill('SIGTERM')).code).toBe(0);
    const truth = await expectIntact(world);
    expectOnce(truth);
    expect(truth.headSize).toBe(truth.entries.length);
  });
});

/** A permit whose redemption was acknowledged before the crash cannot be redeemed after it. */
async function expectSpent(load: Load): Promise<void> {
  for (const { id, digest } of load.redeemed.slice(-5)) {
    const again = world.client('redeem').redeem(id, { audience: 'gateway', action_digest: digest });
    await expect(again).rejects.toMatchObject({ status: 409 });
  }
}

/** Asking again under the same key gives one answer, whether the first was recorded before the crash or not. */
async function expectOneAnswer(load: Load): Promise<void> {
  for (const { key, body } of load.unanswered) {
    const first = await world.client('request').createDecision(body, { idempotencyKey: key });
    const second = await world.client('request').createDecision(body, { idempotencyKey: key });
    expect(second.decision_id).toBe(first.decision_id);
    expect(first.action.target?.id).toBe(key);
  }
}
