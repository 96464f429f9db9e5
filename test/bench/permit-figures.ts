import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { sitePaths } from '../../daemon/host/site.ts';
import type { Loader } from './load/loader.ts';
import type { Plan } from './plan.ts';
import type { Server } from './processes.ts';
import type { Question } from './questions.ts';
import type { Figure } from './report.ts';
import { ALLOWED, DECISIONS_PATH, runCommand, socketOf, startRole, trustOf, verifyAnswer } from './site.ts';
import { median } from './statistics.ts';

export interface PermitBench {
  plan: Plan;
  loader: Loader;
  questions: readonly Question[];
  /** A site whose daemon runs. */
  dir: string;
  own(server: Server): Server;
}

const ACTIONS_PATH = '/v1/actions';
const SUCCEEDED = '"result":"succeeded"';
const COMMAND_RUNS = 5;
const SAMPLES = 100;

/** For information: what acting under a permit costs, and what checking one elsewhere does. */
export async function permitFigures(bench: PermitBench): Promise<Figure[]> {
  return [...(await execFigures(bench)), ...(await offlineFigures(bench))];
}

/** Decide, verify, redeem, run `/bin/echo`, report: three entries and a process per action. */
async function execFigures({ plan, loader, questions, dir, own }: PermitBench): Promise<Figure[]> {
  const gateway = own(await startRole(dir, 'gateway'));
  const job = {
    kind: 'http',
    socket: socketOf(dir, 'gateway'),
    path: ACTIONS_PATH,
    bodies: questions.map((question) => JSON.stringify(question)),
    expect: SUCCEEDED,
    warmupMs: plan.warmupMs,
    durationMs: plan.execMs,
    samples: 0,
  } as const;
  const alone = await loader.run({ ...job, connections: 1 });
  const many = await loader.run({ ...job, connections: 8 });
  await gateway.stop();
  return [
    { name: 'exec through the gateway, 1 at a time, p50', unit: 'ms', ours: alone.p50 },
    { name: 'exec through the gateway, 8 at a time', unit: '/s', ours: many.perSecond },
  ];
}

async function offlineFigures({ plan, loader, questions, dir }: PermitBench): Promise<Figure[]> {
  const { samples } = await loader.run({
    kind: 'http',
    socket: socketOf(dir, 'request'),
    path: DECISIONS_PATH,
    bodies: questions.map((question) => JSON.stringify(question)),
    expect: ALLOWED,
    connections: 1,
    warmupMs: plan.warmupMs,
    durationMs: plan.execMs,
    samples: SAMPLES,
  });
  const trust = trustOf(dir);
  const inProcess = samples.map((sample) => {
    const started = performance.now();
    verifyAnswer(sample, trust);
    return performance.now() - started;
  });
  const file = join(dir, 'bench.permit');
  const [first = '{}'] = samples;
  writeFileSync(file, (JSON.parse(first) as { permit: { proof: string } }).permit.proof);
  const policy = join(sitePaths(dir).trust, 'tlog-policy');
  const command: number[] = [];
  for (let run = 0; run < COMMAND_RUNS; run++) {
    const started = performance.now();
    await runCommand(['permit', 'verify', file, '--policy', policy, '--json']);
    command.push(performance.now() - started);
  }
  return [
    { name: 'permit verified offline, in a running process', unit: 'ms', ours: median(inProcess) },
    { name: '`permit verify`, whole command', unit: 'ms', ours: median(command) },
  ];
}
