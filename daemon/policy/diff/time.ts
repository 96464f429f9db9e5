import type { Bundle } from '../../core/bundle.ts';
import type { BundleTime } from '../../core/bundle-time.ts';
import { listed, same } from './words.ts';

const DEFAULT_GRACE = '10m';

/** Who may state the time, how far back, and what a clock is believed for. */
export function timeChanges(before: Bundle, after: Bundle): string[] {
  const [was, is] = [before.time, after.time];
  return [...stateChanges(was, is), ...clockChanges(was, is)];
}

function stateChanges(was: BundleTime | undefined, is: BundleTime | undefined): string[] {
  const [old, now] = [was?.state_roles ?? [], is?.state_roles ?? []];
  const changes: string[] = [];
  if (!same(old, now)) {
    const before = old.length === 0 ? 'nobody' : listed(old);
    changes.push(
      now.length === 0
        ? `Nobody may state the time any more (was ${before}).`
        : `The time may now be stated by ${listed(now)} (was ${before}).`,
    );
  }
  if (now.length > 0 && was?.max_lowering !== is?.max_lowering) {
    const words = (limit: string | undefined) => (limit === undefined ? 'any time' : `${limit} at most`);
    changes.push(
      `A statement may take the time floor back by ${words(is?.max_lowering)}${was === undefined ? '' : ` (was ${words(was.max_lowering)})`}.`,
    );
  }
  return changes;
}

function clockChanges(was: BundleTime | undefined, is: BundleTime | undefined): string[] {
  const changes: string[] = [];
  if ((was?.believe_kernel ?? false) !== (is?.believe_kernel ?? false)) {
    changes.push(
      is?.believe_kernel === true
        ? 'A clock that the kernel calls synchronized is now trusted.'
        : 'What the kernel says about its clock no longer counts.',
    );
  }
  const [old, now] = [was?.boot_grace ?? DEFAULT_GRACE, is?.boot_grace ?? DEFAULT_GRACE];
  if (old !== now) {
    changes.push(`Uncertain time ends what earlier boots granted after ${now} (was ${old}).`);
  }
  return changes;
}
