import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type AnomalyHistory,
  escalations,
  judgeAnomalies,
  type Watchable,
} from '../../daemon/core/anomaly.ts';
import type { Bundle } from '../../daemon/core/bundle.ts';
import { checkStructure } from '../../daemon/core/bundle.ts';
import type { AnomalyRule, AnomalyRuleOf } from '../../daemon/core/bundle-anomalies.ts';
import { checkAnomalies } from '../../daemon/core/check-anomalies.ts';
import type { Json } from '../../daemon/formats/json.ts';
import { describeChanges } from '../../daemon/policy/diff.ts';
import { sampleBundle } from './sample.ts';

const NOW = Date.parse('2031-03-01T12:00:00.000Z');
const HOUR = 3_600_000;
const act: Watchable = {
  class: 'restart_service',
  environment: 'production',
  created_ms: NOW - HOUR,
  issued_ms: NOW,
  now_ms: NOW,
  watches: ['burst', 'quick', 'off_hours', 'overrides'],
  overriding: true,
};
const history = (ages_ms: readonly number[], decisions = 0): AnomalyHistory => {
  const all = ages_ms.map((age, n) => ({ index: 1_000 - n, at: NOW - age }));
  return {
    approvals: (most) => all.slice(0, most),
    overrides: (most) => all.slice(0, most),
    decisions: (_since, most) => Math.min(decisions, most),
  };
};
const quick = (more: Partial<AnomalyRule> = {}): AnomalyRule =>
  ({ id: 'quick', watch: 'quick', at_least: '2h', effect: 'record', ...more }) as AnomalyRule;

test('a burst is struck exactly when so many lie within the window', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 2 * HOUR }), { maxLength: 40 }),
      fc.integer({ min: 1, max: 20 }),
      (ages, more_than) => {
        const sorted = [...ages].sort((a, b) => a - b);
        const rule: AnomalyRule = { id: 'b', watch: 'burst', more_than, within: '1h', effect: 'record' };
        const struck = judgeAnomalies([rule], act, history(sorted));
        const within = sorted.filter((age) => age < HOUR).length;
        expect(struck.length).toBe(within >= more_than ? 1 : 0);
        expect(struck.every(({ entries }) => entries.length <= 20)).toBe(true);
      },
    ),
  );
});

test('overrides are struck exactly when they are more than that part of the decisions', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 200 }),
      fc.integer({ min: 0, max: 5_000 }),
      fc.integer({ min: 1, max: 100 }),
      (before, decisions, percent) => {
        const above = percent / 100;
        const rule: AnomalyRule = {
          id: 'o',
          watch: 'overrides',
          above,
          at_least: 1,
          within: '1h',
          effect: 'record',
        };
        const ages = Array.from({ length: before }, () => 1);
        const struck = judgeAnomalies([rule], act, history(ages, decisions));
        expect(struck.length).toBe(before + 1 > decisions * above ? 1 : 0);
      },
    ),
  );
});

test('hours are those of a clock on the wall there, whatever the offset', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 60 * 24 * 400 }),
      fc.integer({ min: -14 * 60, max: 14 * 60 }),
      fc.integer({ min: 0, max: 1_439 }),
      fc.integer({ min: 0, max: 1_439 }),
      (minutes, offset, from, to) => {
        const time = (minute: number) =>
          `${String(Math.floor(minute / 60)).padStart(2, '0')}:${String(minute % 60).padStart(2, '0')}`;
        const rule: AnomalyRuleOf<'off_hours'> = {
          id: 'h',
          watch: 'off_hours',
          hours: { from: time(from), to: time(to) },
          utc_offset: `${offset < 0 ? '-' : '+'}${time(Math.abs(offset))}`,
          effect: 'record',
        };
        const at = NOW + minutes * 60_000;
        const struck = judgeAnomalies([rule], { ...act, issued_ms: at, now_ms: at }, history([]));
        const local = (((12 * 60 + minutes + offset) % 1_440) + 1_440) % 1_440;
        const open = from === to || (from < to ? local >= from && local < to : local >= from || local < to);
        expect(struck.length).toBe(open ? 0 : 1);
      },
    ),
  );
});

