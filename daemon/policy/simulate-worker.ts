import { parentPort, workerData } from 'node:worker_threads';
import { parseBundle } from '../core/bundle.ts';
import { compileBundle } from '../core/compile.ts';
import { newestEntries } from '../engine/recent-decisions.ts';
import { SIMULATED_DECISIONS, Simulation } from './simulate.ts';
import type { AsideOptions } from './simulate-aside.ts';

/** Entries looked at for decisions: each decision has a few. */
const ENTRIES = 60_000;
/** Decisions judged at one go, and how long others have the processor to themselves then. */
const SLICE = 64;
const REST_MS = 1;

/** Thread of `simulateAside`: one simulation over one snapshot of the file, then its numbers. */
const { ledger, trust, bundles } = workerData as AsideOptions;
const candidate = new Map(
  [...bundles].map(([environment, bytes]) => {
    const { bundle, digest } = parseBundle(bytes);
    return [environment, compileBundle(bundle, digest)] as const;
  }),
);
const simulation = new Simulation(candidate);
const rest = new Int32Array(new SharedArrayBuffer(4));
for (const { index, entry } of newestEntries(ledger, trust, ENTRIES)) {
  const before = simulation.decisions;
  simulation.add(index, entry);
  if (simulation.decisions === SIMULATED_DECISIONS) break;
  if (simulation.decisions > before && simulation.decisions % SLICE === 0) Atomics.wait(rest, 0, 0, REST_MS);
}
const { decisions, unchanged, withheld, counts } = simulation.report();
parentPort?.postMessage({ decisions, unchanged, withheld, counts });
