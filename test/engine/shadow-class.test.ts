import { afterEach, describe, expect, test } from 'vitest';
import type { Bundle } from '../../daemon/core/bundle.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { describeChanges } from '../../daemon/policy/diff.ts';
import { ask, testBundle } from './bundle.ts';
import { EngineFixture } from './fixture.ts';

const open: EngineFixture[] = [];
afterEach(() => {
  for (const fixture of open.splice(0)) fixture.close();
});

/** The policy of the engine tests with one class in shadow. */
function shadowed(name: string): Bundle {
  const bundle = testBundle();
  const definition = bundle.actions[name];
  if (definition === undefined) throw new Error(name);
  return { ...bundle, actions: { ...bundle.actions, [name]: { ...definition, shadow: true } } };
}

function site(bundle: Bundle): EngineFixture {
  const fixture = new EngineFixture(bundle);
  open.push(fixture);
  return fixture;
}

function decide(fixture: EngineFixture, request: unknown): JsonObject {
  return fixture.call('decisions.create', { json: request as never }).body;
}

describe('a class in shadow', () => {
  test.each([
    ['read_telemetry', ask('read_telemetry', 'sensor:t-1'), 'allow', []],
    ['restart_service', ask('restart_service', 'service:relay'), 'escalate', []],
    ['wipe_storage', ask('wipe_storage', 'disk:a'), 'deny', ['no-wipe']],
    ['read_telemetry', ask('read_telemetry', 'sensor:NO'), 'deny', ['target.id target.id']],
  ])(
    '%s is denied by its own gate, and the entry says what would have been',
    (name, request, result, gates) => {
      const fixture = site(shadowed(name));
      const twin = decide(site(testBundle()), request);
      const decision = decide(fixture, request);
      expect(decision).toMatchObject({
        status: 'denied',
        permit_state: 'none',
        enforcement: { result: 'deny' },
        shadow: { class: { result, band: (twin.risk as JsonObject).band, gates } },
      });
      expect(decision).not.toHaveProperty('permit');
      const failed = (decision.policy as { gates: { id: string; result: string }[] } & JsonObject).gates;
      expect(failed.filter((gate) => gate.result === 'fail').map(({ id }) => id)).toContain('class.shadow');
      const { authority } = (decision.shadow as { class: JsonObject }).class;
      expect((authority as JsonObject).required).toEqual((twin.authority as JsonObject).required);
      const read = fixture.call('decisions.get', { args: { id: String(decision.decision_id) } }).body;
      expect(read.shadow).toEqual(decision.shadow);
      const replay = fixture.call('decisions.replay', { args: { id: String(decision.decision_id) } }).body;
      expect(replay).toMatchObject({ differences: [], recorded: { shadow: { result } } });
    },
  );

  test('leaves the other classes as they are', () => {
    const decision = decide(site(shadowed('wipe_storage')), ask('read_telemetry', 'sensor:t-1'));
    expect(decision).toMatchObject({ status: 'authorized' });
    expect(decision).not.toHaveProperty('shadow');
  });

  test('is not lifted by signatures: the decision is over', () => {
    const fixture = site(shadowed('restart_service'));
    const decision = decide(fixture, ask('restart_service', 'service:relay'));
    const events = fixture.call('decisions.list', { args: { status: 'pending_authority' } }).body;
    expect(events.decisions).toEqual([]);
    expect(decision.expires_at).toBeNull();
  });

  test('is said in the words of a diff, both ways', () => {
    const [without, within] = [testBundle(), shadowed('restart_service')];
    const words = (before: Bundle, after: Bundle) => JSON.stringify(describeChanges(before, after));
    expect(words(without, within)).toContain('restart_service goes into shadow');
    expect(words(within, without)).toContain('restart_service is in shadow no longer');
    expect(words(without, without)).not.toContain('shadow');
  });
});
