import { Worker } from 'node:worker_threads';
import type { Finding, Progress } from './fuzzer.ts';
import { GROUPS, type Group } from './table.ts';
import { type Report, SHARED_BYTES, type Work } from './worker.ts';

/* Runs the fuzzer over many targets, each for its share of the time, and ends readers that do not end by themselves. */

/** Wall-clock time without a finished input: far above the CPU time that is judged, for machines under load. */
const HANG_MS = 60_000;
const HEAP_MB = 1_024;

export interface CampaignOptions {
  seconds: number;
  seed: number;
  /** Of targets; all when empty. */
  only?: readonly string[];
  done?(target: string, progress: Progress): void;
  found?(finding: Finding): void;
  hangMs?: number;
  groups?: Readonly<Record<string, Group>>;
}

/** Fuzzes for about so many seconds in all, and returns what was found. */
export async function campaign(options: CampaignOptions): Promise<Finding[]> {
  const { seconds, only = [], groups = GROUPS } = options;
  const wanted = Object.values(groups).map((group) => ({
    group,
    targets: group.names.filter((name) => only.length === 0 || only.includes(name)),
  }));
  const shares = wanted.reduce((sum, { group, targets }) => sum + (group.weight ?? 1) * targets.length, 0);
  if (shares === 0) throw new Error(`there is no such target: ${only.join(', ')}`);
  const findings: Finding[] = [];
  for (const { group, targets } of wanted) {
    const milliseconds = (seconds * 1_000 * (group.weight ?? 1)) / shares;
    let left = [...targets];
    while (left.length > 0) {
      const { finished, found } = await runGroup(group, left, milliseconds, options);
      findings.push(...found);
      left = left.filter((name) => !finished.includes(name));
    }
  }
  return findings;
}

/** One worker's life: it ends when its targets are done, or when one of them ends it. */
function runGroup(
  group: Group,
  targets: readonly string[],
  milliseconds: number,
  { seed, done, found: tell, hangMs = HANG_MS }: CampaignOptions,
): Promise<{ finished: string[]; found: Finding[] }> {
  const shared = new SharedArrayBuffer(SHARED_BYTES);
  const work: Work = { group, targets, seed, milliseconds, shared };
  const worker = new Worker(new URL('./worker.ts', import.meta.url), {
    workerData: work,
    resourceLimits: { maxOldGenerationSizeMb: HEAP_MB },
  });
  const finished: string[] = [];
  const found: Finding[] = [];
  let current = '';
  let failure: string | null = null;
  const note = (finding: Finding) => {
    found.push(finding);
    tell?.(finding);
  };
  return new Promise((resolve) => {
    const stopWatching = watch(shared, hangMs, () => {
      failure = 'does not end';
      void worker.terminate();
    });
    worker.on('message', (report: Report) => {
      if (report.is === 'started') current = report.target;
      if (report.is === 'found') note(report.finding);
      if (report.is !== 'done') return;
      finished.push(report.target);
      done?.(report.target, report);
    });
    worker.on('error', (error: Error & { code?: string }) => {
      failure ??=
        error.code === 'ERR_WORKER_OUT_OF_MEMORY'
          ? 'runs out of memory'
          : `ends the thread: ${error.message}`;
    });
    worker.on('exit', (code) => {
      stopWatching();
      if (failure === null && code === 0 && finished.length === targets.length)
        return resolve({ finished, found });
      // Nobody started: the targets themselves cannot be loaded, and trying again would not help.
      if (current === '') finished.push(...targets);
      note({ target: current || group.module, what: failure ?? 'ends the thread', input: lastInput(shared) });
      resolve({ finished: [...finished, current], found });
    });
  });
}

/** Calls back when the count of inputs stands still for too long. Returns how to stop. */
function watch(shared: SharedArrayBuffer, hangMs: number, hangs: () => void): () => void {
  const counters = new Int32Array(shared, 0, 2);
  let [count, since] = [-1, performance.now()];
  const timer = setInterval(
    () => {
      const now = Atomics.load(counters, 0);
      if (now !== count) [count, since] = [now, performance.now()];
      else if (performance.now() - since > hangMs) hangs();
    },
    Math.min(1_000, hangMs / 4),
  );
  return () => clearInterval(timer);
}

function lastInput(shared: SharedArrayBuffer): Uint8Array {
  const length = Atomics.load(new Int32Array(shared, 0, 2), 1);
  return Uint8Array.from(new Uint8Array(shared, 8, length));
}
