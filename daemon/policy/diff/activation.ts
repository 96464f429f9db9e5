import type { Bundle } from '../../core/bundle.ts';
import { listed, same } from './words.ts';

type Hold = NonNullable<Bundle['activation']>['hold'];

/** What changes about updates that wait for people of the site. */
export function activationChanges(before: Bundle, after: Bundle): string[] {
  const was = before.activation?.hold;
  const is = after.activation?.hold;
  if (same(was, is)) return [];
  if (is === undefined)
    return ['An update takes effect when it is imported: nobody at the site has to sign any more.'];
  if (was === undefined)
    return [`An update that changes rules waits at the site for ${seats(is)}${patience(is)}.`];
  const changes: string[] = [];
  if (seats(was) !== seats(is))
    changes.push(`An update waits at the site for ${seats(is)} instead of ${seats(was)}.`);
  if (was.max_wait !== is.max_wait)
    changes.push(
      is.max_wait === undefined
        ? `An update that nobody releases is given up when its metadata expires, no longer after ${was.max_wait}.`
        : `An update that nobody releases is given up after ${is.max_wait}${was.max_wait === undefined ? '' : ` instead of ${was.max_wait}`}.`,
    );
  return changes;
}

function seats({ roles, min_signatures }: Hold): string {
  const who = listed([...roles].sort(), 'or');
  return `${min_signatures === 1 ? 'the signature' : `${min_signatures} signatures`} of ${who}`;
}

function patience({ max_wait }: Hold): string {
  return max_wait === undefined ? '' : `, for at most ${max_wait}`;
}
