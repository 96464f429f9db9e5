import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ApiClient, ApiUnreachable, type DecisionReply } from '../../daemon/api/client.ts';
import { ask, later, mustBeRefused, mustRun } from './asking.ts';
import { must, type Narrator } from './narrator.ts';
import type { Stage } from './stage.ts';

const CLIENTS = 8;
const UNTIL_KILLED = 1_500;

interface Load {
  acknowledged: DecisionReply[];
  milliseconds: number[];
}

/** Asks on several connections at once until the daemon is gone. Whatever was answered counts as promised. */
async function load(stage: Stage, enough: () => void): Promise<Load> {
  const seen: Load = { acknowledged: [], milliseconds: [] };
  const client = new ApiClient({ socketPath: stage.requests.socketPath });
  const worker = async (): Promise<void> => {
    for (let lines = 1; ; lines = (lines % 1_000) + 1) {
      const started = performance.now();
      try {
        seen.acknowledged.push(
          await client.createDecision(ask('read_telemetry', 'sensor:pump-1', 'load', { lines })),
        );
      } catch (error) {
        if (error instanceof ApiUnreachable) return;
        throw error;
      }
      seen.milliseconds.push(performance.now() - started);
      if (seen.acknowledged.length === UNTIL_KILLED) enough();
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, worker));
  client.close();
  return seen;
}

const percentile = (sorted: readonly number[], part: number): number =>
  sorted[Math.floor(sorted.length * part)] ?? 0;

/** Returns the permits that were promised under load, for the proof at the end. */
export async function crashUnderLoad(stage: Stage, tell: Narrator): Promise<DecisionReply[]> {
  tell.step(
    'kill -9 in the middle of the load',
    'What was acknowledged was on the disk before; nothing of it may be missing afterwards.',
  );
  const started = performance.now();
  let killed: Promise<void> = Promise.resolve();
  const { acknowledged, milliseconds } = await load(stage, () => {
    killed = stage.end('daemon', 'SIGKILL');
  });
  await killed;
  const seconds = (performance.now() - started) / 1_000;
  milliseconds.sort((a, b) => a - b);
  const median = percentile(milliseconds, 0.5).toFixed(1);
  tell.line(
    'load',
    `${acknowledged.length} decisions, each fsynced, proved and signed, ${Math.round(acknowledged.length / seconds)}/s over ${CLIENTS} connections; median ${median} ms`,
  );
  tell.line('kill -9', 'the daemon is gone');
  const orphan = await stage.act(ask('read_telemetry', 'sensor:pump-1', 'is anybody there?', {}));
  mustBeRefused(tell, orphan.problem, 'gateway.engine_unreachable', orphan.ms);
  tell.line('daemon', 'started again: ready', await stage.start('daemon'));

  const asked = performance.now();
  for (const promised of acknowledged) {
    const found = await stage.requests.getDecision(promised.decision_id);
    must(
      found.status === 'authorized' && found.action_digest === promised.action_digest,
      `${promised.decision_id} is not what was promised`,
    );
    must(found.ledger.record_id === promised.ledger.record_id, `${promised.decision_id} moved in the ledger`);
  }
  tell.good(
    'NO LOSS',
    `all ${acknowledged.length} acknowledged decisions are there, where they were`,
    performance.now() - asked,
  );
  mustRun(tell, await stage.act(ask('read_telemetry', 'sensor:pump-1', 'back to work', { lines: 1 })));
  return acknowledged;
}

export async function gatewayKilled(stage: Stage, tell: Narrator): Promise<void> {
  tell.step(
    'kill -9 of the gateway while a tool runs',
    'Nobody knows how it ended, so the record says that; people find out and sign what was the case.',
  );
  const log = join(stage.work, 'network.log');
  const rung = () => readFileSync(log, 'utf8').split('/tools/siren').length - 1;
  const decision = await stage.requests.createDecision(
    ask('agent_tool_call', 'tool:siren', 'test the siren', { arguments: ['1'] }),
  );
  const call = stage.act(later(decision.decision_id)).catch((error: unknown) => error);
  await stage.until('the tool to run', async () => rung() === 1);
  await stage.end('gateway', 'SIGKILL');
  must((await call) instanceof ApiUnreachable, 'the caller should lose its connection');
  tell.line('kill -9', 'the gateway is gone; the tool had been called');
  tell.line('gateway', 'started again: ready', await stage.start('gateway'));
  const state = async () => (await stage.requests.getDecision(decision.decision_id)).permit_state;
  await stage.until('the outcome to be reported', async () => (await state()) === 'unknown');
  tell.good('UNKNOWN', 'that is what it reports, and it does not run the permit again');
  const again = await stage.act(later(decision.decision_id));
  mustBeRefused(tell, again.problem, 'gateway.already_used', again.ms);
  must(rung() === 1, 'the tool must have been called once');
  const key = join(stage.paths.publisher, 'people/carol');
  const note = 'heard it on the mast';
  const signed = await stage.holdfast(
    'decision',
    'reconcile',
    decision.decision_id,
    '--key',
    key,
    '--result',
    'succeeded',
    '--note',
    note,
    '--yes',
    '--json',
  );
  must(
    signed.code === 0 && (await state()) === 'succeeded',
    `the reconciliation should be accepted: ${signed.stderr}`,
  );
  tell.line(
    'carol',
    `signed what was the case (holdfast decision reconcile …): succeeded, "${note}"`,
    signed.ms,
  );
}
