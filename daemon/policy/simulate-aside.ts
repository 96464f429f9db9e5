import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { parseVkey } from '../formats/signed-note.ts';
import { readBounded } from '../host/durable-file.ts';
import type { SitePaths } from '../host/site.ts';
import type { SimulationReport } from './simulate.ts';
import type { VerifiedUpdate } from './verify-update.ts';

/** What an update would have changed, in numbers: the flips themselves are `policy simulate`'s to list. */
export type FlipCounts = Pick<SimulationReport, 'decisions' | 'unchanged' | 'withheld' | 'counts'>;

export interface AsideOptions {
  ledger: string;
  trust: { origin: string; vkeys: readonly string[] };
  /** Bundle bytes by environment. */
  bundles: ReadonlyMap<string, Uint8Array>;
}

/** An import does not wait for longer: numbers are worth having, and not worth being late for a revocation. */
const PATIENCE_MS = 20_000;

/**
 * Judges the newest decisions again under an update, on a thread of its own, from the ledger's file: neither the engine
 * nor the sockets wait for it. Null when it could not be done in time or at all, which is no reason to refuse an update.
 */
export async function simulateAside({ ledger, trust, bundles }: AsideOptions): Promise<FlipCounts | null> {
  const { promise, resolve } = Promise.withResolvers<FlipCounts | null>();
  const worker = new Worker(new URL('./simulate-worker.ts', import.meta.url), {
    workerData: { ledger, trust, bundles },
  });
  const timer = setTimeout(() => resolve(null), PATIENCE_MS);
  worker.once('message', resolve);
  worker.once('error', () => resolve(null));
  worker.once('exit', () => resolve(null));
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    await worker.terminate();
  }
}

const VKEYS_MAX_BYTES = 65_536;

/** What an import asks before it puts an update in force at this site. */
export function simulatorOf(paths: SitePaths): (update: VerifiedUpdate) => Promise<FlipCounts | null> {
  return async ({ siteTarget, bundles }) => {
    const text = Buffer.from(readBounded(join(paths.trust, 'ledger.vkey'), VKEYS_MAX_BYTES)).toString('utf8');
    const vkeys = text.split('\n').filter((line) => line !== '');
    const newest = vkeys.at(-1);
    if (newest === undefined) return null;
    const candidate = Object.entries(siteTarget.environments).map(
      ([environment, { digest }]) => [environment, bundles.get(digest) ?? new Uint8Array()] as const,
    );
    const trust = { origin: parseVkey(newest).name, vkeys };
    return simulateAside({ ledger: paths.ledger, trust, bundles: new Map(candidate) });
  };
}
