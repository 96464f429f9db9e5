import { describe, expect, it } from 'vitest';
import { BoundaryError } from '../../daemon/formats/boundary-error.ts';
import { formatSiteTarget, parseSiteTarget, type SiteTarget } from '../../daemon/formats/site-target.ts';
import { proposePublication } from '../../sync/repository/propose.ts';
import { type EffectiveAt, nextSiteTarget } from '../../sync/repository/site-file.ts';
import { readStaging, stagedFiles } from '../../sync/repository/staging.ts';
import { describeStaged } from '../../sync/repository/words.ts';
import { bundleBytes, DAY, NOW, SITE } from '../policy/publisher-world.ts';
import { CeremonyWorld } from './ceremony-world.ts';

const LATER = NOW + 10 * DAY;
const AT = '2026-11-30T12:00:00Z';

function next(before: SiteTarget | null, version: number, effective_at?: EffectiveAt, now = NOW): SiteTarget {
  const bundle = { name: 'base', version, bytes: bundleBytes(version) };
  return nextSiteTarget(before, {
    site: SITE,
    environments: ['production'],
    bundle,
    profile: null,
    now,
    ...(effective_at === undefined ? {} : { effective_at }),
  });
}

const codeOf = (act: () => unknown): string | null => {
  try {
    act();
    return null;
  } catch (error) {
    return error instanceof BoundaryError ? error.code : String(error);
  }
};

describe('a publication with a date', () => {
  it('carries it through the file that is signed', () => {
    const target = next(null, 1, LATER);
    expect(target.effective_at).toBe(AT);
    expect(parseSiteTarget(Buffer.from(formatSiteTarget(target)))).toEqual(target);
    expect(next(null, 1).effective_at).toBeUndefined();
  });

  it('must lie ahead', () => {
    expect(codeOf(() => next(null, 1, NOW))).toBe('publish.effective_at');
    expect(codeOf(() => next(null, 1, NOW - DAY))).toBe('publish.effective_at');
  });

  it('is not dropped by what is published meanwhile, unless somebody says so', () => {
    const scheduled = next(null, 1, LATER);
    expect(codeOf(() => next(scheduled, 2))).toBe('publish.scheduled');
    expect(next(scheduled, 2, 'now').effective_at).toBeUndefined();
    expect(next(scheduled, 2, LATER + DAY).effective_at).toBe('2026-12-01T12:00:00Z');
    expect(next(scheduled, 2, undefined, LATER + DAY).effective_at).toBeUndefined();
  });

  it.each(['2026-11-30T12:00:00', '2026-02-30T12:00:00Z', '2026-11-30T24:00:00Z', 'tomorrow', 7])(
    'is a time that exists: not %s',
    (effective_at) => {
      const text = JSON.stringify({ ...next(null, 1), effective_at });
      expect(codeOf(() => parseSiteTarget(Buffer.from(text)))).toBe('site_target.malformed');
    },
  );

  it('is said to whoever signs', () => {
    const hq = new CeremonyWorld();
    const bundle = { name: 'base', version: 1, bytes: bundleBytes(1) };
    const change = { bundle, site: SITE, environments: ['production'], now: NOW, effective_at: LATER };
    proposePublication(hq.dir, change);
    const staging = readStaging(hq.staging);
    const words = stagedFiles(staging).flatMap((file) => describeStaged(staging, file, () => []));
    expect(words).toContain(`    takes effect at ${AT}, not before`);
  });
});
