import { setTimeout as sleep } from 'node:timers/promises';
import { median } from './statistics.ts';

/** What one arm of a comparison gives per round. */
export interface Measured {
  perSecond: number;
  /** Milliseconds; NaN for arms that nobody waits for. */
  p50: number;
  p99: number;
}

/** Between two arms: what the last one left to do (write-ahead log, garbage) must not be charged to the next. */
const REST_MS = 250;

/** Runs the arms of a comparison in turns (A B C, A B C, …) and returns the median over the rounds of each. */
export async function runArms(
  arms: Record<string, () => Promise<Measured>>,
  rounds: number,
  progress: (text: string) => void,
): Promise<ReadonlyMap<string, Measured>> {
  const taken = new Map<string, Measured[]>(Object.keys(arms).map((name) => [name, []]));
  for (let round = 1; round <= rounds; round++) {
    for (const [name, run] of Object.entries(arms)) {
      await sleep(REST_MS);
      const measured = await run();
      taken.get(name)?.push(measured);
      progress(`round ${round} of ${rounds}, ${name}: ${describe(measured)}`);
    }
  }
  return new Map([...taken].map(([name, rows]) => [name, middle(rows)]));
}

function middle(rows: readonly Measured[]): Measured {
  return {
    perSecond: median(rows.map((row) => row.perSecond)),
    p50: median(rows.map((row) => row.p50)),
    p99: median(rows.map((row) => row.p99)),
  };
}

function describe({ perSecond, p50, p99 }: Measured): string {
  const rate = `${Math.round(perSecond)}/s`;
  return Number.isNaN(p50) ? rate : `${rate}, p50 ${p50.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms`;
}
