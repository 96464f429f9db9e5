import type { Bundle } from '../core/bundle.ts';
import {
  FRESHNESS_STEPS,
  type FreshnessSchedule,
  type FreshnessStep,
  freshnessSchedule,
  newsAt,
  staler,
  stepAt,
} from '../core/freshness.ts';
import type { TimeTrust } from '../formats/entry.ts';

/** How old the policy of one environment is. */
export interface AgeReport {
  environment: string;
  step: FreshnessStep;
  /** The newest signed word of headquarters; milliseconds since 1970, like every instant here. */
  news_at: number;
  /** The step that comes next without news, and when; null past the last one. */
  next: { step: FreshnessStep; at: number } | null;
}

interface Aging {
  news_at: number;
  schedule: FreshnessSchedule;
  step: FreshnessStep;
  /** What the ledger says. */
  recorded: FreshnessStep;
}

/**
 * How the policies in force age (docs/decisions/0012). Trusted time moves a policy from step to step, and back when a
 * clock that ran ahead was corrected. Uncertain time only moves it forward, by what it is at least: a clock that is set
 * back, or dead, never makes a policy fresh again.
 */
export class PolicyAge {
  readonly #aging = new Map<string, Aging>();
  #floor = 0;

  /** Follows other policies from now on: the bundle of each environment, and the last step that is on record for it. */
  follow(
    bundles: ReadonlyMap<string, Bundle>,
    site_issued_at: string | null,
    recorded: ReadonlyMap<string, FreshnessStep>,
  ): void {
    this.#aging.clear();
    for (const [environment, bundle] of bundles) {
      const schedule = freshnessSchedule(bundle, site_issued_at);
      const step = recorded.get(environment) ?? 'fresh';
      this.#aging.set(environment, {
        news_at: newsAt(bundle, site_issued_at),
        schedule,
        step,
        recorded: step,
      });
    }
  }

  /** Brings every step to this time. `floor`: milliseconds since 1970 that it is at least; the last known when absent. */
  advance({ now, trust }: { now: number; trust: TimeTrust }, floor = this.#floor): void {
    this.#floor = floor;
    for (const aging of this.#aging.values()) {
      aging.step =
        trust === 'uncertain'
          ? staler(aging.step, stepAt(aging.schedule, floor))
          : stepAt(aging.schedule, now);
    }
  }

  /** The step in force for an environment; `fresh` where no policy is. */
  step(environment: string): FreshnessStep {
    return this.#aging.get(environment)?.step ?? 'fresh';
  }

  /** The steps that are on record. */
  steps(): Map<string, FreshnessStep> {
    return new Map([...this.#aging].map(([environment, { recorded }]) => [environment, recorded]));
  }

  /** Steps that are in force and not on record yet. */
  unrecorded(): { environment: string; step: FreshnessStep; previous: FreshnessStep; news_at: number }[] {
    return [...this.#aging].flatMap(([environment, { step, recorded, news_at }]) =>
      step === recorded ? [] : [{ environment, step, previous: recorded, news_at }],
    );
  }

  /** Notes that the step in force is on record. */
  recorded(environment: string): void {
    const aging = this.#aging.get(environment);
    if (aging !== undefined) aging.recorded = aging.step;
  }

  report(): AgeReport[] {
    return [...this.#aging].map(([environment, { step, news_at, schedule }]) => {
      const next = FRESHNESS_STEPS[FRESHNESS_STEPS.indexOf(step) + 1];
      return {
        environment,
        step,
        news_at,
        next: next === undefined || next === 'fresh' ? null : { step: next, at: schedule[next] },
      };
    });
  }
}
