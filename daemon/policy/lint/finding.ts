import type { Bundle } from '../../core/bundle.ts';
import type { Defect } from '../../core/bundle-defects.ts';
import { inScope, type RuleScope } from '../../core/rules.ts';
import { listed } from '../diff/words.ts';

/**
 * What a checked bundle says that its author cannot have meant (`error`), probably did not mean (`warning`), or should
 * know (`note`). Unlike a defect it does not keep a site from running the bundle: everything it allows is still decided
 * by rules that hold.
 */
export interface Finding extends Defect {
  severity: 'error' | 'warning' | 'note';
  /** Stable name of the check, such as `gate.unreachable`. */
  check: string;
}

/** A class in one environment in which it is done. */
export interface Place {
  name: string;
  environment: string;
}

/** Every class in every environment in which it is done. */
export function placesOf({ actions, environments }: Bundle): Place[] {
  return Object.entries(actions).flatMap(([name, action]) =>
    (action.environments ?? Object.keys(environments)).map((environment) => ({ name, environment })),
  );
}

/** Where a rule is asked at all. */
export function askedAt(scope: RuleScope, places: readonly Place[]): Place[] {
  return places.filter(({ name, environment }) => inScope(scope, name, environment));
}

/** `wipe_storage in staging at high or critical risk`, one phrase for each class and environment. */
export function crossingWords(crossings: readonly (Place & { band: string })[]): string {
  const bands = new Map<string, string[]>();
  for (const { name, environment, band } of crossings) {
    const place = `${name} in ${environment}`;
    bands.set(place, [...(bands.get(place) ?? []), band]);
  }
  return listed([...bands].map(([place, names]) => `${place} at ${listed(names, 'or')} risk`));
}
