import { anchoringSchedule } from '../core/anchoring.ts';
import type { Bundle } from '../core/bundle.ts';
import type { BundleAnchoring } from '../core/bundle-anchoring.ts';
import { durationMs } from '../core/duration.ts';
import { FRESHNESS_STEPS, type FreshnessStep, staler, stepAt } from '../core/freshness.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import type { TimeTrust } from '../formats/entry.ts';
import { decodeEntry } from '../formats/entry.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Projections } from './projections.ts';

/** How overdue the anchors of one environment's policy are. */
export interface AnchorReport {
  environment: string;
  counts: 'made' | 'left';
  step: FreshnessStep;
  /** When the newest anchor that counts was made, or the ledger began: milliseconds since 1970, like every instant here. */
  since: number;
  next: { step: FreshnessStep; at: number } | null;
}

interface Demand {
  section: BundleAnchoring;
  since: number;
  step: FreshnessStep;
  /** What the ledger says. */
  recorded: FreshnessStep;
}

/** When the ledger began: milliseconds since 1970; 0 when its first entries were carried off, and so are long past. */
function beginning(ledger: Pick<Ledger, 'entry'>): number {
  try {
    const first = ledger.entry(0);
    return first === null ? 0 : Date.parse(decodeEntry(first).at);
  } catch (error) {
    if (error instanceof BoundaryError) return 0;
    throw error;
  }
}

/** Environments that a bundle may have. */
const MOST_ENVIRONMENTS = 64;

/**
 * How long ago the site's history was last made known elsewhere, by the policies in force (docs/decisions/0029). As with
 * the age of policies, trusted time moves the steps both ways, and uncertain time only forward, by what it is at least.
 */
export class AnchorAge {
  readonly #demands = new Map<string, Demand>();
  /** Steps on record, of environments that are not followed (yet). */
  readonly #onRecord = new Map<string, FreshnessStep>();
  #begun = 0;
  #made: number | null = null;

  /** Takes over what the ledger says, before any policy is followed. */
  restore(ledger: Pick<Ledger, 'entry'>, projections: Projections): void {
    this.#begun = beginning(ledger);
    for (const { id, state } of projections.standingOpen('overdue', MOST_ENVIRONMENTS))
      this.#onRecord.set(id, state as FreshnessStep);
  }

  /** Follows other policies from now on. */
  follow(bundles: ReadonlyMap<string, Bundle>): void {
    for (const [environment, { recorded }] of this.#demands) this.#onRecord.set(environment, recorded);
    this.#demands.clear();
    for (const [environment, { anchoring }] of bundles) {
      if (anchoring === undefined) continue;
      const recorded = this.#onRecord.get(environment) ?? 'fresh';
      this.#demands.set(environment, { section: anchoring, since: this.#begun, step: recorded, recorded });
    }
  }

  /** Brings every step to this time and to what the chain of anchors is. `floor`: milliseconds since 1970 that it is at least. */
  advance({ now, trust }: { now: number; trust: TimeTrust }, floor: number, projections: Projections): void {
    if (this.#demands.size === 0) return;
    this.#made = projections.newestAnchor()?.at ?? null;
    const left = projections.newestAnchor('departed')?.at ?? null;
    for (const demand of this.#demands.values()) {
      demand.since = (demand.section.counts === 'left' ? left : this.#made) ?? this.#begun;
      const schedule = anchoringSchedule(demand.section, demand.since);
      demand.step =
        trust === 'uncertain' ? staler(demand.step, stepAt(schedule, floor)) : stepAt(schedule, now);
    }
  }

  /** Whether the policies demand that an anchor be made now. One from the future does not count as made. */
  isDue({ now, trust }: { now: number; trust: TimeTrust }, floor: number): boolean {
    const at = trust === 'uncertain' ? floor : now;
    const made = this.#made;
    return [...this.#demands.values()].some(
      ({ section: { every } }) =>
        every !== undefined &&
        (made === null || at - made >= durationMs(every) || (trust !== 'uncertain' && made > now)),
    );
  }

  /** The step in force for an environment; `fresh` where nothing is demanded. */
  step(environment: string): FreshnessStep {
    return this.#demands.get(environment)?.step ?? 'fresh';
  }

  /** Steps that are in force and not on record yet. */
  unrecorded(): { environment: string; step: FreshnessStep; previous: FreshnessStep; since: number }[] {
    return [...this.#demands].flatMap(([environment, { step, recorded, since }]) =>
      step === recorded ? [] : [{ environment, step, previous: recorded, since }],
    );
  }

  /** Notes that the step in force is on record. */
  recorded(environment: string): void {
    const demand = this.#demands.get(environment);
    if (demand !== undefined) demand.recorded = demand.step;
  }

  report(): AnchorReport[] {
    return [...this.#demands].map(([environment, { section, step, since }]) => {
      const next = FRESHNESS_STEPS[FRESHNESS_STEPS.indexOf(step) + 1];
      const schedule = anchoringSchedule(section, since);
      return {
        environment,
        counts: section.counts ?? 'made',
        step,
        since,
        next: next === undefined || next === 'fresh' ? null : { step: next, at: schedule[next] },
      };
    });
  }
}
