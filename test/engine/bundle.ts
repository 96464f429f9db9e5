import type { Bundle } from '../../daemon/core/bundle.ts';
import { person, SITE } from './fixture.ts';

export const alice = person('alice');
export const bob = person('bob');
export const carol = person('carol');

const human = (roles: string[], line: string) => ({
  kind: 'human' as const,
  roles,
  status: 'active' as const,
  keys: [{ public_key: line }],
});

/** A small policy with one class for each way a decision can go. */
export function testBundle(changes: Partial<Bundle> = {}): Bundle {
  return {
    schema: 'holdfast/bundle/v1',
    metadata: {
      name: 'engine-test',
      version: 1,
      description: 'Policy of the engine tests.',
      issued_at: '2031-01-01T00:00:00Z',
      sites: [SITE],
      freshness: { warn_after: '30d', escalate_after: '90d', deny_after: '180d' },
    },
    environments: { production: { description: 'The site.' }, staging: { description: 'The bench.' } },
    actions: {
      read_telemetry: {
        description: 'Read a sensor.',
        target: { type: 'sensor', id_pattern: '[a-z0-9-]{1,40}' },
        base_risk: 0.1,
        tool: 'reader',
      },
      restart_service: {
        description: 'Restart a service.',
        target: { type: 'service', id_pattern: '[a-z0-9-]{1,40}' },
        payload: { grace_seconds: { type: 'integer', minimum: 0, maximum: 60 } },
        base_risk: 0.4,
        tool: 'restarter',
        pending_ttl: '1h',
        permit_ttl: '5m',
      },
      install_firmware: {
        description: 'Install firmware.',
        target: { type: 'device', id_pattern: '[a-z0-9-]{1,40}' },
        base_risk: 0.8,
        tool: 'reader',
        pending_ttl: '1h',
      },
      set_pin: {
        description: 'Set the door code.',
        target: { type: 'door', id_pattern: '[a-z0-9-]{1,40}' },
        payload: { pin: { type: 'string', pattern: '[0-9]{4}', required: true, sensitive: true } },
        base_risk: 0.1,
        tool: 'pin',
      },
      wipe_storage: {
        description: 'Wipe a disk.',
        target: { type: 'disk', id_pattern: '[a-z0-9-]{1,40}' },
        base_risk: 1,
        tool: 'reader',
      },
    },
    tools: {
      reader: { connector: 'exec', argv: ['/bin/echo', '{{target.id}}'] },
      restarter: {
        connector: 'exec',
        argv: ['/bin/echo', 'restart', '{{target.id}}', '--grace={{payload.grace_seconds}}'],
      },
      pin: { connector: 'exec', argv: ['/bin/cat'], stdin: ['pin'] },
    },
    gates: [
      {
        id: 'no-wipe',
        classes: ['wipe_storage'],
        condition: 'environment != "production"',
        otherwise: 'fail',
        reason: 'Storage is never wiped in production.',
      },
    ],
    risk: {
      factors: [],
      bands: [
        { band: 'low', below: 0.3 },
        { band: 'medium', below: 0.6 },
        { band: 'high', below: 1.1 },
      ],
    },
    authority: {
      routes: [
        { id: 'low', bands: ['low'], require: [] },
        { id: 'medium', bands: ['medium'], require: [{ group: 'peer', roles: ['l3'], min_signatures: 1 }] },
        {
          id: 'high',
          bands: ['high'],
          require: [
            { group: 'peer', roles: ['l3'], min_signatures: 1 },
            { group: 'safety', roles: ['safety_officer'], min_signatures: 1 },
          ],
        },
      ],
    },
    principals: {
      alice: human(['l3'], alice.line),
      bob: human(['safety_officer'], bob.line),
      carol: human(['l3', 'safety_officer'], carol.line),
      'agent:ops-1': { kind: 'agent', roles: ['agent'], status: 'active', owner: 'olga' },
    },
    ...changes,
  };
}

/** A request body as an agent would post it. */
export function ask(
  actionClass: string,
  target: string,
  changes: { payload?: object; context?: object; linked_to?: string } = {},
) {
  const [type = '', id = ''] = target.split(':');
  const { linked_to } = changes;
  return {
    action: { class: actionClass, intent: 'test it', target: { type, id }, payload: changes.payload ?? {} },
    context: {
      actor: { id: 'agent:ops-1', role: 'agent' },
      environment: 'production',
      request_source: 'test',
      ...changes.context,
    },
    ...(linked_to === undefined ? {} : { linked_to }),
  } as never;
}
