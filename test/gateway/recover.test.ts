import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ToolRun } from '../../daemon/gateway/connectors/run.ts';
import { enforce } from '../../daemon/gateway/enforce.ts';
import { recover } from '../../daemon/gateway/recover.ts';
import { unreachable } from './fake-engine.ts';
import { makeWorld, request, succeeded, until, type World } from './world.ts';

let world: World;
beforeEach(async () => {
  world = await makeWorld();
});
afterEach(() => world.close());
const never = new AbortController().signal;
const actor = { id: 'agent:ops-1' };

/** The process is gone in the middle of it: what was called was reached, and nothing that was awaited goes on. */
function crashPoint(): { crash: () => Promise<never>; reached: () => boolean } {
  let reached = false;
  const crash = () => {
    reached = true;
    return new Promise<never>(() => {});
  };
  return { crash, reached: () => reached };
}

async function crashed(
  where: 'before the start is journaled' | 'while the tool runs' | 'before the report',
): Promise<string> {
  const { engine, gate } = world;
  const decision = await engine.createDecision(request());
  const submission = { decision_id: decision.decision_id, context: { actor } };
  const { crash, reached } = crashPoint();
  if (where === 'before the start is journaled') {
    await engine.redeem(decision.permit?.id ?? '', decision.action_digest);
  } else if (where === 'while the tool runs') {
    enforce({ ...gate, run: crash }, submission).catch(() => {});
    await until(reached);
  } else {
    engine.outcome = crash;
    enforce(gate, submission).catch(() => {});
    await until(reached);
  }
  // @ts-expect-error the instance's override goes, the class's own is back
  delete engine.outcome;
  await world.restart();
  return decision.decision_id;
}

describe('at the next start', () => {
  it.each(['before the start is journaled', 'while the tool runs'] as const)(
    'a crash %s becomes unknown',
    async (where) => {
      const decision_id = await crashed(where);
      const ran = world.calls.length;
      const found = await recover(world.gate, never);
      const permit = decision_id.replace('dec_', 'prm_');
      expect(found).toEqual({ unknown: [permit], resumed: [] });
      expect(world.engine.outcomes).toMatchObject([{ permit, result: 'unknown' }]);
      // Never run twice, even if the engine had forgotten everything.
      world.engine.redeemed.splice(0);
      world.engine.outcomes.splice(0);
      for (const decision of world.engine.decisions.values()) decision.status = 'authorized';
      const again = await enforce(world.gate, { decision_id, context: { actor } });
      expect(again.refused?.refused).toBe('gateway.already_used');
      expect(world.calls).toHaveLength(ran);
    },
  );

  it('a crash before the report is reported as what it was', async () => {
    await crashed('before the report');
    const found = await recover(world.gate, never);
    expect(found.unknown).toEqual([]);
    expect(world.engine.outcomes).toMatchObject([{ result: 'succeeded', detail: { exit_code: 0 } }]);
    expect(world.gate.journal.openRuns()).toEqual([]);
  });

  it('nothing is reported twice when the report got through and its acknowledgement did not', async () => {
    await crashed('before the report');
    const [run] = world.gate.journal.openRuns();
    await world.engine.outcome(run?.permit_id ?? '', 'succeeded', {});
    await recover(world.gate, never);
    expect(world.engine.outcomes).toHaveLength(1);
    expect(world.gate.journal.openRuns()).toEqual([]);
  });

  it('waits for an engine that is not there yet', async () => {
    await crashed('before the start is journaled');
    let failures = 2;
    const list = world.engine.openPermits.bind(world.engine);
    world.engine.openPermits = async () => {
      if (failures-- > 0) throw unreachable(false);
      return list();
    };
    expect((await recover(world.gate, never)).unknown).toHaveLength(1);
  });

  it('asks again within a second, however long the engine was away: after a restore the gateway may be up long before', async () => {
    await crashed('before the start is journaled');
    let failures = 500;
    const list = world.engine.openPermits.bind(world.engine);
    world.engine.openPermits = async () => {
      if (failures-- > 0) throw unreachable(false);
      return list();
    };
    const waited: number[] = [];
    const wait = async (ms: number): Promise<void> => void waited.push(ms);
    expect((await recover(world.gate, never, wait)).unknown).toHaveLength(1);
    expect(waited).toHaveLength(500);
    expect(Math.max(...waited)).toBe(1_000);
  });

  it('leaves alone what is running now', async () => {
    let started = false;
    let finish: (run: ToolRun) => void = () => {};
    const run = () =>
      new Promise<ToolRun>((resolve) => {
        started = true;
        finish = resolve;
      });
    const running = enforce({ ...world.gate, run }, request());
    await until(() => started);
    expect(await world.engine.openPermits()).toHaveLength(1);
    // A recovery that had to wait for the engine meets a permit that was redeemed meanwhile.
    const { journal } = world.gate;
    const settledAtStart = Object.assign(Object.create(journal), {
      openRuns: () => [],
      claim: journal.claim.bind(journal),
    });
    expect(await recover({ ...world.gate, journal: settledAtStart }, never)).toEqual({
      unknown: [],
      resumed: [],
    });
    finish(succeeded);
    expect((await running).run).toBe(succeeded);
    expect(world.engine.outcomes).toMatchObject([{ result: 'succeeded' }]);
  });

  it('ends early when the gateway is to stop', async () => {
    const stop = new AbortController();
    world.engine.openPermits = async () => Promise.reject(unreachable(false));
    const recovery = recover(world.gate, stop.signal);
    stop.abort();
    expect(await recovery).toEqual({ unknown: [], resumed: [] });
  });
});
