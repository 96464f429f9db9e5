import type { CompiledBundle } from '../core/compile.ts';
import { newestEntries } from '../engine/recent-decisions.ts';
import { parseVkey } from '../formats/signed-note.ts';
import { readBounded } from '../host/durable-file.ts';
import { SIMULATED_DECISIONS, Simulation, type SimulationReport } from './simulate.ts';

/** What an update would have changed, in numbers: the flips themselves are `policy simulate`'s to list. */
export type FlipCounts = Pick<SimulationReport, 'decisions' | 'unchanged' | 'withheld' | 'counts'>;

/** Files of a ledger and of the keys that sign it. */
export interface LedgerToRead {
  path: string;
  vkeys: string;
}

/** Entries looked at for decisions: each decision has a few. */
const ENTRIES = 60_000;
/** An import does not wait for longer: what was counted until then is what goes on record. */
const PATIENCE_MS = 20_000;
const VKEYS_MAX_BYTES = 65_536;

/**
 * Judges the newest decisions again under the bundle of their environment, from the ledger's file: its writer does not
 * notice. Throws the errors of `viewLedger`.
 */
export function countFlips(ledger: LedgerToRead, candidate: ReadonlyMap<string, CompiledBundle>): FlipCounts {
  const simulation = new Simulation(candidate);
  const deadline = performance.now() + PATIENCE_MS;
  for (const { index, entry } of newestEntries(ledger.path, trustIn(ledger.vkeys), ENTRIES)) {
    if (simulation.decisions === SIMULATED_DECISIONS || performance.now() > deadline) break;
    simulation.add(index, entry);
  }
  const { decisions, unchanged, withheld, counts } = simulation.report();
  return { decisions, unchanged, withheld, counts };
}

function trustIn(file: string): { origin: string; vkeys: readonly string[] } {
  const text = Buffer.from(readBounded(file, VKEYS_MAX_BYTES)).toString('utf8');
  const vkeys = text.split('\n').filter((line) => line !== '');
  return { origin: parseVkey(vkeys.at(-1) ?? '').name, vkeys };
}
