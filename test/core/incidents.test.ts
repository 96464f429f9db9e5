import { describe, expect, it } from 'vitest';
import type { Bundle } from '../../daemon/core/bundle.ts';
import { BundleDefects } from '../../daemon/core/bundle-defects.ts';
import { compileBundle } from '../../daemon/core/compile.ts';
import { haltOf } from '../../daemon/core/incident.ts';
import { judgeStops, STOP_GATES } from '../../daemon/core/site-stops.ts';
import { testBundle } from '../engine/bundle.ts';

const target = { type: 'sensor', id: 'pump-1' };
const concerned = { target, tool: 'reader' };

describe('what an incident halts', () => {
  it.each([
    ['unpermitted_act', { scope: 'target', target }],
    ['outcome_without_permit', { scope: 'target', target }],
    ['tool_changed', { scope: 'tool', tool: 'reader' }],
    ['canary_failed', { scope: 'site' }],
    ['configuration_changed', { scope: 'site' }],
    ['gateway_report', { scope: 'site' }],
  ] as const)('%s', (cause, halt) => {
    expect(haltOf(cause, concerned, undefined)).toEqual(halt);
    // Where nobody knows what it concerns, it concerns everything.
    expect(haltOf(cause, { target: null, tool: null }, undefined)).toEqual({ scope: 'site' });
  });

  it('is wider where policy says so, and never narrower', () => {
    const wide = { halt: { unpermitted_act: 'site', tool_changed: 'site' } } as const;
    expect(haltOf('unpermitted_act', concerned, wide)).toEqual({ scope: 'site' });
    expect(haltOf('tool_changed', concerned, wide)).toEqual({ scope: 'site' });
    expect(haltOf('outcome_without_permit', concerned, wide)).toEqual({ scope: 'target', target });
  });
});

describe('stops', () => {
  it('are failed gates that break-glass lifts', () => {
    const gates = judgeStops([{ cause: 'disk' }, { cause: 'incident', incident: 'inc_1', scope: 'tool' }]);
    expect(gates.map(({ id }) => id).sort()).toEqual([...STOP_GATES].sort());
    expect(gates.every(({ result }) => result === 'fail')).toBe(true);
  });
});

describe('section incidents of a bundle', () => {
  const defects = (incidents: NonNullable<Bundle['incidents']>): string[] => {
    try {
      compileBundle(testBundle({ incidents }), '0'.repeat(64));
      return [];
    } catch (error) {
      if (!(error instanceof BundleDefects)) throw error;
      return error.defects.map(({ pointer, found }) => `${pointer}: ${found}`);
    }
  };

  it('names roles that somebody holds', () => {
    expect(defects({ reporter_roles: ['l3'], resume_roles: ['safety_officer'] })).toEqual([]);
    expect(defects({ reporter_roles: ['l9'], resume_roles: ['l3', 'l8'] })).toEqual([
      '/incidents/reporter_roles/0: the unknown role "l9"',
      '/incidents/resume_roles/1: the unknown role "l8"',
    ]);
  });

  it('asks in the name of somebody', () => {
    expect(defects({ canary_actor: 'agent:ops-1' })).toEqual([]);
    expect(defects({ canary_actor: 'nobody' })).toEqual(['/incidents/canary_actor: nobody called "nobody"']);
  });

  it('has canaries that can only be denied', () => {
    const canary = (name: string) => ({ class: name, target: { type: 'disk', id: 'sda' } });
    expect(defects({ canaries: [canary('no_such_class')] })).toEqual([
      '/incidents/canaries/0/class: the unknown class "no_such_class"',
    ]);
    expect(defects({ canaries: [canary('read_telemetry')] })).toEqual([
      '/incidents/canaries/0/class: the class "read_telemetry", which no gate denies outright',
    ]);
    // Denied in one environment only is not enough.
    expect(defects({ canaries: [canary('wipe_storage')] })).toHaveLength(1);
    const bundle = testBundle({ incidents: { canaries: [canary('wipe_storage')] } });
    bundle.gates.push({
      id: 'trap',
      classes: ['wipe_storage'],
      condition: 'false',
      otherwise: 'fail',
      reason: 'It is the self-test.',
    });
    expect(() => compileBundle(bundle, '0'.repeat(64))).not.toThrow();
  });
});
