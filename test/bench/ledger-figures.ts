import { join } from 'node:path';
import { runArms } from './arms.ts';
import { exportFigures } from './export-figures.ts';
import type { Loader } from './load/loader.ts';
import type { Plan } from './plan.ts';
import { residentMemory, type Server } from './processes.ts';
import type { Question } from './questions.ts';
import type { Figure } from './report.ts';
import { searchFigures } from './search-figures.ts';
import { growLedger, makeSite, runCommand, startRole } from './site.ts';
import { SiteLoad } from './site-load.ts';
import { median } from './statistics.ts';

export interface LedgerBench {
  plan: Plan;
  loader: Loader;
  questions: readonly Question[];
  /** Where the two sites are made. */
  scratch: string;
  /** Ends a server when the bench ends, however it ends. */
  own(server: Server): Server;
  progress(text: string): void;
}

/** What a large ledger costs: latency beside a small one, start, memory, verification. */
export async function ledgerFigures(bench: LedgerBench): Promise<Figure[]> {
  const { plan, scratch, progress } = bench;
  const small = join(scratch, 's');
  const large = join(scratch, 'l');
  await makeSite(small);
  growLedger(small, bench.questions, plan.small);
  await makeSite(large);
  const started = performance.now();
  growLedger(large, bench.questions, plan.large);
  progress(`grew a ledger to ${plan.large} entries in ${seconds(started)} s`);
  // First: an index that is being made would be measured with everything else.
  const search = await searchFigures(bench, large);
  const start = await startFigures(bench, large);
  const latency = await latencyFigure(bench, small, large);
  const verify = await verifyFigure(bench, large);
  return [latency, verify, ...start, ...search, ...(await exportFigures(bench, large))];
}

/** Starts and stops the daemon on the large ledger, and looks at its memory once it is ready. */
async function startFigures(bench: LedgerBench, large: string): Promise<Figure[]> {
  const { plan, progress } = bench;
  const times: number[] = [];
  const memory: number[] = [];
  for (let run = 1; run <= plan.starts; run++) {
    const server = bench.own(await startRole(large, 'daemon'));
    times.push(server.startMs);
    memory.push(residentMemory(server.process.pid ?? 0).now);
    await server.stop();
    progress(
      `start ${run} of ${plan.starts}: ${times.at(-1)?.toFixed(0)} ms, ${memory.at(-1)?.toFixed(0)} MB`,
    );
  }
  const entries = plan.large.toLocaleString('en');
  const atMost = (value: number) => ({ of: 'ours', at: 'most', value }) as const;
  return [
    {
      name: `daemon, start to ready, ${entries} entries`,
      unit: 'ms',
      ours: median(times),
      goal: atMost(1_000),
    },
    { name: 'daemon, memory (RSS) then', unit: 'MB', ours: median(memory), goal: atMost(200) },
  ];
}

/** Both daemons run; the load goes from one to the other. */
async function latencyFigure(bench: LedgerBench, small: string, large: string): Promise<Figure> {
  const { plan, loader, questions, progress } = bench;
  const servers = [bench.own(await startRole(small, 'daemon')), bench.own(await startRole(large, 'daemon'))];
  const onSmall = new SiteLoad({ plan, loader, questions, dir: small });
  const onLarge = new SiteLoad({ plan, loader, questions, dir: large });
  await onSmall.http(1);
  await onLarge.http(1);
  const arms = { 'small ledger': () => onSmall.http(1), 'large ledger': () => onLarge.http(1) };
  const taken = await runArms(arms, plan.rounds, progress);
  const { pid } = servers[1]?.process ?? {};
  progress(
    `after the load, the daemon of the large ledger has ${residentMemory(pid ?? 0).now.toFixed(0)} MB`,
  );
  for (const server of servers) await server.stop();
  return {
    name: `p50, HTTP, 1 connection, ${plan.large.toLocaleString('en')} entries`,
    unit: 'ms',
    ours: taken.get('large ledger')?.p50 ?? null,
    with: {
      name: `${plan.small.toLocaleString('en')} entries`,
      value: taken.get('small ledger')?.p50 ?? null,
    },
    goal: { of: 'ratio', at: 'most', value: 1.1 },
  };
}

/** `ledger verify` as an operator runs it: the whole command is timed, the start of the process with it. */
async function verifyFigure({ plan, progress }: LedgerBench, large: string): Promise<Figure> {
  const rates: number[] = [];
  for (let run = 1; run <= plan.verifications; run++) {
    const started = performance.now();
    const report = JSON.parse(await runCommand(['ledger', 'verify', '--dir', large, '--json'])) as {
      code: number;
      entries: number;
    };
    if (report.code !== 0 || report.entries < plan.large)
      throw new Error(`ledger verify: ${JSON.stringify(report)}`);
    rates.push(report.entries / ((performance.now() - started) / 1_000));
    progress(`verification ${run} of ${plan.verifications}: ${seconds(started)} s`);
  }
  const goal = { of: 'ours', at: 'least', value: 150_000 } as const;
  return { name: '`ledger verify`, whole command', unit: 'entries/s', ours: median(rates), goal };
}

function seconds(started: number): string {
  return ((performance.now() - started) / 1_000).toFixed(1);
}
