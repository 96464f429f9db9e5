import { describe, expect, it } from 'vitest';
import type { Bundle, BundleReading } from '../../daemon/core/bundle.ts';
import { checkReading } from '../../daemon/core/check-reading.ts';
import { compileBundle } from '../../daemon/core/compile.ts';
import { describeChanges } from '../../daemon/policy/diff.ts';
import { lintBundle } from '../../daemon/policy/lint.ts';
import { testBundle } from '../engine/bundle.ts';

const bundle = (reading: BundleReading | null): Bundle => testBundle(reading === null ? {} : { reading });
const changes = (before: BundleReading | null, after: BundleReading | null) =>
  describeChanges(bundle(before), bundle(after));

describe('what changes about reading', () => {
  it('is said in terms of who may see what', () => {
    expect(changes(null, { raw: ['l3'], export: ['safety_officer'] })).toEqual([
      'l3 may now open payload values.',
      'safety_officer may now take evidence away.',
      'Lists and searches no longer show the values of payloads.',
    ]);
    expect(changes({ raw: ['l3'] }, null)).toEqual([
      'l3 may no longer open payload values.',
      'Nobody may open payload values any more.',
      'Lists and searches show the values of payloads again.',
    ]);
    expect(changes({}, { summary: ['l3'] })).toEqual(['Only l3 may now list and search what is recorded.']);
    expect(changes({ summary: ['l3'] }, {})).toEqual([
      'Every observer may now list and search what is recorded.',
    ]);
    expect(changes({ summary: ['l3'] }, { summary: ['safety_officer'] })).toEqual([
      'safety_officer may now list and search what is recorded.',
      'l3 may no longer list and search what is recorded.',
    ]);
    expect(changes({}, { breakglass: { roles: ['l3'] } })).toEqual([
      'l3 may now open payload values under break-glass.',
    ]);
    expect(changes({ raw: ['l3'] }, { raw: ['l3'] })).toEqual([]);
  });
});

describe('roles that nobody holds', () => {
  it('are a defect of the bundle: it would shut everybody out', () => {
    const reading = { raw: ['l3', 'l33'], breakglass: { roles: ['dutty'] } };
    expect(checkReading(bundle(reading)).map(({ pointer }) => pointer)).toEqual([
      '/reading/raw/1',
      '/reading/breakglass/roles/0',
    ]);
    expect(() => compileBundle(bundle(reading), '0'.repeat(64))).toThrow();
  });

  it('are a warning where only somebody suspended holds them', () => {
    const made = bundle({ raw: ['safety_officer'], export: ['l3'] });
    for (const id of ['bob', 'carol']) Object.assign(made.principals[id] ?? {}, { status: 'suspended' });
    const found = lintBundle(made).filter(({ check }) => check.startsWith('reading.'));
    expect(found.map(({ pointer }) => pointer)).toEqual(['/reading/raw']);
  });
});
