import { describe, expect, it } from 'vitest';
import { RequestBindings } from '../../daemon/core/bindings.ts';
import { type Bindings, parseCondition } from '../../daemon/core/condition.ts';
import { indexRules } from '../../daemon/core/rules.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { FACTS, sampleBundle, sampleRequest } from './sample.ts';

const rules = indexRules(sampleBundle(), parseCondition);

function bindings(payload: JsonObject = {}, context: JsonObject = {}, class_ = 'restart_service'): Bindings {
  const actionClass = rules.classOf(class_);
  if (actionClass === null) throw new Error('no such class');
  const principal = rules.principals.get('agent:ops-1') ?? null;
  return new RequestBindings(sampleRequest({ payload }, context), actionClass, principal, 'staging', FACTS);
}

describe('what conditions see', () => {
  const trueOnes: [string, JsonObject, JsonObject][] = [
    ['action.class == "restart_service" && action.intent.startsWith("recover")', {}, {}],
    ['action.target.type == "service" && action.target.id == "relay-2"', {}, {}],
    ['payload.grace_seconds == 5 && payload.grace_seconds < 6', { grace_seconds: 5 }, {}],
    ['payload.grace_seconds % 2 == 1', { grace_seconds: 5 }, {}],
    ['payload.load < 0.5 && payload.load > 0.2', { load: 0.25 }, {}],
    ['payload.load == 1.0', { load: 1 }, {}],
    [
      'payload.units == ["a", "b"] && "a" in payload.units && size(payload.units) == 2',
      { units: ['a', 'b'] },
      {},
    ],
    ['payload.force', { force: true }, {}],
    ['!has(payload.mode) && has(payload.note)', { note: '' }, {}],
    [
      'actor.id == "agent:ops-1" && actor.kind == "agent" && actor.owner == "alice" && actor.role == "agent"',
      {},
      {},
    ],
    ['"agent" in actor.roles && actor.roles.exists(r, r == "agent")', {}, {}],
    ['environment == "staging" && !context.environment_assumed', {}, {}],
    ['context.environment_assumed', {}, { environment: null }],
    [
      'context.request_source == "cli" && context.correlation_id == "c-1" && context.parent_id == ""',
      {},
      { request_source: 'cli', trace: { correlation_id: 'c-1' } },
    ],
    ['has(labels.mission) && labels.mission == "m" && "mission" in labels', {}, { labels: { mission: 'm' } }],
    ['!has(labels.mission)', {}, {}],
    ['time.hour == 10 && time.weekday == 0 && time.trust == "trusted"', {}, {}],
    ['action.target.id.matches("^relay-[0-9]$") && !action.target.id.matches("^$")', {}, {}],
  ];
  it.each(trueOnes)('%s', (source, payload, context) => {
    expect(parseCondition(source).evaluate(bindings(payload, context))).toBe(true);
  });

  it('is never a sensitive value', () => {
    const seen = bindings({ ssid: 'a', psk: 'secret' }, {}, 'join_network');
    expect(parseCondition('has(payload.ssid) && !has(payload.psk)').evaluate(seen)).toBe(true);
  });

  it.each([
    'payload.mode == "x"',
    'int(action.intent) == 1',
    '[1, 2][5] == 1',
    'action.target.nope == "x"',
    'action.intent',
  ])('is null where it cannot be computed: %s', (source) => {
    expect(parseCondition(source).evaluate(bindings())).toBeNull();
  });

  it('keeps integers exact, and overflow is no number', () => {
    expect(parseCondition('9007199254740993 - 9007199254740992 == 1').evaluate(bindings())).toBe(true);
    expect(parseCondition('9223372036854775807 + 1 > 0').evaluate(bindings())).toBeNull();
  });

  it('notes which members a condition reads and which it asks for', () => {
    const { reads, guards } = parseCondition(
      'has(payload.a) && payload.a == 1 && payload["b"] == 2 && "m" in labels && labels.m == "" && [1].all(x, payload.c == x)',
    );
    expect([...reads.payload].sort()).toEqual(['a', 'b', 'c']);
    expect([...guards.payload]).toEqual(['a']);
    expect([...reads.labels]).toEqual(['m']);
    expect([...guards.labels]).toEqual(['m']);
  });

  it('bounds its work: two nested loops over the longest list end', () => {
    const long = bindings({ units: Array.from({ length: 150 }, (_, i) => `u${i}`) });
    const condition = parseCondition(
      'payload.units.all(a, payload.units.all(b, a.size() > 0 && b.size() > 0))',
    );
    expect(condition.evaluate(long)).toBe(true);
  });
});

describe('brackets', () => {
  it('nest so far and no further, before anything is parsed', () => {
    for (const [source, code] of [
      ['['.repeat(1_500), 'condition.too_nested'],
      [`${'('.repeat(40)}true${')'.repeat(40)}`, 'condition.too_nested'],
    ] as const)
      expect(() => parseCondition(source)).toThrow(expect.objectContaining({ code }));
    expect(() => parseCondition(`${'('.repeat(20)}true${')'.repeat(20)}`)).not.toThrow();
  });
});
