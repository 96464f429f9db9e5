import { cpSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ApiClient } from '../../daemon/api/client.ts';
import type { Bundle } from '../../daemon/core/bundle.ts';
import { type SitePaths, sitePaths } from '../../daemon/host/site.ts';
import { readPolicyDirectory } from '../../daemon/policy/source.ts';
import { largeBundle } from './large-policy.ts';
import type { Loader } from './load/loader.ts';
import type { Plan } from './plan.ts';
import type { Server } from './processes.ts';
import type { Question } from './questions.ts';
import type { Figure } from './report.ts';
import {
  ALLOWED,
  DECISIONS_PATH,
  growLedger,
  makeSite,
  ORIGIN,
  runCommand,
  socketOf,
  startRole,
} from './site.ts';
import { median, percentile } from './statistics.ts';

export interface PolicyBench {
  plan: Plan;
  loader: Loader;
  questions: readonly Question[];
  /** Where the site is made. */
  scratch: string;
  own(server: Server): Server;
  progress(text: string): void;
}

/** Decisions that an import simulates; callers, and how often one comes, while it does. */
const SIMULATED = 10_000;
const CONNECTIONS = 32;
const ARRIVALS_PER_SECOND = 400;
/** A load starts so long before the import, and goes on until it is certainly over. */
const BEFORE_MS = 3_000;
const DURING_MS = 8_000;
const SETTLE_MS = 500;

/** What a large update costs: the time until it is in force, and what those notice who ask meanwhile. */
export async function policyFigures(bench: PolicyBench): Promise<Figure[]> {
  const { plan, scratch, questions, progress } = bench;
  const dir = join(scratch, 'p');
  await makeSite(dir);
  const decisions = growLedger(dir, questions, SIMULATED);
  const publisher = new LargeUpdates(sitePaths(dir), scratch);
  const daemon = bench.own(await startRole(dir, 'daemon'));
  const alone: number[] = [];
  const before: number[] = [];
  const during: number[] = [];
  for (let round = 1; round <= plan.imports; round++) {
    const timed = await timedCommand(dir, await publisher.next());
    alone.push(timed);
    const noticed = await underLoad(bench, dir, await publisher.next());
    before.push(noticed.before);
    during.push(noticed.during);
    progress(
      `import ${round} of ${plan.imports}: ${timed.toFixed(0)} ms; under load ${noticed.ms.toFixed(0)} ms, p99 ${noticed.before.toFixed(2)} → ${noticed.during.toFixed(2)} ms, worst ${noticed.worst.toFixed(1)} ms`,
    );
  }
  await daemon.stop();
  const name = `import of a ${publisher.bytes.toLocaleString('en')} B bundle`;
  return [
    {
      name: `${name}, whole command, ${decisions.toLocaleString('en')} entries`,
      unit: 'ms',
      ours: median(alone),
      goal: { of: 'ours', at: 'below', value: 3_000 },
    },
    {
      name: `p99 meanwhile, ${ARRIVALS_PER_SECOND} decisions/s arriving`,
      unit: 'ms',
      ours: median(during),
      with: { name: 'before', value: median(before) },
      goal: { of: 'ratio', at: 'most', value: 2 },
    },
  ];
}

/** Headquarters, in the site's own publisher: every update has another large bundle. */
class LargeUpdates {
  readonly #paths: SitePaths;
  readonly #scratch: string;
  readonly #small: Bundle;
  #version: number;
  /** Size of the newest bundle. */
  bytes = 0;

  constructor(paths: SitePaths, scratch: string) {
    this.#paths = paths;
    this.#scratch = scratch;
    this.#small = readPolicyDirectory(join(paths.publisher, 'policy')).bundle;
    this.#version = this.#small.metadata.version;
  }

  /** Publishes; returns the medium. */
  async next(): Promise<string> {
    this.#version += 1;
    const { bytes } = largeBundle(this.#small, this.#version);
    this.bytes = bytes.length;
    const file = join(this.#scratch, 'bundle.json');
    writeFileSync(file, bytes);
    await runCommand(['repo', 'publish', this.#paths.publisher, file, '--site', ORIGIN, '--json']);
    const medium = join(this.#scratch, `medium-${this.#version}`);
    cpSync(join(this.#paths.publisher, 'repository'), medium, { recursive: true });
    return medium;
  }
}

async function timedCommand(dir: string, medium: string): Promise<number> {
  const started = performance.now();
  const report = JSON.parse(await runCommand(['import', medium, '--dir', dir, '--json'])) as {
    applied: boolean;
    unchanged: boolean;
  };
  if (!report.applied || report.unchanged) throw new Error(`import: ${JSON.stringify(report)}`);
  return performance.now() - started;
}

/** One import while others ask. `before` and `during`: p99 in ms of those who came in that time. */
async function underLoad(
  { loader, questions }: PolicyBench,
  dir: string,
  medium: string,
): Promise<{ before: number; during: number; worst: number; ms: number }> {
  const client = new ApiClient({ socketPath: join(sitePaths(dir).run, 'operator.sock'), timeoutMs: 30_000 });
  const load = loader.run({
    kind: 'paced',
    socket: socketOf(dir, 'request'),
    path: DECISIONS_PATH,
    bodies: questions.map((question) => JSON.stringify(question)),
    expect: ALLOWED,
    connections: CONNECTIONS,
    perSecond: ARRIVALS_PER_SECOND,
    durationMs: BEFORE_MS + DURING_MS,
  });
  await new Promise((resolve) => setTimeout(resolve, BEFORE_MS));
  const start = performance.timeOrigin + performance.now();
  await client.importPolicy(medium, {});
  const end = performance.timeOrigin + performance.now();
  client.close();
  const { answers } = await load;
  const between = (from: number, to: number) =>
    Float64Array.from(answers.filter(([at]) => at >= from && at < to).map(([, ms]) => ms)).sort();
  const during = between(start, end);
  return {
    before: percentile(between(start - BEFORE_MS + SETTLE_MS, start), 99),
    during: percentile(during, 99),
    worst: during.at(-1) ?? Number.NaN,
    ms: end - start,
  };
}
