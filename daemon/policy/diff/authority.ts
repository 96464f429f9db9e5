import type { Bundle } from '../../core/bundle.ts';
import { requiredAuthority } from '../../core/routes.ts';
import { inScope } from '../../core/rules.ts';
import type { AuthorityGroup } from '../../core/verdict.ts';
import { reachOf } from '../reach.ts';
import { listed, same } from './words.ts';

/**
 * Who must approve what: compared by class, environment and score, not route by route, so that rules written otherwise
 * which demand the same are no change, and a route that moves with a band is one.
 */
export function authorityChanges(before: Bundle, after: Bundle): string[] {
  const sayings = new Map<string, string[]>();
  for (const [name, action] of Object.entries(after.actions)) {
    const environments = action.environments ?? Object.keys(after.environments);
    const places = environments.flatMap((environment) =>
      spansOf(before, after, name, environment).map((span) => ({ environment, ...span })),
    );
    for (const saying of sayingsOf(places, environments)) {
      sayings.set(saying, [...(sayings.get(saying) ?? []), name]);
    }
  }
  return [...sayings].map(([saying, names]) => `${listed(names)} ${inNumber(saying, names.length)}`);
}

/** Where the risk of a class can now fall into other bands, whatever made it so. */
export function reachChanges(before: Bundle, after: Bundle): string[] {
  const sayings = new Map<string, string[]>();
  for (const [name, action] of Object.entries(after.actions)) {
    const all = action.environments ?? Object.keys(after.environments);
    const where = new Map<string, string[]>();
    for (const environment of all.filter((known) => isAsked(before, name, known))) {
      const [was, is] = [reachOf(before, name, environment).bands, reachOf(after, name, environment).bands];
      if (same(was, is)) continue;
      const change = ` can now be of ${listed(is, 'or')} risk (was ${listed(was, 'or')}).`;
      where.set(change, [...(where.get(change) ?? []), environment]);
    }
    for (const [change, environments] of where) {
      const saying = `${placeWords(environments, all)}${change}`;
      sayings.set(saying, [...(sayings.get(saying) ?? []), name]);
    }
  }
  return [...sayings].map(([saying, names]) => `${listed(names)} ${saying}`);
}

/** Who must approve what under one policy, in the words of `authorityChanges`. */
export function describeAuthority(bundle: Bundle): string[] {
  return authorityChanges({ ...bundle, actions: {} }, bundle);
}

/** A stretch of scores in which the same is demanded, and how that differs from before. */
interface Span {
  /** `at high risk`, `at risk 0.5 to 0.6`; empty when it is all that the class can reach. */
  at: string;
  change: string | null;
}

function spansOf(before: Bundle, after: Bundle, name: string, environment: string): Span[] {
  const reach = reachOf(after, name, environment);
  const cuts = [
    ...new Set(
      [0, ...before.risk.bands, ...after.risk.bands].map((cut) =>
        typeof cut === 'number' ? cut : cut.below,
      ),
    ),
  ];
  cuts.sort((a, b) => a - b);
  const isNew = !isAsked(before, name, environment);
  const demand = [demandOf(before, name, environment), demandOf(after, name, environment)] as const;
  const spans: { from: number; below: number; change: string | null }[] = [];
  cuts.slice(0, -1).forEach((from, index) => {
    const below = cuts[index + 1] ?? 2;
    const band = bandAt(after, from);
    if (below <= reach.least || from > reach.most || !reach.bands.includes(band)) return;
    const is = demand[1](band);
    const change = isNew ? demanded(is) : difference(demand[0](bandAt(before, from)), is);
    const last = spans.at(-1);
    if (last !== undefined && last.change === change && last.below === from) last.below = below;
    else spans.push({ from, below, change });
  });
  const [only] = spans;
  if (spans.length === 1 && only !== undefined) return [{ at: '', change: only.change }];
  return spans.map(({ from, below, change }) => ({ at: stretch(after, from, below), change }));
}

function isAsked({ actions, environments }: Bundle, name: string, environment: string): boolean {
  const action = actions[name];
  if (action === undefined) return false;
  return (action.environments ?? Object.keys(environments)).includes(environment);
}

function bandAt({ risk: { bands } }: Bundle, score: number): string {
  return bands.find(({ below }) => score < below)?.band ?? '';
}

/** The demand of each band; null where no route matches, which denies. */
function demandOf(
  bundle: Bundle,
  name: string,
  environment: string,
): (band: string) => AuthorityGroup[] | null {
  const routes = bundle.authority.routes.filter((route) => inScope(route, name, environment));
  return (band) => requiredAuthority(routes, band)?.required ?? null;
}

function stretch({ risk: { bands } }: Bundle, from: number, below: number): string {
  const whole = bands.filter((band, index) => (bands[index - 1]?.below ?? 0) >= from && band.below <= below);
  const first = whole[0] === undefined ? -1 : bands.indexOf(whole[0]);
  const starts = (bands[first - 1]?.below ?? 0) === from;
  if (first >= 0 && starts && whole.at(-1)?.below === below) {
    return ` at ${listed(whole.map(({ band }) => band))} risk`;
  }
  return ` at risk ${from} to ${Math.min(1, below)}`;
}

/** The changes of one class, environments with the same ones together: `in production at high risk now needs …`. */
function sayingsOf(places: (Span & { environment: string })[], all: readonly string[]): string[] {
  const where = new Map<string, string[]>();
  for (const { environment, at, change } of places) {
    if (change === null) continue;
    const key = `${at} ${change}`;
    where.set(key, [...(where.get(key) ?? []), environment]);
  }
  return [...where].map(([saying, environments]) => `${placeWords(environments, all)}${saying}.`);
}

function placeWords(environments: readonly string[], all: readonly string[]): string {
  return environments.length === all.length && all.length > 1 ? 'everywhere' : `in ${listed(environments)}`;
}

function demanded(is: AuthorityGroup[] | null): string {
  if (is === null) return 'is denied: no route names who may authorize it';
  return is.length === 0 ? 'needs no approval' : `needs ${listed(is.map(groupWords))}`;
}

function difference(was: AuthorityGroup[] | null, is: AuthorityGroup[] | null): string | null {
  if (was === null && is === null) return null;
  if (was === null) return `is no longer denied for want of a route; it ${demanded(is)}`;
  if (is === null) return 'is now denied: no route names who may authorize it';
  const [old, now] = [was.map(groupWords), is.map(groupWords)];
  const more = now.filter((group) => !old.includes(group));
  const less = old.filter((group) => !now.includes(group));
  if (more.length === 0 && less.length === 0) return null;
  if (less.length === 0) return `now needs ${listed(more)}${old.length > 0 ? ' as well' : ''}`;
  if (more.length > 0) return `now needs ${listed(more)} instead of ${listed(less)}`;
  return `no longer needs ${listed(less)}${now.length === 0 ? ': nobody has to approve it' : ''}`;
}

/** `2 of L3 or L4 (peer)`; one signature of one role is just the role. */
function groupWords({ group, roles, min_signatures }: AuthorityGroup): string {
  const who = listed([...roles].sort(), 'or');
  return `${min_signatures === 1 ? '' : `${min_signatures} of `}${who} (${group})`;
}

/** Verbs of a sentence about several classes. */
function inNumber(saying: string, number: number): string {
  if (number === 1) return saying;
  return saying
    .replace(/\bneeds\b/g, 'need')
    .replace(/ is (now|no longer) denied/, ' are $1 denied')
    .replace(/ is denied/, ' are denied')
    .replace(/; it need\b/, '; they need');
}
