import { ENTRY_TYPES, type Entry, type EntryType, encodeEntry } from '../../daemon/formats/entry.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';

/* Entries of every type, as the engine writes them, for feeds. */

export const ORIGIN = 'outpost-7.example/ledger';
const POLICY = { digest: 'c0'.repeat(32), version: 'field-site@3' };

const DECIDED: JsonObject = {
  action: {
    class: 'restart_service',
    intent: 'recover',
    payload: { pin: 'unspeakable' },
    target: { id: 'relay-2', type: 'service' },
  },
  context: { environment: 'production', request_source: 'cli' },
  enforcement: { result: 'deny', reasons: ['A gate failed.'] },
  policy: POLICY,
  risk: { band: 'medium', score: 0.4, reasons: [] },
};

const DATA: Partial<Record<EntryType, JsonObject>> = {
  'permit.outcome': { result: 'failed', audience: 'gateway', detail: { exit_code: 1 } },
  'incident.opened': { cause: 'canary_failed', detail: 'It was allowed.', halt: { scope: 'site' } },
  'anomaly.detected': { rule: 'burst', detail: 'too many', principal: 'warden' },
  'policy.applied': { update_id: 'ab'.repeat(32), who: 'operator' },
  'policy.degraded': { policy: POLICY, step: 'warn' },
  'key.suspended': { key: 'SHA256:abc', reason: 'stolen' },
};

export function entryOf(type: EntryType, index: number, data: JsonObject = DATA[type] ?? {}): Uint8Array {
  const decided = type.startsWith('decision.') ? { ...DECIDED, ...data } : data;
  const entry: Entry = {
    v: 1,
    site: 'outpost-7.example',
    type,
    at: new Date(1_790_000_000_000 + index).toISOString(),
    time_trust: 'floor',
    stream: type.startsWith('decision.') ? 'dec_01a1fd11-1d51-7034-a7ad-d46527690626' : 'system',
    seq: 0,
    prev: null,
    actor: {
      id: type.startsWith('system.') ? null : 'agent:ops-1',
      role: type.startsWith('system.') ? 'system' : null,
    },
    data: decided,
  };
  return encodeEntry(entry);
}

/** One of each type, in a fixed order. */
export const EVERY_TYPE = Object.keys(ENTRY_TYPES).sort() as EntryType[];
