import { describe, expect, test } from 'vitest';
import type { Bundle, BundleBreakGlass } from '../../daemon/core/bundle.ts';
import { parseBundle } from '../../daemon/core/bundle.ts';
import { BundleDefects } from '../../daemon/core/bundle-defects.ts';
import { compileBundle } from '../../daemon/core/compile.ts';
import { canonicalBytes } from '../../daemon/formats/canonical-json.ts';
import type { Json } from '../../daemon/formats/json.ts';
import { breakglassWords } from '../../daemon/policy/diff/breakglass.ts';
import { describeChanges } from '../../daemon/policy/diff.ts';
import { lintBundle } from '../../daemon/policy/lint.ts';
import { glassBundle, SECTION } from '../engine/breakglass-world.ts';

/** What is wrong with the section, by its pointer; through bytes, as a site reads it. */
function defects(section: object): string[] {
  const bundle = { ...glassBundle(), breakglass: { ...SECTION, ...section } };
  try {
    compileBundle(parseBundle(canonicalBytes(bundle as unknown as Json)).bundle, '0'.repeat(64));
    return [];
  } catch (error) {
    if (!(error instanceof BundleDefects)) throw error;
    return error.defects.map(({ pointer }) => pointer);
  }
}

describe('the section', () => {
  test('is checked whole, and this one is right', () => {
    expect(defects({})).toEqual([]);
    expect(defects({ lifts: { authority: false, gates: ['policy.freshness', 'time.uncertain'] } })).toEqual(
      [],
    );
  });

  test.each<[string, object, string]>([
    ['a role that nobody holds', { roles: ['admiral'] }, '/breakglass/roles/0'],
    ['no role', { roles: [] }, '/breakglass/roles'],
    [
      'a reviewer role that nobody holds',
      { review: { ...SECTION.review, roles: ['admiral'] } },
      '/breakglass/review/roles/0',
    ],
    [
      'a grants role that nobody holds',
      { grants: { roles: ['admiral'], max_validity: '1d' } },
      '/breakglass/grants/roles/0',
    ],
    ['an unknown class', { covers: [{ classes: ['launch'] }] }, '/breakglass/covers/0/classes/0'],
    ['no class', { covers: [{ classes: [] }] }, '/breakglass/covers/0/classes'],
    [
      'an unknown environment',
      { covers: [{ classes: ['wipe_storage'], environments: ['moon'] }] },
      '/breakglass/covers/0/environments/0',
    ],
    [
      'an unknown gate',
      { lifts: { authority: true, gates: ['payload.allowlist'] } },
      '/breakglass/lifts/gates/0',
    ],
    ['secrets', { lifts: { authority: true, gates: ['secrets.pattern'] } }, '/breakglass/lifts/gates/0'],
    ['nothing', { lifts: { authority: false } }, '/breakglass/lifts'],
    [
      'a pattern that is none',
      { reason: { hazard: { description: 'x', pattern: '(' } } },
      '/breakglass/reason/hazard/pattern',
    ],
    ['a session of a month', { max_ttl: '30d' }, '/breakglass/max_ttl'],
    ['a review next year', { review: { ...SECTION.review, within: '300d' } }, '/breakglass/review/within'],
    [
      'grants for two years',
      { grants: { roles: ['l5'], max_validity: '700d' } },
      '/breakglass/grants/max_validity',
    ],
    [
      'another word for overdue',
      { review: { ...SECTION.review, overdue: 'ignore' } },
      '/breakglass/review/overdue',
    ],
    ['a member that nobody knows', { two_person: true }, '/breakglass/two_person'],
  ])('does not take %s', (_what, section, pointer) => {
    expect(defects(section)).toEqual([pointer]);
  });
});

describe('lint', () => {
  const findings = (bundle: Bundle) =>
    lintBundle(bundle)
      .filter(({ check }) => check.startsWith('breakglass.'))
      .map(({ check, found }) => `${check}: ${found}`);

  test('has nothing to say where others review', () => {
    expect(findings(glassBundle())).toEqual([]);
  });

  test('names who could open and be reviewed by nobody but themselves', () => {
    const bundle = glassBundle({ roles: ['l5'], review: { ...SECTION.review, roles: ['l5'] } });
    Object.assign(bundle.principals.leo ?? {}, { status: 'suspended' });
    expect(findings(bundle)).toEqual([
      'breakglass.no_reviewer: nobody who could review what lena does under break-glass',
    ]);
  });

  test('names roles that only the suspended hold', () => {
    const bundle = glassBundle();
    for (const id of ['lena', 'leo']) Object.assign(bundle.principals[id] ?? {}, { status: 'suspended' });
    expect(findings(bundle)).toEqual([
      'breakglass.nobody: roles that nobody active with a key holds (l5)',
      'breakglass.no_issuer: grants that nobody active with a key can issue',
    ]);
  });
});

describe('a diff', () => {
  const changes = (before: BundleBreakGlass | undefined, after: BundleBreakGlass | undefined): string[] => {
    const bundle = (breakglass: BundleBreakGlass | undefined): Bundle => {
      const { breakglass: _, ...rest } = glassBundle();
      return breakglass === undefined ? rest : { ...rest, breakglass };
    };
    return describeChanges(bundle(before), bundle(after));
  };

  test('says in words that there is one now, or none any more', () => {
    expect(changes(undefined, SECTION)).toEqual(breakglassWords(SECTION));
    expect(changes(undefined, SECTION)[0]).toBe(
      'l5 can break the glass for restart_service and set_pin in production; install_firmware in production on device:pump-1; wipe_storage, for 1h at most, 1 at a time.',
    );
    expect(changes(SECTION, undefined)).toEqual([
      'Nobody can break the glass any more; sessions that are open end.',
    ]);
    expect(changes(SECTION, SECTION)).toEqual([]);
  });

  test.each<[string, Partial<BundleBreakGlass>]>([
    ['The glass may be broken by now l5 or l3', { roles: ['l5', 'l3'] }],
    ['The glass may be broken for now wipe_storage', { covers: [{ classes: ['wipe_storage'] }] }],
    ['A break-glass session lasts at most now 2h', { max_ttl: '2h' }],
    ['Open break-glass sessions at a time: now 3', { max_open: 3 }],
    ['Break-glass lifts now all approvals', { lifts: { authority: true } }],
    ['The reason of a break-glass must say now what it likes', { reason: {} }],
    [
      'A break-glass session is reviewed by now reviewer or l5 within 4h',
      { review: { ...SECTION.review, within: '4h' } },
    ],
    ['Sealed grants: now issued by l5, good for 30d', { grants: { roles: ['l5'], max_validity: '30d' } }],
  ])('says "%s"', (sentence, change) => {
    const [only, ...more] = changes(SECTION, { ...SECTION, ...change });
    expect(only?.startsWith(sentence)).toBe(true);
    expect(more).toEqual([]);
  });
});
