import type { Bundle, BundlePrincipal } from '../../core/bundle.ts';
import { pointerOf } from '../../core/bundle-defects.ts';
import { requiredAuthority } from '../../core/routes.ts';
import type { AuthorityGroup } from '../../core/verdict.ts';
import { listed, same } from '../diff/words.ts';
import { askedAt, crossingWords, type Finding, type Place } from './finding.ts';
import { type Crossing, crossingsOf } from './routes.ts';

/** Who may approve in a place: people with a key that counts and a scope that reaches it. */
type Approver = { id: string; roles: readonly string[] };

/**
 * `authority.unsatisfiable`: demands that the people of the roster cannot meet, whoever asks (error) or when certain
 * principals ask: nobody approves what they, or an agent of theirs, asked for.
 */
export function authorityFindings(bundle: Bundle, places: readonly Place[]): Finding[] {
  const troubles = new Map<string, Trouble>();
  for (const crossing of crossingsOf(bundle, places)) {
    const required = requiredAuthority(crossing.routes, crossing.band)?.required ?? [];
    for (const trouble of troublesOf(bundle, crossing, required)) note(troubles, trouble);
  }
  const demands = [...troubles.values()].map((trouble) => finding(trouble));
  return [...demands, ...exceptionFindings(bundle, places)];
}

interface Trouble {
  severity: Finding['severity'];
  pointer: string;
  missing: string;
  /** Principals whose asking makes it so; null: whoever asks. */
  asked_by: string | null;
  places: Crossing[];
}

function troublesOf(bundle: Bundle, crossing: Crossing, required: AuthorityGroup[]): Trouble[] {
  if (required.length === 0) return [];
  const approvers = approversAt(bundle, crossing);
  const all = seatPeople(required, approvers);
  if (all.missing.length > 0) {
    return [
      {
        severity: 'error',
        pointer: routeOf(bundle, crossing, all.missing),
        missing: missingWords(all.missing),
        asked_by: null,
        places: [crossing],
      },
    ];
  }
  return requestersAt(bundle, crossing).flatMap(([id, { kind, owner }]): Trouble[] => {
    // Only people who were needed can be missed.
    if (!all.seated.has(id) && (owner === undefined || !all.seated.has(owner))) return [];
    const others = approvers.filter((person) => person.id !== id && person.id !== owner);
    const { missing } = seatPeople(required, others);
    if (missing.length === 0) return [];
    const severity = kind === 'human' ? 'note' : 'warning';
    const pointer = routeOf(bundle, crossing, missing);
    return [{ severity, pointer, missing: missingWords(missing), asked_by: id, places: [crossing] }];
  });
}

/** Place of the route that demands what is missing. */
function routeOf(bundle: Bundle, { routes }: Crossing, missing: readonly AuthorityGroup[]): string {
  const roles = missing[0]?.roles;
  const route = routes.find(({ require }) => require.some((group) => same(group.roles, roles))) ?? routes[0];
  return pointerOf('authority', 'routes', route === undefined ? 0 : bundle.authority.routes.indexOf(route));
}

function note(troubles: Map<string, Trouble>, trouble: Trouble): void {
  const { severity, missing, asked_by } = trouble;
  const key = JSON.stringify([severity, missing, asked_by]);
  const known = troubles.get(key);
  if (known === undefined) troubles.set(key, trouble);
  else known.places.push(...trouble.places);
}

function finding({ severity, pointer, missing, asked_by, places }: Trouble): Finding {
  const when = asked_by === null ? '' : ` when ${asked_by} asks`;
  return {
    severity,
    check: 'authority.unsatisfiable',
    pointer,
    found: `authority that the roster cannot give${when} (missing: ${missing}), for ${crossingWords(places)}`,
    write_instead:
      asked_by === null
        ? 'give the roles to enough people with keys, or demand less'
        : 'give the roles to another person, or let somebody else ask',
  };
}

/** `exception.unsatisfiable`: a gate's exception that nobody, or only the one who asks, could grant. */
function exceptionFindings(bundle: Bundle, places: readonly Place[]): Finding[] {
  return bundle.gates.flatMap((gate, index): Finding[] => {
    const { exception_role } = gate;
    if (exception_role === undefined) return [];
    const without = askedAt(gate, places).filter(
      (place) => !approversAt(bundle, place).some(({ roles }) => roles.includes(exception_role)),
    );
    if (without.length === 0) return [];
    const where = listed(without.map(({ name, environment }) => `${name} in ${environment}`));
    return [
      {
        severity: 'error',
        check: 'exception.unsatisfiable',
        pointer: pointerOf('gates', index),
        found: `the exception of gate ${gate.id}, which nobody in the roster can grant as ${exception_role} for ${where}`,
        write_instead: 'give the role to a person with a key, or write otherwise: fail',
      },
    ];
  });
}

function approversAt({ principals }: Bundle, place: Place): Approver[] {
  return Object.entries(principals)
    .filter(([, principal]) => principal.kind === 'human' && principal.status === 'active')
    .filter(([, { keys }]) => (keys ?? []).some(({ status }) => (status ?? 'active') === 'active'))
    .filter(([, principal]) => reaches(principal, place))
    .map(([id, { roles }]) => ({ id, roles }));
}

function requestersAt({ principals }: Bundle, place: Place): [string, BundlePrincipal][] {
  return Object.entries(principals).filter(
    ([, principal]) => principal.status === 'active' && reaches(principal, place),
  );
}

function reaches({ scope }: BundlePrincipal, { name, environment }: Place): boolean {
  const lists = (list: readonly string[] | undefined, value: string) =>
    list === undefined || list.length === 0 || list.includes(value);
  return lists(scope?.classes, name) && lists(scope?.environments, environment);
}

/**
 * Fills as many seats of the groups as the people can, each person one seat (a maximum matching, as approvals are
 * counted). `missing` holds the group of every seat that stays empty.
 */
function seatPeople(
  groups: readonly AuthorityGroup[],
  people: readonly Approver[],
): { seated: Set<string>; missing: AuthorityGroup[] } {
  const seats = groups.flatMap((group) => Array.from({ length: group.min_signatures }, () => group));
  const holder = new Map<Approver, number>();
  const fill = (seat: number, seen: Set<Approver>): boolean => {
    for (const person of people) {
      if (seen.has(person) || !person.roles.some((role) => seats[seat]?.roles.includes(role))) continue;
      seen.add(person);
      const other = holder.get(person);
      if (other === undefined || fill(other, seen)) {
        holder.set(person, seat);
        return true;
      }
    }
    return false;
  };
  const missing = seats.filter((_, seat) => !fill(seat, new Set()));
  return { seated: new Set([...holder.keys()].map(({ id }) => id)), missing };
}

function missingWords(missing: readonly AuthorityGroup[]): string {
  const words = new Map<string, number>();
  for (const { group, roles } of missing) {
    const who = `${listed([...roles].sort(), 'or')} (${group})`;
    words.set(who, (words.get(who) ?? 0) + 1);
  }
  return listed([...words].map(([who, number]) => `${number} ${who}`));
}
