import type { CompiledBundle } from '../core/compile.ts';
import { hasMaskedPayload } from '../core/masked.ts';
import { isDecisionEntry, type Replay, type Ruling, replayDecision } from '../core/replay.ts';
import type { Entry } from '../formats/entry.ts';

/** Decisions that a simulation looks at unless told otherwise, and flips that its report spells out. */
export const SIMULATED_DECISIONS = 10_000;
const FLIPS_LISTED = 1_000;

/** The first entry of a decision and where it stands in the ledger. */
export interface IndexedEntry {
  index: number;
  entry: Entry;
}

/** One decision that would have gone otherwise. */
export interface Flip {
  decision_id: string;
  /** Log index of its first entry. */
  index: number;
  at: string;
  class: string | null;
  environment: string;
  actor: string | null;
  /** `allow→deny` and the like; `band` or `authority` where the result stays. */
  kind: string;
  from: Pick<Ruling, 'result' | 'band' | 'authority' | 'gates'>;
  to: Pick<Ruling, 'result' | 'band' | 'authority' | 'gates'>;
  /** Why it would go the new way. */
  reasons: string[];
}

/** What a candidate policy would have changed. */
export interface SimulationReport {
  /** Decisions judged again. */
  decisions: number;
  unchanged: number;
  /** Denials that stand because what they were denied for is not on record. */
  withheld: number;
  /** Decisions that could not be judged again: values of their payloads were not shown to whoever asked. */
  masked: number;
  /** How many of each kind of flip. */
  counts: Record<string, number>;
  /** Newest first; at most 1,000, `counts` has them all. */
  flips: Flip[];
}

/** One bundle for every environment, or one each; an environment without one would be denied. */
export type Candidate = CompiledBundle | ReadonlyMap<string, CompiledBundle>;

/**
 * Judges recorded decisions again under a candidate policy, in slices: `add` what is read, then ask for the `report`.
 * Pure, so it may run where nothing must wait for it. Entries that do not start a decision are skipped.
 */
export class Simulation {
  readonly #candidate: Candidate;
  readonly #counts = new Map<string, number>();
  readonly #flips: Flip[] = [];
  #decisions = 0;
  #withheld = 0;
  #masked = 0;
  #unchanged = 0;

  constructor(candidate: Candidate) {
    this.#candidate = candidate;
  }

  /** Decisions judged so far. */
  get decisions(): number {
    return this.#decisions;
  }

  /** Decisions seen so far, judged or not. */
  get seen(): number {
    return this.#decisions + this.#masked;
  }

  add(index: number, entry: Entry): void {
    if (!isDecisionEntry(entry)) return;
    // The mark that stands for a value is no value: rules would be judged by it.
    if (hasMaskedPayload(entry)) {
      this.#masked += 1;
      return;
    }
    this.#decisions += 1;
    // A candidate that is put in force is news: no decision would have been judged by it as a stale one.
    const replay = replayDecision(entry, this.#candidateFor(entry), null);
    if (replay.withheld) this.#withheld += 1;
    const kind = flipOf(replay);
    if (kind === null) {
      this.#unchanged += 1;
      return;
    }
    this.#counts.set(kind, (this.#counts.get(kind) ?? 0) + 1);
    this.#flips.push(describeFlip(index, entry, kind, replay));
  }

  report(): SimulationReport {
    const flips = [...this.#flips].sort((a, b) => b.index - a.index).slice(0, FLIPS_LISTED);
    return {
      decisions: this.#decisions,
      unchanged: this.#unchanged,
      withheld: this.#withheld,
      masked: this.#masked,
      counts: Object.fromEntries([...this.#counts].sort(([a], [b]) => (a < b ? -1 : 1))),
      flips,
    };
  }

  #candidateFor(entry: Entry): CompiledBundle | null {
    if (!(this.#candidate instanceof Map)) return this.#candidate as CompiledBundle;
    return this.#candidate.get(environmentOf(entry) ?? '') ?? null;
  }
}

/** `Simulation` at one go, for entries that are at hand. */
export function simulate(entries: Iterable<IndexedEntry>, candidate: Candidate): SimulationReport {
  const simulation = new Simulation(candidate);
  for (const { index, entry } of entries) simulation.add(index, entry);
  return simulation.report();
}

/** Where recorded entries come from: the daemon, or the ledger's file. */
export interface EntryReader {
  size: number;
  /** At most `limit` entries from an index on. */
  read(from: number, limit: number): Promise<IndexedEntry[]>;
}

const PAGE = 256;

/**
 * Simulates the newest `last` decisions of a ledger (of one environment, if named), reading backwards page by page; between pages others get their
 * turn. `onProgress` gets the number of decisions judged.
 */
export async function simulateRecent(
  source: EntryReader,
  candidate: Candidate,
  options: { last?: number; environment?: string; onProgress?: (n: number) => void } = {},
): Promise<SimulationReport> {
  const { last = SIMULATED_DECISIONS, environment, onProgress = () => {} } = options;
  const simulation = new Simulation(candidate);
  for (let end = source.size; end > 0 && simulation.seen < last; end -= PAGE) {
    const from = Math.max(0, end - PAGE);
    const page = await source.read(from, end - from);
    for (const { index, entry } of page.toReversed()) {
      if (simulation.seen >= last) break;
      if (environment === undefined || environmentOf(entry) === environment) simulation.add(index, entry);
    }
    onProgress(simulation.seen);
  }
  return simulation.report();
}

function environmentOf({ data }: Entry): string | undefined {
  return ((data.context ?? {}) as { environment?: string }).environment;
}

/** The kind of flip; null when people and machines would have seen the same. */
function flipOf({ recorded, replayed }: Replay): string | null {
  if (recorded.result !== replayed.result) return `${recorded.result}→${replayed.result}`;
  if (recorded.band !== replayed.band) return 'band';
  return demand(recorded) === demand(replayed) ? null : 'authority';
}

/** Who must approve, whatever the routes are called. */
function demand({ authority, gates }: Ruling): string {
  const groups = authority.required.map(({ roles, min_signatures }) => [[...roles].sort(), min_signatures]);
  const exceptions = gates.filter((gate) => gate.endsWith(' requires_exception'));
  return JSON.stringify([groups.map((group) => JSON.stringify(group)).sort(), exceptions]);
}

function describeFlip(index: number, entry: Entry, kind: string, replay: Replay): Flip {
  const { action, context } = entry.data as unknown as {
    action: { class: string | null };
    context: { environment: string };
  };
  const side = ({ result, band, authority, gates }: Ruling) => ({ result, band, authority, gates });
  return {
    decision_id: entry.stream,
    index,
    at: entry.at,
    class: action.class,
    environment: context.environment,
    actor: entry.actor.id,
    kind,
    from: side(replay.recorded),
    to: side(replay.replayed),
    reasons: replay.reasons,
  };
}
