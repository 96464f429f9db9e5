import { afterEach, describe, expect, test } from 'vitest';
import type { Bundle, BundleGate } from '../../daemon/core/bundle.ts';
import type { AnomalyRule } from '../../daemon/core/bundle-anomalies.ts';
import { checkProjections } from '../../daemon/engine/projection-check.ts';
import { rebuildProjections } from '../../daemon/engine/rebuild.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import type { SignedAct } from '../../daemon/formats/signed-act.ts';
import { openDatabase } from '../../daemon/ledger/database.ts';
import { LEDGER_KIND } from '../../daemon/ledger/schema.ts';
import { alice, ask, bob, carol, testBundle } from './bundle.ts';
import { EngineFixture, type Person } from './fixture.ts';

let site: EngineFixture;
afterEach(() => site.close());

const open = (rules: AnomalyRule[], changes: Partial<Bundle> = {}) => {
  site = new EngineFixture(testBundle({ anomalies: rules, ...changes }));
};
const create = (): JsonObject =>
  site.call('decisions.create', { json: ask('restart_service', 'service:relay') }).body;
const approve = (decision: JsonObject, who: Person, changes: Partial<SignedAct> = {}) =>
  site.call('decisions.approve', {
    args: { id: String(decision.decision_id) },
    json: site.sign(who, decision, changes),
  });
const anomalies = () => site.call('anomalies.list').body.anomalies as JsonObject[];
const show = ({ decision_id }: JsonObject) =>
  site.call('decisions.get', { args: { id: String(decision_id) } }).body;
/** One after the other, each of its own decision. */
const spree = (who: Person, count: number) =>
  Array.from({ length: count }, () => approve(create(), who).status);
const entriesOf = ({ decision_id }: JsonObject) =>
  (
    site.call('decisions.entries', { args: { id: String(decision_id) } }).body.entries as {
      entry: { type: string; data: JsonObject };
    }[]
  ).map(({ entry }) => entry);

const burst = (effect: AnomalyRule['effect'], more: Partial<AnomalyRule> = {}): AnomalyRule =>
  ({ id: 'burst', watch: 'burst', more_than: 3, within: '10m', effect, ...more }) as AnomalyRule;

describe('a burst of approvals by one person', () => {
  test('is on record once, with what it follows from', () => {
    open([burst('record')]);
    expect(spree(alice, 6)).toEqual(Array(6).fill(200));
    const found = anomalies();
    expect(found).toMatchObject([
      {
        rule: 'burst',
        watch: 'burst',
        effect: 'record',
        principal: 'alice',
        counts: { approvals: 4, more_than: 3, within: '10m' },
      },
    ]);
    const entries = found[0]?.entries as number[];
    expect(entries).toHaveLength(3);
    expect([...entries].sort((a, b) => a - b)).toEqual(entries);
    expect(site.call('status.get').body.anomalies).toMatchObject({ last_day: 1, newest: { rule: 'burst' } });
  });

  test('is by one person, and within the window', () => {
    open([burst('record')]);
    spree(alice, 3);
    spree(carol, 3);
    site.clock.pass(10 * 60_000);
    spree(alice, 3);
    expect(anomalies()).toEqual([]);
  });

  test('is told again after the quiet time, and names the act each time', () => {
    open([burst('record', { quiet: '2m' })]);
    spree(alice, 4);
    site.clock.pass(60_000);
    const decision = create();
    approve(decision, alice);
    expect(anomalies()).toHaveLength(1);
    expect(entriesOf(decision).at(-1)).toMatchObject({ data: { anomalies: ['burst'] } });
    site.clock.pass(61_000);
    spree(alice, 1);
    expect(anomalies()).toHaveLength(2);
  });

  test('is remembered over a restart and a rebuild, and survives the check of projections', () => {
    open([burst('record')]);
    spree(alice, 3);
    site.engine.close();
    rebuildProjections(site.paths.ledger);
    site.engine = site.open();
    spree(alice, 1);
    expect(anomalies()).toHaveLength(1);
    const database = openDatabase(site.paths.ledger, { kind: LEDGER_KIND });
    try {
      expect(checkProjections(database)).toEqual([]);
      database.exec(`UPDATE watched SET at = at - 1 WHERE kind = 'anomaly'`);
      expect(checkProjections(database)).toMatchObject([{ where: 'watched[anomaly burst alice]' }]);
      database.exec(`DELETE FROM watched WHERE who = 'alice'`);
      expect(checkProjections(database).length).toBeGreaterThan(4);
    } finally {
      database.close();
    }
  });

  test('does not count where policy rejects it, until it is over', () => {
    open([burst('reject')]);
    expect(spree(alice, 3)).toEqual([200, 200, 200]);
    const decision = create();
    expect(approve(decision, alice)).toMatchObject({ status: 422, body: { code: 'approval.anomaly' } });
    expect(show(decision)).toMatchObject({ status: 'pending_authority', authority: { received: [] } });
    expect(entriesOf(decision).at(-1)).toMatchObject({
      type: 'approval.rejected',
      data: { code: 'approval.anomaly', principal: 'alice', anomalies: ['burst'] },
    });
    expect(anomalies()).toMatchObject([{ effect: 'reject' }]);
    // A no is never out of order, and others are not concerned.
    expect(approve(create(), alice, { answer: 'reject' }).body.status).toBe('denied');
    expect(approve(decision, carol).body.status).toBe('authorized');
    site.clock.pass(10 * 60_000);
    expect(spree(alice, 1)).toEqual([200]);
  });
});

