import type { Bundle } from '../../core/bundle.ts';
import type { BundleAnchoring } from '../../core/bundle-anchoring.ts';
import { listed, same } from './words.ts';

const STEPS = {
  warn_after: 'people are warned',
  escalate_after: 'what is held back for it needs an approval',
  deny_after: 'what is held back for it is denied',
} as const;

/** Whether anchors are demanded, how often, and what is held back without them. */
export function anchoringChanges({ anchoring: was }: Bundle, { anchoring: is }: Bundle): string[] {
  if (same(was, is)) return [];
  if (is === undefined) return ['Nothing is held back any more while no anchor leaves the site.'];
  return [...countsChange(was, is), ...stepChanges(was, is), ...heldBackChange(was, is)];
}

function countsChange(was: BundleAnchoring | undefined, is: BundleAnchoring): string[] {
  const changes: string[] = [];
  if (was?.every !== is.every) {
    const before = was?.every === undefined ? '' : ` (was every ${was.every})`;
    changes.push(
      is.every === undefined
        ? `The policy no longer makes the site export anchors${before}.`
        : `The site must now export an anchor every ${is.every}${before}.`,
    );
  }
  const [old, now] = [was === undefined ? null : (was.counts ?? 'made'), is.counts ?? 'made'];
  if (old !== now) {
    changes.push(
      now === 'left'
        ? 'An anchor now counts only once it is known outside: acknowledged, cosigned or on a medium.'
        : 'An anchor now counts as soon as it lies in the outbox.',
    );
  }
  return changes;
}

function stepChanges(was: BundleAnchoring | undefined, is: BundleAnchoring): string[] {
  return (Object.keys(STEPS) as (keyof typeof STEPS)[]).flatMap((step) => {
    if (was?.[step] === is[step]) return [];
    const instead = was === undefined ? '' : ` instead of ${was[step]}`;
    return [`After ${is[step]}${instead} without an anchor, ${STEPS[step]}.`];
  });
}

function heldBackChange(was: BundleAnchoring | undefined, is: BundleAnchoring): string[] {
  if (was !== undefined && same(was.classes, is.classes)) return [];
  const what = is.classes === undefined ? 'everything above the lowest risk' : listed(is.classes);
  return [`Held back without an anchor: ${what}.`];
}
