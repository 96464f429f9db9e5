import { type Measured, runArms } from './arms.ts';
import type { Cerbos } from './cerbos.ts';
import type { Loader } from './load/loader.ts';
import type { Plan } from './plan.ts';
import type { Figure } from './report.ts';
import type { SiteLoad } from './site-load.ts';
import { BATCH_ROWS, runSqliteLoop } from './sqlite-loop.ts';

const CONNECTIONS = 16;
const WINDOW = 256;
const LARGE_WINDOW = 1_024;

export interface DecisionBench {
  plan: Plan;
  loader: Loader;
  /** Load on our running site. */
  ours: SiteLoad;
  cerbos: Cerbos | null;
  /** Where the bare SQLite loop writes: on the disk of the site. */
  scratch: string;
  progress(text: string): void;
}

/** Rates and latencies of decisions beside Cerbos and the bare SQLite loop, all in the same rounds. */
export async function decisionFigures(bench: DecisionBench): Promise<Figure[]> {
  const { plan, ours, cerbos, progress } = bench;
  // Everybody's code is warm before the first round; the sampled answers also tell how large an entry is.
  await ours.http(CONNECTIONS);
  await ours.stream(WINDOW);
  if (cerbos !== null) await cerbosLoad(bench, cerbos, CONNECTIONS);
  const bytes = ours.entryBytes;
  const theirs = cerbos === null ? {} : cerbosArms(bench, cerbos);
  const arms = {
    ...theirs,
    'http 16': () => ours.http(CONNECTIONS),
    'http 1': () => ours.http(1),
    'ws 256': () => ours.stream(WINDOW),
    'ws 1024': () => ours.stream(LARGE_WINDOW),
    sqlite: async () => onlyRate(runSqliteLoop(bench.scratch, bytes, plan.durationMs)),
  };
  return asFigures(await runArms(arms, plan.rounds, progress), bytes);
}

function cerbosArms(bench: DecisionBench, cerbos: Cerbos): Record<string, () => Promise<Measured>> {
  return {
    'cerbos 16': () => cerbosLoad(bench, cerbos, CONNECTIONS),
    'cerbos 1': () => cerbosLoad(bench, cerbos, 1),
  };
}

function cerbosLoad({ plan, loader }: DecisionBench, cerbos: Cerbos, connections: number): Promise<Measured> {
  const { socket, path, bodies, expect } = cerbos;
  const { warmupMs, durationMs } = plan;
  return loader.run({
    kind: 'http',
    socket,
    path,
    bodies,
    expect,
    connections,
    warmupMs,
    durationMs,
    samples: 0,
  });
}

function onlyRate(perSecond: number): Measured {
  return { perSecond, p50: Number.NaN, p99: Number.NaN };
}

function asFigures(taken: ReadonlyMap<string, Measured>, bytes: number): Figure[] {
  const value = (arm: string, of: keyof Measured): number | null => taken.get(arm)?.[of] ?? null;
  const cerbos16 = { name: 'Cerbos, HTTP 16', value: value('cerbos 16', 'perSecond') };
  const loop = { name: `SQLite loop, ${BATCH_ROWS} × ${bytes} B`, value: value('sqlite', 'perSecond') };
  const atLeast = (ratio: number) => ({ of: 'ratio', at: 'least', value: ratio }) as const;
  const rate = (name: string, arm: string) => ({ name, unit: '/s', ours: value(arm, 'perSecond') });
  const time = (name: string, arm: string, of: 'p50' | 'p99') => ({ name, unit: 'ms', ours: value(arm, of) });
  return [
    { ...rate('decisions, HTTP, 16 connections', 'http 16'), with: cerbos16, goal: atLeast(2.5) },
    {
      ...time('p99, HTTP, 16 connections', 'http 16', 'p99'),
      with: { name: 'Cerbos', value: value('cerbos 16', 'p99') },
      goal: { of: 'ratio', at: 'below', value: 1 },
    },
    { ...rate('decisions, ws, window 256', 'ws 256'), with: cerbos16, goal: atLeast(5) },
    { ...rate('decisions, ws, window 256', 'ws 256'), with: loop, goal: atLeast(0.25) },
    { ...rate('decisions, ws, window 1024', 'ws 1024'), with: loop },
    { ...time('p99, ws, window 256', 'ws 256', 'p99') },
    {
      ...time('p50, HTTP, 1 connection', 'http 1', 'p50'),
      with: { name: 'Cerbos', value: value('cerbos 1', 'p50') },
      goal: { of: 'ratio', at: 'most', value: 0.9 },
    },
  ];
}
