import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { CompiledBundle } from '../../daemon/core/compile.ts';
import { differences, replayDecision } from '../../daemon/core/replay.ts';
import type { Entry } from '../../daemon/formats/entry.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { recordedEntry } from './recorded.ts';
import { compileSample, FACTS, PSK } from './sample.ts';

function replay(entry: Entry, bundle: CompiledBundle | null): string[] {
  const { recorded, replayed } = replayDecision(entry, bundle);
  return differences(recorded, replayed);
}

const AWS_KEY = ['AKIA', 'IOSFODNN7EXAMPLE'].join('');
const some = <const T extends readonly unknown[]>(...values: T) => fc.constantFrom<T[number][]>(...values);
const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });

/** Requests of every kind: right, wrong, with secrets, with fields that nobody knows. */
const bodies = fc
  .record({
    class: some('restart_service', 'join_network', 'read', 'launch_rocket', AWS_KEY, undefined),
    intent: some('recover it', '', `use ${AWS_KEY}`, undefined),
    target: some(
      { type: 'service', id: 'relay-2' },
      { type: 'service', id: 'ssh' },
      { type: 'interface', id: 'wlan0' },
      { type: 'sensor', id: 'pump-1' },
      { type: 'service', id: 'SITE-1234' },
      undefined,
    ),
    payload: fc.record({
      note: maybe(some('it hangs', 7, AWS_KEY, 'x'.repeat(300))),
      grace_seconds: maybe(some(5, 61, -1, 1.5)),
      mode: maybe(some('soft', 'hard', 'odd')),
      units: maybe(some(['a'], ['a', 'B'], ['a', 'b', 'c', 'd'])),
      force: maybe(some(true, 'yes')),
      ssid: maybe(some('camp', AWS_KEY)),
      psk: maybe(some(PSK, 'short', 5)),
      colour: maybe(some('red')),
      'odd name\u0001': maybe(some('x')),
    }),
    actor: some(
      { id: 'agent:ops-1', role: 'agent' },
      { id: 'alice', role: 'L3' },
      { id: 'agent:old' },
      { id: 'ghost' },
      { id: 'service:cron', role: 'agent' },
      {},
    ),
    environment: some('production', 'staging', 'moon', 'the moon!', undefined),
    labels: some({}, { mission: 'm-1' }, { colour: 'red' }, { mission: AWS_KEY }, { '\u0001': 'x' }),
  })
  .map(({ class: name, intent, target, payload, actor, environment, labels }) =>
    JSON.parse(
      JSON.stringify({
        action: { class: name, intent, target, payload },
        context: { actor, environment, labels, trace: { correlation_id: 'c-1' } },
      }),
    ),
  );

const facts = fc.record({
  now_ms: some(FACTS.now_ms, FACTS.now_ms + 12 * 3_600_000 + 1),
  time_trust: some('trusted' as const, 'floor' as const, 'uncertain' as const),
  freshness: some(undefined, 'escalate' as const, 'deny' as const),
});

describe('a recorded decision', () => {
  const bundle = compileSample();

  it('is judged the same under its own bundle, whatever was asked', () => {
    fc.assert(
      fc.property(bodies, facts, (body, { freshness, ...rest }) => {
        const entry = recordedEntry(body, bundle, {
          ...rest,
          ...(freshness === undefined ? {} : { freshness }),
        });
        expect(replay(entry, bundle)).toEqual([]);
      }),
      { numRuns: 1_500 },
    );
  });

  it('is judged the same without a policy', () => {
    fc.assert(
      fc.property(bodies, (body) => {
        expect(replay(recordedEntry(body, null), null)).toEqual([]);
      }),
    );
  });

  const RESTART = {
    action: {
      class: 'restart_service',
      intent: 'x',
      target: { type: 'service', id: 'relay-2' },
      payload: { note: 'n' },
    },
    context: { actor: { id: 'agent:ops-1', role: 'agent' }, environment: 'staging' },
  };

  it('shows what another bundle makes of it', () => {
    const entry = recordedEntry(RESTART, bundle);
    const stricter = compileSample(({ actions }) => {
      if (actions.restart_service !== undefined) actions.restart_service.base_risk = 0.5;
    });
    const denied = compileSample(({ gates }) => {
      const gate = gates.find(({ id }) => id === 'not-ssh');
      if (gate !== undefined) gate.condition = 'false';
    });
    expect(replay(entry, stricter)).toEqual([
      'result: recorded "allow", replayed "escalate"',
      'risk band: recorded "low", replayed "medium"',
      'risk score: recorded 0.2, replayed 0.5',
      expect.stringMatching(/^authority: recorded .*"route":"low".*replayed .*"peer"/),
    ]);
    expect(replay(entry, denied)[1]).toBe('gates: recorded [], replayed ["not-ssh requires_exception"]');
  });

  it('depends on the recorded freshness', () => {
    const body = { ...RESTART, context: { ...RESTART.context, environment: 'production' } };
    const entry = recordedEntry(body, bundle, { freshness: 'deny' });
    expect(entry.data.freshness).toBe('deny');
    const fresh = replayDecision(entry, bundle, null);
    expect(fresh.recorded.result).toBe('deny');
    expect(fresh.replayed.result).toBe('escalate');
  });

  it('stays denied for what is not on record', () => {
    const body = structuredClone(RESTART) as JsonObject & typeof RESTART;
    body.action.payload = { note: AWS_KEY } as never;
    const entry = recordedEntry(body, bundle);
    const { withheld, replayed } = replayDecision(entry, bundle);
    expect(withheld).toBe(true);
    expect(replayed).toMatchObject({ result: 'deny', gates: ['secrets.pattern payload.note'] });
  });
});
