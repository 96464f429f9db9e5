import type { Bundle } from './bundle.ts';
import { type Defect, pointerOf } from './bundle-defects.ts';
import { durationMs } from './duration.ts';

/** More often would fill the ledger with anchors of anchors. */
const SHORTEST_MS = 60_000;

/** Whether the durations of section `anchoring` grow, and its classes are known. */
export function checkAnchoring({ anchoring, actions }: Bundle): Defect[] {
  if (anchoring === undefined) return [];
  const { every, warn_after, escalate_after, deny_after, classes = [] } = anchoring;
  const defects: Defect[] = [];
  const [warn, escalate, deny] = [warn_after, escalate_after, deny_after].map(durationMs) as [
    number,
    number,
    number,
  ];
  if (!(warn < escalate && escalate < deny)) {
    defects.push({
      pointer: pointerOf('anchoring'),
      found: `${warn_after}, ${escalate_after}, ${deny_after}`,
      write_instead: 'write durations that grow: warn_after < escalate_after < deny_after',
    });
  }
  if (every !== undefined && (durationMs(every) < SHORTEST_MS || durationMs(every) > warn)) {
    defects.push({
      pointer: pointerOf('anchoring', 'every'),
      found: every,
      write_instead: 'write a duration of a minute or more, and of warn_after or less',
    });
  }
  for (const [index, name] of classes.entries()) {
    if (Object.hasOwn(actions, name)) continue;
    defects.push({
      pointer: pointerOf('anchoring', 'classes', index),
      found: `the unknown class "${name}"`,
      write_instead: `write a class of this bundle: ${Object.keys(actions).slice(0, 20).join(', ')}`,
    });
  }
  return defects;
}
