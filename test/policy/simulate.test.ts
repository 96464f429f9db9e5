import { describe, expect, it } from 'vitest';
import type { Bundle } from '../../daemon/core/bundle.ts';
import { maskEntry } from '../../daemon/core/masked.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { type IndexedEntry, simulate, simulateRecent } from '../../daemon/policy/simulate.ts';
import { recordedEntry } from '../core/recorded.ts';
import { compileSample } from '../core/sample.ts';

const bundle = compileSample();

function request(payload: JsonObject, environment = 'staging', id = 'relay-2'): JsonObject {
  return {
    action: { class: 'restart_service', intent: 'recover it', target: { type: 'service', id }, payload },
    context: { actor: { id: 'agent:ops-1', role: 'agent' }, environment },
  };
}

/** What a site recorded: two allowed, one escalated, one denied, one denied for a secret. */
function history(): IndexedEntry[] {
  const bodies = [
    request({ note: 'a' }),
    request({ note: 'b', force: true }),
    request({ note: 'c' }, 'production'),
    request({ note: 'd', grace_seconds: 90 }, 'production'),
    request({ note: ['AKIA', 'IOSFODNN7EXAMPLE'].join('') }),
  ];
  return bodies.map((body, number) => ({
    index: 10 + number,
    entry: recordedEntry(body, bundle, { decision_id: `dec_${number}` }),
  }));
}

function flips(change: (bundle: Bundle) => void) {
  const report = simulate(history(), compileSample(change));
  return { ...report, flips: report.flips.map(({ decision_id, kind }) => `${decision_id} ${kind}`) };
}

describe('a simulation', () => {
  it('finds nothing under the same rules', () => {
    expect(flips(() => {})).toEqual({
      ...{ decisions: 5, unchanged: 5, withheld: 1, masked: 0 },
      ...{ counts: {}, flips: [] },
    });
  });

  it('judges nothing by the marks that stand for values, and says of how many', () => {
    const masked = history().map(({ index, entry }) => ({ index, entry: maskEntry(entry) }));
    expect(simulate(masked, compileSample())).toEqual({
      // One value is not on record at all, which is no mark of reading.
      ...{ decisions: 1, unchanged: 1, withheld: 1, masked: 4 },
      ...{ counts: {}, flips: [] },
    });
  });

  it('lists each flip of the result, newest first', () => {
    const report = flips(({ gates }) => {
      gates[0] = {
        id: 'no-force',
        condition: '!has(payload.force)',
        otherwise: 'fail',
        reason: 'No.',
        classes: ['restart_service'],
      };
    });
    expect(report.counts).toEqual({ 'allow→deny': 1, 'deny→escalate': 1 });
    expect(report.flips).toEqual(['dec_3 deny→escalate', 'dec_1 allow→deny']);
  });

  it('tells a moved band and other approvers from other results', () => {
    const moved = flips(({ risk, authority }) => {
      risk.bands = [{ band: 'tiny', below: 0.35 }, ...risk.bands.slice(1)];
      for (const route of authority.routes) if (route.bands?.includes('low')) route.bands = ['tiny'];
    });
    expect(moved.counts).toEqual({ band: 2 });
    const others = flips(({ authority, principals }) => {
      principals.dora = { kind: 'human', roles: ['L5'], status: 'active' };
      for (const { require } of authority.routes) for (const group of require) group.roles = ['L5'];
    });
    expect(others).toMatchObject({ counts: { authority: 1 }, flips: ['dec_2 authority'] });
  });

  it('lets denials stand whose reason is not on record', () => {
    const lenient = flips((all) => {
      all.gates = [];
      all.authority.routes = [{ id: 'all', require: [] }];
    });
    expect(lenient).toMatchObject({ withheld: 1, counts: { 'deny→allow': 1, 'escalate→allow': 1 } });
  });

  it('uses the bundle of each environment, and none where there is none', () => {
    const report = simulate(history(), new Map([['production', bundle]]));
    expect(report.counts).toEqual({ 'allow→deny': 2 });
    expect(report.flips[0]?.reasons[0]).toContain('No policy is in force');
  });

  it('reads the newest decisions page by page', async () => {
    const entries = Array.from({ length: 600 }, (_, index) => {
      const [first] = history();
      return { index, entry: first?.entry };
    }) as IndexedEntry[];
    const reads: number[] = [];
    const source = {
      size: entries.length,
      read: (from: number, limit: number) => {
        reads.push(from);
        return Promise.resolve(entries.slice(from, from + limit));
      },
    };
    const report = await simulateRecent(
      source,
      compileSample(({ gates }) => {
        for (const gate of gates) gate.condition = 'false';
      }),
      { last: 300 },
    );
    expect(reads).toEqual([344, 88]);
    expect(report.decisions).toBe(300);
    expect(report.flips[0]?.index).toBe(599);
  });
});
