import type { Bundle, BundleRoute } from '../../core/bundle.ts';
import { pointerOf } from '../../core/bundle-defects.ts';
import { requiredAuthority } from '../../core/routes.ts';
import { inScope } from '../../core/rules.ts';
import { listed, same } from '../diff/words.ts';
import { reachOf } from '../reach.ts';
import { crossingWords, type Finding, type Place } from './finding.ts';

/** A class in an environment at a risk that it can reach, with the routes that match. */
export interface Crossing extends Place {
  band: string;
  routes: BundleRoute[];
}

/** Every risk that any class can reach anywhere, with its routes. */
export function crossingsOf(bundle: Bundle, places: readonly Place[]): Crossing[] {
  return places.flatMap(({ name, environment }) => {
    const inPlace = bundle.authority.routes.filter((route) => inScope(route, name, environment));
    return reachOf(bundle, name, environment).bands.map((band) => ({
      name,
      environment,
      band,
      routes: inPlace.filter(
        ({ bands }) => bands === undefined || bands.length === 0 || bands.includes(band),
      ),
    }));
  });
}

/** `route.missing`, `route.unreachable`, `route.redundant`, `route.overlap`. */
export function routeFindings(bundle: Bundle, places: readonly Place[]): Finding[] {
  const crossings = crossingsOf(bundle, places);
  return [
    ...missingRoutes(bundle, crossings),
    ...uselessRoutes(bundle, crossings),
    ...overlaps(bundle, crossings),
  ];
}

/** Without a route a request is denied: for one band maybe meant, for all of a class never. */
function missingRoutes(bundle: Bundle, crossings: readonly Crossing[]): Finding[] {
  return Object.keys(bundle.actions).flatMap((name): Finding[] => {
    const own = crossings.filter((crossing) => crossing.name === name);
    const without = own.filter(({ routes }) => routes.length === 0);
    if (without.length === 0) return [];
    const pointer = pointerOf('actions', name);
    const check = 'route.missing';
    if (without.length === own.length) {
      const found = `${name}, for which no route matches at any risk: it is always denied`;
      return [{ severity: 'error', check, pointer, found, write_instead: 'add a route to authority.routes' }];
    }
    const found = `${crossingWords(without)}, where no route matches: it is denied there`;
    return [{ severity: 'warning', check, pointer, found, write_instead: 'add a route to authority.routes' }];
  });
}

/** A route that matches nowhere, and one whose demands others make anyway wherever it matches. */
function uselessRoutes(bundle: Bundle, crossings: readonly Crossing[]): Finding[] {
  return bundle.authority.routes.flatMap((route, index): Finding[] => {
    const pointer = pointerOf('authority', 'routes', index);
    const matched = crossings.filter(({ routes }) => routes.includes(route));
    const warn = (check: string, found: string): Finding[] => [
      {
        severity: 'warning',
        check,
        pointer,
        found,
        write_instead: 'correct its scope or bands, or remove it',
      },
    ];
    if (matched.length === 0) {
      return warn(
        'route.unreachable',
        `the route ${route.id}, which no class can reach: wrong classes, environments or bands`,
      );
    }
    const adds = ({ routes, band }: Crossing) => {
      const others = routes.filter((other) => other !== route);
      const [with_, without] = [requiredAuthority(routes, band), requiredAuthority(others, band)];
      return without === null || !same(with_?.required, without.required);
    };
    if (matched.some(adds)) return [];
    return warn(
      'route.redundant',
      `the route ${route.id}, which adds nothing to ${listed(othersOf(route, matched))}`,
    );
  });
}

function othersOf(route: BundleRoute, crossings: readonly Crossing[]): string[] {
  const ids = crossings.flatMap(({ routes }) => routes.map(({ id }) => id));
  return [...new Set(ids)].filter((id) => id !== route.id);
}

/** Routes that match together add up, which is often meant; a group of one name and two sets of roles seldom is. */
function overlaps(bundle: Bundle, crossings: readonly Crossing[]): Finding[] {
  return bundle.authority.routes.flatMap((route, index): Finding[] => {
    // Told of the last of them, so that each meeting is told once.
    const met = crossings.filter(({ routes }) => routes.length > 1 && routes.at(-1) === route);
    if (met.length === 0) return [];
    const pointer = pointerOf('authority', 'routes', index);
    const found = `the route ${route.id}, which meets ${listed(othersOf(route, met))} at ${crossingWords(met)}`;
    const split = [...new Set(met.flatMap(renamedGroups))];
    const check = 'route.overlap';
    if (split.length === 0) {
      const adding = `${found}: who asks there must satisfy all of them`;
      const write_instead =
        'leave it if that is meant, else narrow the classes, environments or bands of one';
      return [{ severity: 'note', check, pointer, found: adding, write_instead }];
    }
    const groups = `${found}; there the group ${listed(split)} is named with different roles, so each needs its own people`;
    const write_instead = 'give the groups the same roles, or different names';
    return [{ severity: 'warning', check, pointer, found: groups, write_instead }];
  });
}

/** Groups that two routes demand under one name with different roles (`core/routes.ts` gives them the route's name). */
function renamedGroups({ routes, band }: Crossing): string[] {
  const required = requiredAuthority(routes, band)?.required ?? [];
  return routes.flatMap(({ id, require }) =>
    require
      .map(({ group }) => group)
      .filter((group) => required.some((other) => other.group === `${id}.${group}`)),
  );
}
