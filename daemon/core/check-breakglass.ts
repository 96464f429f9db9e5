import { BoundaryError } from '../formats/boundary-error.ts';
import { REASON_MAX_LENGTH } from './breakglass.ts';
import type { Bundle, BundleBreakGlass } from './bundle.ts';
import { type Defect, pointerOf } from './bundle-defects.ts';
import { durationMs } from './duration.ts';
import { LIFTABLE_CHECKS } from './lift.ts';
import { compilePattern } from './pattern.ts';

const DAY_MS = 86_400_000;
const LONGEST_TTL_MS = 7 * DAY_MS;
const LONGEST_REVIEW_MS = 90 * DAY_MS;
/** A signed act lives for 366 days at the most, and a grant no longer than the act that makes it one. */
const LONGEST_VALIDITY_MS = 366 * DAY_MS;

/** What of the break-glass section points at nothing, contradicts itself or would last for ever. */
export function checkBreakglass(bundle: Bundle): Defect[] {
  const section = bundle.breakglass;
  if (section === undefined) return [];
  return [
    ...checkRoles(bundle, section),
    ...checkCovers(bundle, section),
    ...checkLifts(bundle, section),
    ...checkTemplate(section),
    ...checkDurations(section),
  ];
}

type Path = (string | number)[];

function unknownNames(
  known: ReadonlySet<string>,
  what: string,
  list: readonly string[] | undefined,
  at: Path,
): Defect[] {
  return (list ?? []).flatMap((name, index) => {
    if (known.has(name)) return [];
    return [
      {
        pointer: pointerOf('breakglass', ...at, index),
        found: `the unknown ${what} "${name}"`,
        write_instead: `write one of: ${[...known].sort().slice(0, 20).join(', ') || 'there is none yet'}`,
      },
    ];
  });
}

function checkRoles({ principals }: Bundle, { roles, review, grants }: BundleBreakGlass): Defect[] {
  const held = new Set(Object.values(principals).flatMap((principal) => principal.roles));
  return [
    ...unknownNames(held, 'role', roles, ['roles']),
    ...unknownNames(held, 'role', review.roles, ['review', 'roles']),
    ...unknownNames(held, 'role', grants?.roles, ['grants', 'roles']),
  ];
}

function checkCovers({ actions, environments }: Bundle, { covers }: BundleBreakGlass): Defect[] {
  const classes = new Set(Object.keys(actions));
  const places = new Set(Object.keys(environments));
  return covers.flatMap((cover, index) => [
    ...unknownNames(classes, 'class', cover.classes, ['covers', index, 'classes']),
    ...unknownNames(places, 'environment', cover.environments, ['covers', index, 'environments']),
  ]);
}

function checkLifts({ gates }: Bundle, { lifts }: BundleBreakGlass): Defect[] {
  const known = new Set([...gates.map(({ id }) => id), ...LIFTABLE_CHECKS]);
  const defects = unknownNames(known, 'gate', lifts.gates, ['lifts', 'gates']);
  if (lifts.authority || (lifts.gates ?? []).length > 0) return defects;
  const nothing = {
    pointer: pointerOf('breakglass', 'lifts'),
    found: 'a break-glass that lifts nothing',
    write_instead: 'write authority: true, or name gates',
  };
  return [...defects, nothing];
}

function checkTemplate({ reason }: BundleBreakGlass): Defect[] {
  return Object.entries(reason ?? {}).flatMap(([field, { pattern, max_length }]) => {
    if (pattern === undefined) return [];
    try {
      compilePattern(pattern, max_length ?? REASON_MAX_LENGTH);
      return [];
    } catch (error) {
      if (!(error instanceof BoundaryError)) throw error;
      const write_instead = 'write a regular expression in RE2 syntax; it is matched against the whole text';
      return [
        { pointer: pointerOf('breakglass', 'reason', field, 'pattern'), found: error.message, write_instead },
      ];
    }
  });
}

function checkDurations({ max_ttl, review, grants }: BundleBreakGlass): Defect[] {
  return [
    ...tooLong(max_ttl, LONGEST_TTL_MS, ['max_ttl']),
    ...tooLong(review.within, LONGEST_REVIEW_MS, ['review', 'within']),
    ...tooLong(grants?.max_validity, LONGEST_VALIDITY_MS, ['grants', 'max_validity']),
  ];
}

function tooLong(text: string | undefined, longest: number, at: Path): Defect[] {
  if (text === undefined || durationMs(text) <= longest) return [];
  const write_instead = `write ${longest / DAY_MS}d or less`;
  return [{ pointer: pointerOf('breakglass', ...at), found: text, write_instead }];
}
