import type { Bundle } from '../../daemon/core/bundle.ts';
import { type CompiledBundle, compileBundle } from '../../daemon/core/compile.ts';
import type { Facts } from '../../daemon/core/evaluate.ts';
import { normalizeRequest } from '../../daemon/core/normalize.ts';
import type { DecisionRequest } from '../../daemon/core/request.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';

export const PSK = 'correct horse battery staple';

/** A bundle with one of everything. Every call gives a fresh copy, so tests change it as they like. */
export function sampleBundle(): Bundle {
  return {
    schema: 'holdfast/bundle/v1',
    metadata: {
      name: 'sample',
      version: 3,
      description: 'Policy of the core tests.',
      issued_at: '2026-01-01T00:00:00Z',
      sites: ['outpost-7.example'],
      freshness: { warn_after: '1d', escalate_after: '2d', deny_after: '3d' },
    },
    environments: { production: { description: 'The site.' }, staging: { description: 'The bench.' } },
    labels: ['mission'],
    actions: {
      restart_service: {
        description: 'Restart a service.',
        target: { type: 'service', id_pattern: '[a-z0-9-]{1,40}' },
        payload: {
          grace_seconds: { type: 'integer', minimum: 0, maximum: 600 },
          mode: { type: 'string', enum: ['soft', 'hard'] },
          units: { type: 'string_list', max_items: 3, pattern: '[a-z]{1,8}' },
          load: { type: 'number', minimum: 0, maximum: 1 },
          force: { type: 'boolean' },
          note: { type: 'string', required: true, max_length: 200 },
        },
        base_risk: 0.2,
        tool: 'restart',
        pending_ttl: '4h',
        permit_ttl: '5m',
      },
      join_network: {
        description: 'Join a network.',
        environments: ['staging'],
        target: { type: 'interface', id_pattern: '[a-z0-9]{1,15}' },
        payload: {
          ssid: { type: 'string', required: true },
          psk: { type: 'string', required: true, sensitive: true, pattern: '.{8,63}' },
        },
        base_risk: 0.1,
        tool: 'join',
        time_uncertain: 'deny',
      },
      read: {
        description: 'Read a sensor.',
        target: { type: 'sensor', id_pattern: '[a-z0-9-]{1,40}' },
        base_risk: 0.1,
        tool: 'read',
        time_uncertain: 'allow',
      },
    },
    tools: {
      restart: {
        connector: 'exec',
        argv: [
          '/usr/bin/systemctl',
          'restart',
          '--grace={{payload.grace_seconds}}',
          '{{target.id}}',
          '{{payload.units}}',
        ],
      },
      join: { connector: 'exec', argv: ['/usr/bin/join', '{{target.id}}'], stdin: ['ssid', 'psk'] },
      read: {
        connector: 'http',
        address: 'unix:/run/sensors.sock',
        method: 'GET',
        path: '/sensors/{{target.id}}/{{environment}}',
        audience: 'sensors',
        timeout: '5s',
      },
    },
    gates: [
      {
        id: 'short-grace',
        classes: ['restart_service'],
        environments: ['production'],
        condition: '!has(payload.grace_seconds) || payload.grace_seconds <= 60',
        otherwise: 'fail',
        reason: 'Production services are away for at most a minute.',
      },
      {
        id: 'not-ssh',
        classes: ['restart_service'],
        condition: 'action.target.id != "ssh"',
        otherwise: 'requires_exception',
        exception_role: 'L4',
        reason: 'Remote access stays up.',
      },
    ],
    risk: {
      factors: [
        {
          id: 'production',
          condition: 'environment == "production"',
          weight: 0.2,
          reason: 'It is the live site.',
        },
        {
          id: 'hard',
          classes: ['restart_service'],
          condition: 'has(payload.mode) && payload.mode == "hard"',
          weight: 0.5,
          reason: 'Hard restart.',
        },
      ],
      bands: [
        { band: 'low', below: 0.35 },
        { band: 'medium', below: 0.6 },
        { band: 'high', below: 1.01 },
      ],
    },
    authority: {
      routes: [
        { id: 'low', bands: ['low'], require: [] },
        { id: 'medium', bands: ['medium'], require: [{ group: 'peer', roles: ['L3'], min_signatures: 1 }] },
        {
          id: 'restarts',
          classes: ['restart_service'],
          environments: ['production'],
          bands: ['medium', 'high'],
          require: [
            { group: 'peer', roles: ['L3'], min_signatures: 2 },
            { group: 'safety', roles: ['L4'], min_signatures: 1 },
          ],
        },
      ],
    },
    principals: {
      'agent:ops-1': { kind: 'agent', roles: ['agent'], status: 'active', owner: 'alice' },
      'agent:old': { kind: 'agent', roles: ['agent'], status: 'revoked' },
      'service:cron': {
        kind: 'service',
        roles: ['service'],
        status: 'active',
        scope: { classes: ['read'], environments: ['staging'], targets: ['sensor:pump-1'] },
      },
      alice: { kind: 'human', roles: ['L3', 'L4'], status: 'active' },
    },
    secrets: { patterns: [{ id: 'site-code', pattern: 'SITE-[0-9]{4}' }] },
  };
}

export function compileSample(change: (bundle: Bundle) => void = () => {}): CompiledBundle {
  const bundle = sampleBundle();
  change(bundle);
  return compileBundle(bundle, '0'.repeat(64));
}

/** A restart in staging that nothing is wrong with, changed by what a test is about. */
export function sampleRequest(action: JsonObject = {}, context: JsonObject = {}): DecisionRequest {
  return normalizeRequest({
    action: {
      class: 'restart_service',
      intent: 'recover the telemetry relay',
      target: { type: 'service', id: 'relay-2' },
      payload: { note: 'it hangs' },
      ...action,
    },
    context: { actor: { id: 'agent:ops-1', role: 'agent' }, environment: 'staging', ...context },
  });
}

export const FACTS: Facts = {
  decision_id: 'dec_00000000-0000-7000-8000-000000000001',
  now_ms: Date.parse('2026-02-01T10:30:00Z'),
  time_trust: 'trusted',
};
