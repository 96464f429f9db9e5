import type { Bundle } from './bundle.ts';
import { type Defect, pointerOf } from './bundle-defects.ts';
import { durationMs } from './duration.ts';

const DAY_MS = 86_400_000;
/** How long things may take at most: a forgotten permit must not lie around, and timers hold 24 days. */
const LONGEST = {
  pending_ttl: 90 * DAY_MS,
  permit_ttl: 30 * DAY_MS,
  timeout: DAY_MS,
} as const;

/** Names that point at nothing, ids given twice, ranges out of order: what ties the sections of a bundle together. */
export function checkReferences(bundle: Bundle): Defect[] {
  const names: Names = {
    class: new Set(Object.keys(bundle.actions)),
    environment: new Set(Object.keys(bundle.environments)),
    tool: new Set(Object.keys(bundle.tools)),
    band: new Set(bundle.risk.bands.map(({ band }) => band)),
    role: new Set(Object.values(bundle.principals).flatMap(({ roles }) => roles)),
  };
  return [
    ...checkFreshness(bundle),
    ...checkBands(bundle),
    ...checkActions(bundle, names),
    ...checkTimeouts(bundle),
    ...checkGates(bundle, names),
    ...checkScopes(bundle.risk.factors, ['risk', 'factors'], names),
    ...checkRoutes(bundle, names),
    ...unknown(names, 'role', bundle.activation?.hold.roles, ['activation', 'hold', 'roles']),
    ...unknown(names, 'role', bundle.time?.state_roles, ['time', 'state_roles']),
    ...checkSecretIds(bundle),
  ];
}

type Names = Record<'class' | 'environment' | 'tool' | 'band' | 'role', ReadonlySet<string>>;
type Path = (string | number)[];

function checkFreshness({ metadata: { freshness } }: Bundle): Defect[] {
  const { warn_after, escalate_after, deny_after } = freshness;
  const ascending =
    durationMs(warn_after) < durationMs(escalate_after) &&
    durationMs(escalate_after) < durationMs(deny_after);
  if (ascending) return [];
  return [
    {
      pointer: pointerOf('metadata', 'freshness'),
      found: `${warn_after}, ${escalate_after}, ${deny_after}`,
      write_instead: 'write durations that grow: warn_after < escalate_after < deny_after',
    },
  ];
}

function checkBands({ risk: { bands } }: Bundle): Defect[] {
  const defects = duplicates(
    bands.map(({ band }) => band),
    ['risk', 'bands'],
    'band',
  );
  let previous = 0;
  bands.forEach(({ below }, index) => {
    if (below <= previous) {
      defects.push({
        pointer: pointerOf('risk', 'bands', index, 'below'),
        found: `${below} after ${previous}`,
        write_instead: 'write bands in ascending order of "below"',
      });
    }
    previous = below;
  });
  if (previous <= 1) {
    defects.push({
      pointer: pointerOf('risk', 'bands', bands.length - 1, 'below'),
      found: String(previous),
      write_instead: 'write more than 1 (1.01, say): the last band must take in the score 1',
    });
  }
  return defects;
}

function checkActions(bundle: Bundle, names: Names): Defect[] {
  return Object.entries(bundle.actions).flatMap(([name, action]) => {
    const at = ['actions', name];
    return [
      ...unknown(names, 'tool', [action.tool], [...at, 'tool'], false),
      ...unknown(names, 'environment', action.environments, [...at, 'environments']),
      ...tooLong(action.pending_ttl, 'pending_ttl', at),
      ...tooLong(action.permit_ttl, 'permit_ttl', at),
    ];
  });
}

function checkTimeouts(bundle: Bundle): Defect[] {
  return Object.entries(bundle.tools).flatMap(([name, tool]) =>
    tooLong(tool.timeout, 'timeout', ['tools', name]),
  );
}

function checkGates(bundle: Bundle, names: Names): Defect[] {
  const defects = checkScopes(bundle.gates, ['gates'], names);
  bundle.gates.forEach(({ otherwise, exception_role }, index) => {
    const at: Path = ['gates', index];
    if (otherwise === 'requires_exception' && exception_role === undefined) {
      defects.push({
        pointer: pointerOf(...at),
        found: 'requires_exception without exception_role',
        write_instead: 'add "exception_role": the role that may grant it',
      });
    } else if (otherwise === 'fail' && exception_role !== undefined) {
      defects.push({
        pointer: pointerOf(...at, 'exception_role'),
        found: 'an exception_role on a gate that fails outright',
        write_instead: 'remove it, or write otherwise: requires_exception',
      });
    }
    if (exception_role !== undefined) {
      defects.push(...unknown(names, 'role', [exception_role], [...at, 'exception_role'], false));
    }
  });
  return defects;
}

function checkRoutes({ authority: { routes } }: Bundle, names: Names): Defect[] {
  const defects = checkScopes(routes, ['authority', 'routes'], names);
  routes.forEach((route, index) => {
    const at: Path = ['authority', 'routes', index];
    defects.push(...unknown(names, 'band', route.bands, [...at, 'bands']));
    const groups = route.require.map(({ group }) => group);
    defects.push(...duplicates(groups, [...at, 'require'], 'group'));
    route.require.forEach(({ roles }, group) => {
      defects.push(...unknown(names, 'role', roles, [...at, 'require', group, 'roles']));
    });
  });
  return defects;
}

function checkSecretIds({ secrets }: Bundle): Defect[] {
  return duplicates(
    (secrets?.patterns ?? []).map(({ id }) => id),
    ['secrets', 'patterns'],
    'id',
  );
}

interface Scoped {
  id: string;
  classes?: string[];
  environments?: string[];
}

function checkScopes(rules: readonly Scoped[], at: Path, names: Names): Defect[] {
  const defects = duplicates(
    rules.map(({ id }) => id),
    at,
    'id',
  );
  rules.forEach(({ classes, environments }, index) => {
    defects.push(...unknown(names, 'class', classes, [...at, index, 'classes']));
    defects.push(...unknown(names, 'environment', environments, [...at, index, 'environments']));
  });
  return defects;
}

/** Names of a list that are not known; with `indexed` false the path itself is the one name's place. */
function unknown(
  names: Names,
  kind: keyof Names,
  list: readonly string[] | undefined,
  at: Path,
  indexed = true,
): Defect[] {
  return (list ?? []).flatMap((name, index) => {
    if (names[kind].has(name)) return [];
    const known = [...names[kind]].sort().slice(0, 20).join(', ');
    const where = kind === 'role' ? 'a role that a principal holds' : `a ${kind} of this bundle`;
    return [
      {
        pointer: pointerOf(...at, ...(indexed ? [index] : [])),
        found: `the unknown ${kind} "${name}"`,
        write_instead: `write ${where}: ${known === '' ? 'there is none yet' : known}`,
      },
    ];
  });
}

function duplicates(ids: readonly string[], at: Path, member: string): Defect[] {
  return ids.flatMap((id, index) => {
    if (ids.indexOf(id) === index) return [];
    const pointer = pointerOf(...at, index, member);
    return [
      { pointer, found: `the ${member} "${id}" a second time`, write_instead: 'give it a name of its own' },
    ];
  });
}

function tooLong(text: string | undefined, member: keyof typeof LONGEST, at: Path): Defect[] {
  if (text === undefined || durationMs(text) <= LONGEST[member]) return [];
  const write_instead = `write ${LONGEST[member] / DAY_MS}d or less`;
  return [{ pointer: pointerOf(...at, member), found: text, write_instead }];
}
