import type { Bundle } from './bundle.ts';
import { type Defect, pointerOf } from './bundle-defects.ts';

/** Whether section `incidents` names roles that somebody holds, and canaries that a request could be made of. */
export function checkIncidents(bundle: Bundle): Defect[] {
  const { incidents } = bundle;
  if (incidents === undefined) return [];
  const held = new Set(Object.values(bundle.principals).flatMap(({ roles }) => roles));
  return [
    ...unknownRoles(incidents.reporter_roles, 'reporter_roles', held),
    ...unknownRoles(incidents.resume_roles, 'resume_roles', held),
    ...checkCanaryActor(bundle),
    ...checkCanaries(bundle),
  ];
}

function unknownRoles(roles: readonly string[] | undefined, member: string, held: Set<string>): Defect[] {
  return (roles ?? []).flatMap((role, index) => {
    if (held.has(role)) return [];
    return [
      {
        pointer: pointerOf('incidents', member, index),
        found: `the unknown role "${role}"`,
        write_instead: `write a role that a principal holds: ${[...held].sort().slice(0, 20).join(', ')}`,
      },
    ];
  });
}

function checkCanaryActor({ incidents, principals }: Bundle): Defect[] {
  const actor = incidents?.canary_actor;
  if (actor === undefined || Object.hasOwn(principals, actor)) return [];
  const write_instead = 'write the id of a principal of this bundle';
  return [
    { pointer: pointerOf('incidents', 'canary_actor'), found: `nobody called "${actor}"`, write_instead },
  ];
}

function checkCanaries(bundle: Bundle): Defect[] {
  return (bundle.incidents?.canaries ?? []).flatMap((canary, index): Defect[] => {
    const at = ['incidents', 'canaries', index];
    const action = Object.hasOwn(bundle.actions, canary.class) ? bundle.actions[canary.class] : undefined;
    if (action === undefined) {
      const write_instead = `write a class of this bundle: ${Object.keys(bundle.actions).sort().slice(0, 20).join(', ')}`;
      return [
        { pointer: pointerOf(...at, 'class'), found: `the unknown class "${canary.class}"`, write_instead },
      ];
    }
    if (isDenied(bundle, canary.class)) return [];
    return [
      {
        pointer: pointerOf(...at, 'class'),
        found: `the class "${canary.class}", which no gate denies outright`,
        write_instead: `add a gate for it alone: classes: [${canary.class}], condition: "false", otherwise: fail`,
      },
    ];
  });
}

/** A canary that policy might allow would halt the site by itself, so only a gate that can never pass will do. */
function isDenied({ gates }: Bundle, actionClass: string): boolean {
  return gates.some(
    ({ classes, environments, condition, otherwise }) =>
      otherwise === 'fail' &&
      condition.trim() === 'false' &&
      (environments ?? []).length === 0 &&
      ((classes ?? []).length === 0 || classes?.includes(actionClass) === true),
  );
}
