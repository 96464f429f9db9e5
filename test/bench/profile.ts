/*
 * `node test/bench/profile.ts [--http [--connections 16]] [--ms 4000] [--no-samples] [--flag=--V8-OPTION]`: where the
 * daemon's time goes under load, in µs per decision, by thread and function. Not part of the figures: a profiled daemon
 * is slower than one that is not.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Loader } from './load/loader.ts';
import { FULL } from './plan.ts';
import { threadTimes } from './processes.ts';
import { makeQuestions } from './questions.ts';
import { makeSite, startRole } from './site.ts';
import { SiteLoad } from './site-load.ts';

const HOME = join(import.meta.dirname, '../../.bench');
const WINDOW = 256;
const SHOWN = 45;

const WARM_MS = 4_000;

interface CpuProfile {
  /** µs on the monotonic clock, as `process.hrtime`. */
  startTime: number;
  nodes: {
    id: number;
    callFrame: { functionName: string; url: string; lineNumber: number };
    children?: number[];
  }[];
  samples: number[];
  timeDeltas: number[];
}

const { values: options } = parseArgs({
  options: {
    http: { type: 'boolean', default: false },
    connections: { type: 'string', default: '16' },
    'no-samples': { type: 'boolean', default: false },
    flag: { type: 'string', multiple: true, default: [] },
    ms: { type: 'string', default: '4000' },
  },
});
await profile();

async function profile(): Promise<void> {
  mkdirSync(HOME, { recursive: true });
  const scratch = mkdtempSync(join(HOME, 'profile-'));
  const dir = join(scratch, 'a');
  const loader = new Loader();
  try {
    await makeSite(dir);
    const cpu = join(scratch, 'cpu');
    mkdirSync(cpu);
    const sampling = options['no-samples'] ? [] : ['--cpu-prof', `--cpu-prof-dir=${cpu}`];
    const daemon = await startRole(dir, 'daemon', [...sampling, ...options.flag]);
    const plan = { ...FULL, warmupMs: 0, durationMs: Number(options.ms) };
    const warm = { ...plan, durationMs: WARM_MS };
    const [first, second] = [warm, plan].map(
      (phase) => new SiteLoad({ plan: phase, loader, questions: makeQuestions(64), dir }),
    ) as [SiteLoad, SiteLoad];
    const run = (load: SiteLoad) =>
      options.http ? load.http(Number(options.connections)) : load.stream(WINDOW);
    await run(first);
    const before = threadTimes(daemon.process.pid ?? 0);
    const { perSecond } = await run(second);
    const after = threadTimes(daemon.process.pid ?? 0);
    const until = Number(process.hrtime.bigint() / 1_000n);
    await daemon.stop();
    const window = { from: until - plan.durationMs * 1_000, until };
    const decisions = (perSecond * plan.durationMs) / 1_000;
    console.log(`${Math.round(perSecond)} decisions/s while measured; CPU time by thread, µs per decision`);
    const spent = [...after].map(([name, time]): [string, number] => [name, time - (before.get(name) ?? 0)]);
    print(new Map(spent.filter(([, time]) => time / decisions > 0.5)), decisions);
    for (const name of readdirSync(join(scratch, 'cpu')))
      report(join(scratch, 'cpu', name), window, decisions);
  } finally {
    await loader.stop();
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** Prints one thread: the functions with the most time of their own, and those with the most beneath them. */
function report(path: string, window: { from: number; until: number }, decisions: number): void {
  const cpu = JSON.parse(readFileSync(path, 'utf8')) as CpuProfile;
  const own = new Map<number, number>();
  let now = cpu.startTime;
  cpu.samples.forEach((id, at) => {
    const delta = cpu.timeDeltas[at] ?? 0;
    now += delta;
    if (now >= window.from && now < window.until) own.set(id, (own.get(id) ?? 0) + delta);
  });
  const byId = new Map(cpu.nodes.map((node) => [node.id, node]));
  const selfTime = new Map<string, number>();
  const totalTime = new Map<string, number>();
  const walk = (id: number, above: ReadonlySet<string>): number => {
    const node = byId.get(id);
    if (node === undefined) return 0;
    const name = nameOf(node.callFrame);
    const mine = own.get(id) ?? 0;
    selfTime.set(name, (selfTime.get(name) ?? 0) + mine);
    const within = new Set(above).add(name);
    const total = (node.children ?? []).reduce((sum, child) => sum + walk(child, within), mine);
    // A function that calls itself is counted once, at its outermost call.
    if (!above.has(name)) totalTime.set(name, (totalTime.get(name) ?? 0) + total);
    return total;
  };
  walk(cpu.nodes[0]?.id ?? 0, new Set());
  console.log(`\n=== ${path.split('/').at(-1)}: own time, µs per decision`);
  print(selfTime, decisions);
  console.log('--- with what it calls');
  print(totalTime, decisions);
}

function nameOf({ functionName, url, lineNumber }: CpuProfile['nodes'][number]['callFrame']): string {
  const file = url.replace(/^file:\/\//, '').replace(/^.*\/(daemon|node_modules)\//, '$1/');
  return `${functionName === '' ? '(anonymous)' : functionName}${file === '' ? '' : ` ${file}:${lineNumber + 1}`}`;
}

function print(times: ReadonlyMap<string, number>, decisions: number): void {
  const rows = [...times].sort(([, a], [, b]) => b - a).slice(0, SHOWN);
  for (const [name, time] of rows) console.log(`${(time / decisions).toFixed(2).padStart(8)}  ${name}`);
}
