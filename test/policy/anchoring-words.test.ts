import { describe, expect, it } from 'vitest';
import type { Bundle } from '../../daemon/core/bundle.ts';
import { anchoringChanges } from '../../daemon/policy/diff/anchoring.ts';
import { anchoringFindings } from '../../daemon/policy/lint/anchoring.ts';
import { testBundle } from '../engine/bundle.ts';

const after = { warn_after: '1d', escalate_after: '2d', deny_after: '3d' };
const demanding = (anchoring: NonNullable<Bundle['anchoring']>): Bundle => ({ ...testBundle(), anchoring });
const checks = (bundle: Bundle) => anchoringFindings(bundle).map(({ check }) => check);

describe('what a policy demands of anchors', () => {
  it('is told where it changed', () => {
    const none = testBundle();
    expect(anchoringChanges(none, none)).toEqual([]);
    expect(anchoringChanges(none, demanding({ ...after, every: '6h' }))).toEqual([
      'The site must now export an anchor every 6h.',
      'An anchor now counts as soon as it lies in the outbox.',
      'After 1d without an anchor, people are warned.',
      'After 2d without an anchor, what is held back for it needs an approval.',
      'After 3d without an anchor, what is held back for it is denied.',
      'Held back without an anchor: everything above the lowest risk.',
    ]);
    expect(
      anchoringChanges(
        demanding({ ...after, every: '6h' }),
        demanding({ ...after, counts: 'left', deny_after: '9d', classes: ['set_pin'] }),
      ),
    ).toEqual([
      'The policy no longer makes the site export anchors (was every 6h).',
      'An anchor now counts only once it is known outside: acknowledged, cosigned or on a medium.',
      'After 9d instead of 3d without an anchor, what is held back for it is denied.',
      'Held back without an anchor: set_pin.',
    ]);
    expect(anchoringChanges(demanding(after), none)).toEqual([
      'Nothing is held back any more while no anchor leaves the site.',
    ]);
  });

  it('is looked at for what nobody could meet', () => {
    expect(checks(testBundle())).toEqual([]);
    expect(checks(demanding({ ...after, every: '6h' }))).toEqual([]);
    expect(checks(demanding({ ...after, counts: 'left' }))).toEqual(['anchoring.nobody_acknowledges']);
    expect(checks(demanding({ ...after, every: '1d' }))).toEqual(['anchoring.no_slack']);
  });
});
