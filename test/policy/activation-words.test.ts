import { describe, expect, it } from 'vitest';
import type { Bundle } from '../../daemon/core/bundle.ts';
import { compileBundle } from '../../daemon/core/compile.ts';
import { describeChanges } from '../../daemon/policy/diff.ts';
import { lintBundle } from '../../daemon/policy/lint.ts';
import { testBundle } from '../engine/bundle.ts';
import { person } from '../engine/fixture.ts';

type Hold = NonNullable<Bundle['activation']>['hold'];
const HOLD: Hold = { roles: ['l5', 'l4'], min_signatures: 2, max_wait: '7d' };

function bundle(hold: Hold | null, people: string[] = ['erin', 'frank', 'grace']): Bundle {
  const { principals, ...rest } = testBundle(hold === null ? {} : { activation: { hold } });
  const others = people.map((name, index) => [
    name,
    {
      kind: 'human',
      roles: [index % 2 === 0 ? 'l4' : 'l5'],
      status: 'active',
      keys: [{ public_key: person(name).line }],
    },
  ]);
  return { ...rest, principals: { ...principals, ...Object.fromEntries(others) } } as Bundle;
}

const changes = (before: Hold | null, after: Hold | null) => describeChanges(bundle(before), bundle(after));

describe('what changes about updates that wait', () => {
  it('is said in terms of who must sign', () => {
    expect(changes(null, HOLD)).toEqual([
      'An update that changes rules waits at the site for 2 signatures of l4 or l5, for at most 7d.',
    ]);
    expect(changes(HOLD, null)).toEqual([
      'An update takes effect when it is imported: nobody at the site has to sign any more.',
    ]);
    expect(changes(HOLD, { ...HOLD, min_signatures: 1 })).toEqual([
      'An update waits at the site for the signature of l4 or l5 instead of 2 signatures of l4 or l5.',
    ]);
    const { max_wait: _none, ...patient } = HOLD;
    expect(changes(HOLD, patient)).toEqual([
      'An update that nobody releases is given up when its metadata expires, no longer after 7d.',
    ]);
    expect(changes(patient, { ...HOLD, max_wait: '1d' })).toEqual([
      'An update that nobody releases is given up after 1d.',
    ]);
    expect(changes(HOLD, HOLD)).toEqual([]);
  });
});

describe('lint looks whether anybody could release an update', () => {
  const checks = (people: string[]) =>
    lintBundle(bundle(HOLD, people))
      .filter(({ check }) => check.startsWith('activation.'))
      .map(({ severity, check }) => `${severity} ${check}`);

  it('and whether one may be away', () => {
    // The roles must be known, so somebody holds each; with fewer people than signatures no update could come in.
    expect(checks(['erin', 'frank', 'grace'])).toEqual([]);
    expect(checks(['erin', 'frank'])).toEqual(['warning activation.no_spare']);
    expect(checks(['erin'])).toEqual(['error activation.unsatisfiable']);
  });
});

it('a role that nobody holds is a defect', () => {
  const wrong = bundle({ ...HOLD, roles: ['l9'] });
  expect(() => compileBundle(wrong, '0'.repeat(64))).toThrow(/l9/);
});
