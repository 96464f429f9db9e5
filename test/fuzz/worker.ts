import { parentPort, workerData } from 'node:worker_threads';
import { type Finding, fuzz, type Progress } from './fuzzer.ts';
import { INPUT_MAX } from './mutate.ts';
import { type Group, load } from './table.ts';

/* One group of targets in a thread of its own, which can be ended when a reader does not. */

export interface Work {
  group: Group;
  targets: readonly string[];
  seed: number;
  /** For each target. */
  milliseconds: number;
  /** Count of inputs and length of the one that is being read, then its bytes. */
  shared: SharedArrayBuffer;
}

export type Report =
  | { is: 'started'; target: string }
  | { is: 'found'; finding: Finding }
  | ({ is: 'done'; target: string } & Progress);

export const SHARED_BYTES = 8 + INPUT_MAX;

async function work({ group, targets, seed, milliseconds, shared }: Work): Promise<void> {
  const counters = new Int32Array(shared, 0, 2);
  const current = new Uint8Array(shared, 8);
  const tell = (report: Report) => parentPort?.postMessage(report);
  for (const target of (await load(group)).filter(({ name }) => targets.includes(name))) {
    tell({ is: 'started', target: target.name });
    const end = performance.now() + milliseconds;
    const progress = await fuzz(target, {
      seed,
      goOn: () => performance.now() < end,
      before(input) {
        Atomics.add(counters, 0, 1);
        Atomics.store(counters, 1, Math.min(input.length, INPUT_MAX));
        current.set(input.subarray(0, INPUT_MAX));
      },
      found: (finding) => tell({ is: 'found', finding }),
    });
    tell({ is: 'done', target: target.name, ...progress });
  }
}

if (parentPort !== null) await work(workerData as Work);
