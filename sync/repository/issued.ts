import type { Targets } from '@tufjs/models';
import { parseBundle } from '../../daemon/core/bundle.ts';
import { BoundaryError } from '../../daemon/formats/boundary-error.ts';
import { parseSiteTarget } from '../../daemon/formats/site-target.ts';
import { readStagedTarget, type StagedFile, type Staging } from './staging.ts';

/*
 * A site believes that it is at least as late as what is signed says it was issued: a wrong date in it cannot be taken back.
 * Each signer's own clock is a witness that headquarters' machine cannot lead astray.
 */

/** Dates that people write may be so far off. */
const WRITTEN_MS = 86_400_000;
/** Clocks of two offices may be so far apart; an hour is somebody's time zone. */
const CLOCKS_APART_MS = 1_800_000;

/** Throws BoundaryError with this code when something says that it was issued later than now. */
export function assertIssued(
  what: string,
  issued_at: string,
  { now, code, by }: { now: number; code: string; by: 'person' | 'machine' },
): void {
  if (Date.parse(issued_at) <= now + (by === 'person' ? WRITTEN_MS : CLOCKS_APART_MS)) return;
  throw new BoundaryError(
    code,
    `${what} says that it was issued at ${issued_at}, and this machine's clock says ${new Date(now).toISOString().slice(0, 19)}Z. A site would believe that it is that late already, and refuse all that is signed with the right date afterwards; nothing was done. Correct the date, or the clock that is wrong, and propose it again.`,
  );
}

/** Holds every new file of a staged list against the signer's clock. Throws BoundaryError `sign.issued_in_future`. */
export function assertStagedIssued(staging: Staging, { role, metadata }: StagedFile, now: number): void {
  if (role === 'root') return;
  const before = role === 'targets' ? staging.before.targets : staging.before.regions.get(role);
  const known = before?.signed.targets ?? {};
  for (const [name, info] of Object.entries((metadata.signed as Targets).targets)) {
    if (Object.hasOwn(known, name) && known[name]?.hashes.sha256 === info.hashes.sha256) continue;
    const bytes = readStagedTarget(staging.dir, name, info);
    if (bytes === null) continue;
    const isSite = name.startsWith('sites/');
    const { issued_at } = isSite ? parseSiteTarget(bytes) : parseBundle(bytes).bundle.metadata;
    assertIssued(name, issued_at, {
      now,
      code: 'sign.issued_in_future',
      by: isSite ? 'machine' : 'person',
    });
  }
}
