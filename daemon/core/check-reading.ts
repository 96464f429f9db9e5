import type { Bundle } from './bundle.ts';
import { type Defect, pointerOf } from './bundle-defects.ts';

/** Whether section `reading` names roles that somebody holds: a misspelt one would shut everybody out. */
export function checkReading({ reading, principals }: Bundle): Defect[] {
  if (reading === undefined) return [];
  const held = new Set(Object.values(principals).flatMap(({ roles }) => roles));
  const lists: [readonly string[], readonly string[] | undefined][] = [
    [['summary'], reading.summary],
    [['raw'], reading.raw],
    [['export'], reading.export],
    [['breakglass', 'roles'], reading.breakglass?.roles],
  ];
  return lists.flatMap(([path, roles = []]) =>
    roles.flatMap((role, index): Defect[] => {
      if (held.has(role)) return [];
      return [
        {
          pointer: pointerOf('reading', ...path, index),
          found: `the unknown role "${role}"`,
          write_instead: `write a role that a principal holds: ${[...held].sort().slice(0, 20).join(', ')}`,
        },
      ];
    }),
  );
}
