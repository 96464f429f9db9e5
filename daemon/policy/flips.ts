import type { CompiledBundle } from '../core/compile.ts';
import { newestEntries } from '../engine/recent-decisions.ts';
import { currentLog, type LogKey } from '../formats/log-keys.ts';
import { readLineage } from '../host/log-lineage.ts';
import { SIMULATED_DECISIONS, Simulation, type SimulationReport } from './simulate.ts';

/** What an update would have changed, in numbers: the flips themselves are `policy simulate`'s to list. */
export type FlipCounts = Pick<SimulationReport, 'decisions' | 'unchanged' | 'withheld' | 'counts'>;

/** A ledger's file, and the trust directory that says who signs it. */
export interface LedgerToRead {
  path: string;
  trust: string;
}

/** Entries looked at for decisions: each decision has a few. */
const ENTRIES = 60_000;
/** An import does not wait for longer: what was counted until then is what goes on record. */
const PATIENCE_MS = 20_000;

/**
 * Judges the newest decisions again under the bundle of their environment, from the ledger's file: its writer does not
 * notice. Throws the errors of `viewLedger`.
 */
export function countFlips(ledger: LedgerToRead, candidate: ReadonlyMap<string, CompiledBundle>): FlipCounts {
  const simulation = new Simulation(candidate);
  const deadline = performance.now() + PATIENCE_MS;
  for (const { index, entry } of newestEntries(ledger.path, trustIn(ledger.trust), ENTRIES)) {
    if (simulation.decisions === SIMULATED_DECISIONS || performance.now() > deadline) break;
    simulation.add(index, entry);
  }
  const { decisions, unchanged, withheld, counts } = simulation.report();
  return { decisions, unchanged, withheld, counts };
}

function trustIn(directory: string): { origin: string; vkeys: readonly LogKey[] } {
  const log = currentLog(readLineage(directory));
  return { origin: log.origin, vkeys: log.keys };
}