describe('an approval that asks for more', () => {
  const quick: AnomalyRule = {
    id: 'too-quick',
    watch: 'quick',
    at_least: '20s',
    effect: 'escalate',
    escalate_to: { roles: ['safety_officer'], min_signatures: 1 },
  };

  test('counts, and the decision waits for one more, by somebody else', () => {
    open([quick]);
    const decision = create();
    const first = approve(decision, carol, { role: 'l3' });
    expect(first).toMatchObject({
      status: 202,
      body: {
        authority: {
          required: [
            { group: 'peer' },
            { group: 'anomaly.too-quick', roles: ['safety_officer'], min_signatures: 1 },
          ],
          received: [{ principal: 'carol', group: 'peer' }],
          satisfied: false,
        },
        enforcement: { allow_if: ['1 signature by safety_officer (anomaly.too-quick)'] },
      },
    });
    expect(JSON.stringify(first.body.enforcement)).toContain('too soon to have read it');
    // The rule strikes again, and does not ask twice.
    expect(approve(decision, carol, { role: 'safety_officer' }).body.code).toBe('approval.duplicate_person');
    site.reopen();
    const second = approve(decision, bob, { role: 'safety_officer' });
    expect(second.body).toMatchObject({ status: 'authorized' });
    const { id, action_digest } = second.body.permit as JsonObject;
    const used = site.call('permits.redeem', {
      args: { id: String(id) },
      json: { audience: 'gateway', action_digest: String(action_digest) },
    });
    expect(used.status).toBe(200);
    const replay = site.call('decisions.replay', { args: { id: String(decision.decision_id) } }).body;
    expect(replay).toMatchObject({ differences: [] });
  });

  test('does so only when it was signed too soon', () => {
    open([quick]);
    const decision = create();
    site.clock.pass(20_000);
    expect(approve(decision, alice).body.status).toBe('authorized');
    expect(anomalies()).toEqual([]);
  });

  test('goes by the signer’s clock, and by the site’s where that stands before the decision', () => {
    open([quick]);
    const signed = create();
    const at = (ms: number) => new Date(site.clock.now() + ms).toISOString();
    const soon = { issued_at: at(5_000) };
    const behind = { issued_at: at(-60_000) };
    site.clock.pass(60_000);
    expect(approve(signed, alice, soon).status).toBe(202);
    const other = create();
    site.clock.pass(10_000);
    expect(approve(other, alice, { issued_at: behind.issued_at }).status).toBe(202);
    const third = create();
    const early = { issued_at: at(-60_000) };
    site.clock.pass(30_000);
    expect(approve(third, alice, early).status).toBe(200);
  });

  test('concerns only the classes and environments of its rule', () => {
    open([{ ...quick, classes: ['install_firmware'] }]);
    expect(approve(create(), alice).status).toBe(200);
  });
});

