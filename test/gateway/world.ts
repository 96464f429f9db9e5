import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ActionBody } from '../../daemon/api/client.ts';
import { BoundaryError } from '../../daemon/formats/boundary-error.ts';
import type { ResolvedCall } from '../../daemon/formats/permit.ts';
import { Alarm } from '../../daemon/gateway/alarm.ts';
import type { ToolRun } from '../../daemon/gateway/connectors/run.ts';
import type { Gatekeeper } from '../../daemon/gateway/enforce.ts';
import { Journal } from '../../daemon/gateway/journal.ts';
import { OutcomeReporter } from '../../daemon/gateway/outcomes.ts';
import { Programs } from '../../daemon/gateway/programs.ts';
import { createLogger } from '../../daemon/host/log.ts';
import { FakeEngine, NOW, SITE, testBundle } from './fake-engine.ts';

export const succeeded: ToolRun = {
  result: 'succeeded',
  detail: { exit_code: 0 },
  output: { stdout: new Uint8Array(), stderr: new Uint8Array(), truncated: false },
};

/** A gatekeeper over a fake engine in a temporary directory. Tools are not started: `calls` says what would have been. */
export interface World {
  dir: string;
  engine: FakeEngine;
  gate: Gatekeeper;
  calls: ResolvedCall[];
  now: number;
  /** As after a crash: the journal is read again, memory is gone. */
  restart(): Promise<void>;
  close(): Promise<void>;
}

/** Waits until something holds. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((tick) => setTimeout(tick, 5));
}

export async function makeWorld(): Promise<World> {
  const dir = mkdtempSync(join(tmpdir(), 'holdfast-gateway-'));
  const policy = testBundle({
    tool: {
      connector: 'exec',
      argv: ['/usr/bin/printf', '%s', '{{target.id}}', '--word={{payload.word}}'],
      stdin: ['psk'],
    },
    other: { connector: 'exec', argv: ['/bin/rm', '-r', '/'] },
  });
  const engine = new FakeEngine(policy);
  const calls: ResolvedCall[] = [];
  const log = createLogger('gateway', 'silent', {});
  const trust = {
    site: SITE,
    profile: 'dev' as const,
    audience: 'gateway',
    origin: engine.log.origin,
    vkeys: [engine.log.vkey],
    root: new Uint8Array(),
  };
  const open = async (): Promise<Gatekeeper> => {
    const journal = await Journal.open(join(dir, 'journal'));
    const clock = { now: () => world.now, monotonic: () => 0 };
    const reporter = new OutcomeReporter({ engine, journal, clock, log });
    const bundles = {
      get: async (_digest: string, environment: string) => {
        if (environment === 'production') return policy.bundle;
        throw new BoundaryError('update.environment', 'not in force there');
      },
    };
    const run = async (call: ResolvedCall) => {
      calls.push(call);
      return succeeded;
    };
    const alarm = new Alarm(engine, log);
    return {
      trust,
      engine,
      bundles,
      journal,
      reporter,
      clock,
      log,
      programs: new Programs(),
      credentials: () => null,
      alarm,
      run,
    };
  };
  const closeGate = async () => {
    world.gate.reporter.stop();
    await world.gate.journal.close();
  };
  const world: World = {
    dir,
    engine,
    calls,
    now: NOW,
    gate: undefined as unknown as Gatekeeper,
    restart: async () => {
      await closeGate();
      world.gate = await open();
    },
    close: async () => {
      await closeGate();
      rmSync(dir, { recursive: true, force: true });
    },
  };
  world.gate = await open();
  return world;
}

export const request = (
  more: { word?: string; psk?: string; id?: string } = {},
): Extract<ActionBody, { action: unknown }> => {
  const { id = 'relay-2', ...payload } = more;
  return {
    action: { class: 'run_tool', intent: 'test', target: { type: 'service', id }, payload },
    context: { actor: { id: 'agent:ops-1', role: 'agent' }, environment: 'production' },
  };
};
