import type { Bundle } from '../../core/bundle.ts';
import { json, nowWas, roleChanges, same } from './words.ts';

/** Who may report and resume, how far incidents halt, and what the self-test asks for. */
export function incidentChanges(before: Bundle, after: Bundle): string[] {
  const [was, is] = [before.incidents ?? {}, after.incidents ?? {}];
  return [
    ...roleChanges('report what was done without a permit', was.reporter_roles, is.reporter_roles),
    ...roleChanges('let a halted site or target go on', was.resume_roles, is.resume_roles),
    ...haltChanges(was.halt ?? {}, is.halt ?? {}),
    ...(was.canary_actor === is.canary_actor
      ? []
      : [
          `The self-test ${is.canary_actor === undefined ? 'asks in an invented name' : `asks in the name of ${is.canary_actor}`}.`,
        ]),
    ...(same(was.canaries, is.canaries)
      ? []
      : [`The self-test's own actions are ${nowWas(json(is.canaries), json(was.canaries))}.`]),
  ];
}

type Halts = NonNullable<NonNullable<Bundle['incidents']>['halt']>;
const HALT_WORDS = {
  unpermitted_act: ['A reported act without a permit', 'target'],
  outcome_without_permit: ['An outcome without a permit', 'target'],
  tool_changed: ['A changed tool', 'tool'],
} as const;

function haltChanges(was: Halts, is: Halts): string[] {
  return (Object.keys(HALT_WORDS) as (keyof typeof HALT_WORDS)[]).flatMap((cause) => {
    const [words, own] = HALT_WORDS[cause];
    const [old, now] = [was[cause] ?? own, is[cause] ?? own];
    return old === now ? [] : [`${words} now halts the ${now} (was: the ${old}).`];
  });
}