describe('approvals outside of working hours', () => {
  // The fixture's clock starts on a Saturday at 12:00 UTC.
  const hours = (from: string, to: string, more: Partial<AnomalyRule> = {}): AnomalyRule =>
    ({
      id: 'night',
      watch: 'off_hours',
      hours: { from, to },
      utc_offset: '+00:00',
      effect: 'reject',
      ...more,
    }) as AnomalyRule;

  test.each<[string, AnomalyRule, number]>([
    ['within', hours('08:00', '18:00'), 200],
    ['before', hours('12:01', '18:00'), 422],
    ['at the first minute', hours('12:00', '18:00'), 200],
    ['at the end', hours('08:00', '12:00'), 422],
    ['over midnight, within', hours('22:00', '12:30'), 200],
    ['over midnight, outside', hours('22:00', '06:00'), 422],
    ['all day', hours('00:00', '00:00'), 200],
    ['east of Greenwich', hours('08:00', '16:00', { utc_offset: '+05:30' }), 422],
    ['west of Greenwich', hours('06:00', '08:00', { utc_offset: '-05:00' }), 200],
    ['on a working day', hours('08:00', '18:00', { days: ['sat'] }), 200],
    ['on another day', hours('08:00', '18:00', { days: ['mon', 'fri', 'sun'] }), 422],
    ['in the night of a working day', hours('22:00', '13:00', { days: ['fri'] }), 200],
    ['in the night of another', hours('22:00', '13:00', { days: ['sat'] }), 422],
  ])('%s', (_what, rule, status) => {
    open([rule]);
    expect(approve(create(), alice).status).toBe(status);
  });

  test('cannot be backdated into them', () => {
    open([hours('08:00', '12:30')]);
    const decision = create();
    site.clock.pass(35 * 60_000);
    const issued_at = new Date(site.clock.now() - 20 * 60_000).toISOString();
    expect(approve(decision, alice, { issued_at }).body.code).toBe('approval.anomaly');
  });
});

describe('overrides', () => {
  const WINDOW: BundleGate = {
    id: 'window',
    classes: ['restart_service'],
    condition: 'false',
    otherwise: 'requires_exception',
    exception_role: 'safety_officer',
    reason: 'Services restart in their window.',
  };
  const ratio: AnomalyRule = {
    id: 'overrides',
    watch: 'overrides',
    above: 0.5,
    at_least: 2,
    within: '1h',
    effect: 'reject',
  };
  const except = (decision: JsonObject) =>
    site.call('decisions.approve', {
      args: { id: String(decision.decision_id) },
      json: site.sign(bob, decision, { role: 'safety_officer' }, 'exception'),
    });

  test('that make up too much of all decisions do not count', () => {
    open([ratio], { gates: [WINDOW] });
    const [first, second, third] = [create(), create(), create()];
    expect(except(first).status).toBe(202);
    // Two of three are more than half.
    expect(except(second).body.code).toBe('approval.anomaly');
    expect(anomalies()).toMatchObject([
      { rule: 'overrides', principal: 'bob', counts: { overrides: 2, decisions: 3, above: 0.5 } },
    ]);
    const fourth = create();
    // Two of four are not.
    expect(except(fourth).status).toBe(202);
    expect(except(third).body.code).toBe('approval.anomaly');
    site.clock.pass(60 * 60_000);
    const later = create();
    expect(except(later).status).toBe(202);
  });

  test('are not looked at for approvals', () => {
    open([{ ...ratio, above: 0.01, at_least: 1 }], { gates: [WINDOW] });
    const decision = create();
    expect(approve(decision, alice).status).toBe(202);
  });
});
