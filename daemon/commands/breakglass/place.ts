import { type ApiClient, ApiProblem, type BreakglassSession } from '../../api/client.ts';
import { judgePlace, judgeReason } from '../../core/breakglass.ts';
import type { Bundle, BundleBreakGlass } from '../../core/bundle.ts';
import { durationMs } from '../../core/duration.ts';
import { REFUSALS, type Refusal } from '../../core/refusal.ts';
import { BoundaryError } from '../../formats/boundary-error.ts';
import type { BreakglassPlace } from '../../formats/breakglass-scope.ts';
import { parseTarget, type SiteOptions } from '../access.ts';
import { plain, span } from '../render/text.ts';
import { readEnvironments } from '../signer-role.ts';

/** The options that say where break-glass reaches. */
export interface PlaceOptions extends SiteOptions {
  class: string;
  target: string;
  env: string;
  for?: string;
  ttl: string;
}

/** The place that the options name. Throws BoundaryError `target.malformed`, `ttl.malformed`. */
export function placeOf(options: PlaceOptions): BreakglassPlace {
  return {
    actor: options.for ?? null,
    class: options.class,
    environment: options.env,
    target: parseTarget(options.target),
    ttl_seconds: seconds(options.ttl, '--ttl'),
  };
}

/** A duration such as `30m`, in seconds. Throws BoundaryError `ttl.malformed` that names the option. */
export function seconds(text: string, option: string): number {
  try {
    return durationMs(text) / 1_000;
  } catch (cause) {
    if (!(cause instanceof BoundaryError)) throw cause;
    throw new BoundaryError(
      'ttl.malformed',
      `Write ${option} as a duration such as 90s, 30m, 4h or 7d; nothing was signed.`,
      {
        at: option,
        cause,
      },
    );
  }
}

/** A place in words, one row for each thing that it binds. */
export function placeRows(place: BreakglassPlace): [string, string][] {
  return [
    ['class', plain(place.class)],
    ['on', plain(`${place.target.type}:${place.target.id}`)],
    ['in', plain(place.environment)],
    ['who may ask', plain(place.actor ?? 'whoever the policy lets ask for the class')],
    ['lasts', span(place.ttl_seconds * 1_000)],
  ];
}

/** `--field NAME=TEXT`, repeatable. Throws BoundaryError `field.malformed`. */
export function collectField(text: string, fields: Record<string, string> = {}): Record<string, string> {
  const at = text.indexOf('=');
  const name = text.slice(0, at);
  if (at < 1 || !/^[a-z][a-z0-9_]{0,63}$/.test(name) || at === text.length - 1) {
    throw new BoundaryError(
      'field.malformed',
      'Write --field as NAME=TEXT, such as hazard="the line floods"; nothing was signed.',
      {
        at: '--field',
      },
    );
  }
  return { ...fields, [name]: text.slice(at + 1) };
}

/**
 * The break-glass section for a place, where the policy can be seen from here: what the engine would refuse whoever signs
 * it is not worth a signature. Null where it cannot be seen. Throws what the engine would answer.
 */
export async function sectionFor(
  client: ApiClient,
  place: BreakglassPlace,
  reason: Record<string, string> | null,
): Promise<BundleBreakGlass | null> {
  const environments = await readEnvironments(client);
  if (environments === null) return null;
  const found = environments.find(({ environment }) => environment === place.environment);
  if (found === undefined)
    throw unsigned({ refused: 'policy.none', message: `No policy is in force for ${place.environment}.` });
  const { actions, principals, breakglass } = found;
  const bundle = {
    actions: actions ?? {},
    principals: principals ?? {},
    ...(breakglass == null ? {} : { breakglass }),
  };
  const section = judgePlace(bundle as Pick<Bundle, 'actions' | 'principals' | 'breakglass'>, place);
  if ('refused' in section) throw unsigned(section);
  const wrong = reason === null ? null : judgeReason(section, reason);
  if (wrong !== null) throw unsigned(wrong);
  return section;
}

function unsigned({ refused, message }: Refusal): ApiProblem {
  return new ApiProblem(REFUSALS[refused], { code: refused, detail: `${message} Nothing was signed.` });
}

/** The roles that may end a session: whoever may open or review one, as far as the policy can be seen from here. */
export async function endingRoles(client: ApiClient, session: BreakglassSession): Promise<string[]> {
  const environments = await readEnvironments(client);
  const found = environments?.find(({ environment }) => environment === session.scope.environment);
  const section = found?.breakglass ?? null;
  const roles = [...(section?.roles ?? [session.role]), ...(section?.review ?? session.review).roles];
  return [...new Set(roles)];
}