test('a rule of other classes, environments or acts is not struck', () => {
  expect(judgeAnomalies([quick()], act, history([]))).toHaveLength(1);
  expect(judgeAnomalies([quick({ classes: ['other'] })], act, history([]))).toEqual([]);
  expect(judgeAnomalies([quick({ environments: ['staging'] })], act, history([]))).toEqual([]);
  expect(judgeAnomalies([quick()], { ...act, watches: ['overrides'] }, history([]))).toEqual([]);
});

test('what escalates asks for its own group, once', () => {
  const rule = quick({ effect: 'escalate', escalate_to: { roles: ['l4'], min_signatures: 2 } });
  const struck = judgeAnomalies([rule], act, history([]));
  const [group] = escalations(struck, []);
  expect(group).toMatchObject({ group: 'anomaly.quick', roles: ['l4'], min_signatures: 2 });
  expect(escalations(struck, group === undefined ? [] : [group])).toEqual([]);
  expect(escalations(judgeAnomalies([quick()], act, history([])), [])).toEqual([]);
});

describe('a bundle with rules', () => {
  const rules: AnomalyRule[] = [
    { id: 'burst', watch: 'burst', more_than: 10, within: '10m', effect: 'record' },
    quick({ effect: 'escalate', escalate_to: { roles: ['L4'], min_signatures: 1 } }),
  ];
  const bundle = (...anomalies: unknown[]): Bundle => ({
    ...sampleBundle(),
    anomalies: anomalies as AnomalyRule[],
  });
  const defects = (...anomalies: unknown[]) => {
    const built = bundle(...anomalies);
    const wrong = checkStructure(built as unknown as Json);
    return [...wrong, ...(wrong.length > 0 ? [] : checkAnomalies(built))].map(({ pointer }) => pointer);
  };

  test('is without defects', () => {
    expect(defects(...rules)).toEqual([]);
  });

  test.each<[string, unknown[], string]>([
    ['the same id twice', [rules[0], rules[0]], '/anomalies/1/id'],
    ['escalate to nobody', [quick({ effect: 'escalate' })], '/anomalies/0/escalate_to'],
    [
      'somebody to escalate to and another effect',
      [quick({ escalate_to: { roles: ['L4'], min_signatures: 1 } })],
      '/anomalies/0/escalate_to',
    ],
    [
      'a role that nobody holds',
      [quick({ effect: 'escalate', escalate_to: { roles: ['L9'], min_signatures: 1 } })],
      '/anomalies/0/escalate_to/roles/0',
    ],
    ['an unknown class', [quick({ classes: ['nothing'] })], '/anomalies/0/classes/0'],
    ['an unknown environment', [quick({ environments: ['mars'] })], '/anomalies/0/environments/0'],
    ['a window of years', [{ ...rules[0], within: '400d' }], '/anomalies/0/within'],
  ])('is refused for %s', (_what, anomalies, pointer) => {
    expect(defects(...anomalies)).toContain(pointer);
  });

  test.each([
    [{ ...quick(), watch: 'gossip' }],
    [{ ...quick(), more_than: 3 }],
    [{ ...rules[0], more_than: 0 }],
    [{ ...quick(), effect: 'allow' }],
  ])('is refused for what is no rule', (rule) => {
    expect(defects(rule)).not.toEqual([]);
  });

  test('says in words what changes', () => {
    expect(describeChanges(bundle(), bundle(...rules))).toEqual([
      'New rule burst: more than 10 approvals by one person within 10m is recorded, and is announced once per 1h.',
      'New rule quick: an approval sooner than 2h after the decision was made demands 1 more signature by L4, and is announced once per 1h.',
    ]);
    expect(describeChanges(bundle(...rules), bundle(rules[0], quick({ effect: 'reject' })))[0]).toMatch(
      /^Rule quick is now: .* does not count.*\(was: .*\)\.$/,
    );
    expect(describeChanges(bundle(...rules), bundle(rules[0]))[0]).toMatch(/^Rule quick is gone: /);
  });
});
