import { describe, expect, it } from 'vitest';
import { MEANINGS, securityEvent } from '../../daemon/core/siem-event.ts';
import { EVERY_TYPE, entryOf, ORIGIN } from '../siem/entries.ts';

describe('what a SIEM is told of an entry', () => {
  it('is thought about for every type of entry', () => {
    expect(EVERY_TYPE.filter((type) => MEANINGS[type] === undefined)).toEqual([]);
  });

  it('names actor, target, rules, risk and reason of a denial, and nothing of its payload', () => {
    const event = securityEvent(ORIGIN, 7, entryOf('decision.denied', 7));
    expect(event).toMatchObject({
      index: 7,
      kind: 'action',
      verdict: 'deny',
      outcome: 'failure',
      actor: { id: 'agent:ops-1' },
      subject: { type: 'service', id: 'relay-2' },
      action: { class: 'restart_service', environment: 'production' },
      policy: { version: 'field-site@3' },
      risk: { band: 'medium', score: 0.4 },
      reason: 'A gate failed.',
    });
    expect(JSON.stringify(event)).not.toContain('unspeakable');
  });

  it('tells how a permit ended', () => {
    const of = (result: string) => securityEvent(ORIGIN, 1, entryOf('permit.outcome', 1, { result })).outcome;
    expect([of('succeeded'), of('failed'), of('unknown')]).toEqual(['success', 'failure', 'unknown']);
  });

  it('gets past data of any shape', () => {
    for (const type of EVERY_TYPE)
      for (const data of [
        { action: 1 },
        { policy: [], risk: 'high', reason: 7 },
        { target: {}, context: null },
      ])
        expect(securityEvent(ORIGIN, 0, entryOf(type, 0, data)).type).toBe(type);
  });

  it('clips long texts to whole characters', () => {
    const reason = `${'a'.repeat(999)}😀${'b'.repeat(50)}`;
    const event = securityEvent(ORIGIN, 0, entryOf('policy.refused', 0, { reason }));
    expect(event.reason).toBe(`${'a'.repeat(999)}…`);
    expect(event.message.isWellFormed()).toBe(true);
  });
});
