import type { JsonObject } from './json.ts';
import { eventId, type SecurityEvent, type SecurityEventKind } from './security-event.ts';

/*
 * Open Cybersecurity Schema Framework (OCSF) 1.8.0. `class_uid` = category * 1000 + uid, `type_uid` = class_uid * 100 +
 * activity_id.
 */

const OCSF_VERSION = '1.8.0';
const SHA_256 = 3;
const OTHER = 99;

interface EventClass {
  uid: number;
  name: string;
  /** Our verbs → `activity_id`; all others are 99 with `activity_name`. */
  activities: Readonly<Record<string, number>>;
}

const CLASSES: Readonly<Record<SecurityEventKind, EventClass>> = {
  action: { uid: 6003, name: 'API Activity', activities: {} },
  change: {
    uid: 3004,
    name: 'Entity Management',
    activities: { create: 1, update: 3, delete: 4, activate: 10, deactivate: 11, suspend: 12, resume: 13 },
  },
  elevation: { uid: 3003, name: 'Authorize Session', activities: { elevate: 1 } },
  finding: { uid: 2004, name: 'Detection Finding', activities: { detect: 1, update: 2, close: 3 } },
  record: {
    uid: 1008,
    name: 'Event Log Activity',
    activities: { delete: 2, export: 3, archive: 4, rotate: 5, start: 6, stop: 7, restart: 8 },
  },
};

/** `action_id`, `disposition_id` and their names (profile `security_control`). */
const VERDICTS = {
  allow: { action_id: 1, action: 'Allowed', disposition_id: 1, disposition: 'Allowed' },
  deny: { action_id: 2, action: 'Denied', disposition_id: 2, disposition: 'Blocked' },
  pending: { action_id: OTHER, action: 'Awaiting authority', disposition_id: 14, disposition: 'Delayed' },
} as const;

const OUTCOMES = {
  success: { status_id: 1, status: 'Success' },
  failure: { status_id: 2, status: 'Failure' },
  pending: { status_id: OTHER, status: 'Pending' },
  unknown: { status_id: 0, status: 'Unknown' },
} as const;

const SEVERITIES = ['Unknown', 'Informational', 'Low', 'Medium', 'High', 'Critical'] as const;
const RISK_LEVELS: Readonly<Record<string, number>> = { low: 1, medium: 2, high: 3, critical: 4 };

/** One event as an OCSF object; `version` is the product's. */
export function toOcsf(event: SecurityEvent, version: string): JsonObject {
  const { kind, activity, severity, message } = event;
  const { uid, name, activities } = CLASSES[kind];
  const activity_id = activities[activity] ?? OTHER;
  return {
    activity_id,
    activity_name: activity,
    category_uid: Math.floor(uid / 1000),
    class_uid: uid,
    class_name: name,
    type_uid: uid * 100 + activity_id,
    severity_id: severity,
    severity: SEVERITIES[severity],
    time: event.at,
    message,
    ...statusOf(event),
    metadata: metadataOf(event, version),
    raw_data_hash: { algorithm: 'SHA-256', algorithm_id: SHA_256, value: event.hash },
    ...OF_CLASS[kind](event),
    ...controlOf(event),
    unmapped: {
      index: event.index,
      entry_type: event.type,
      stream: event.stream,
      time_trust: event.timeTrust,
      ...(event.action === null ? {} : { environment: event.action.environment }),
    },
  };
}

function metadataOf(event: SecurityEvent, version: string): JsonObject {
  return {
    version: OCSF_VERSION,
    product: { name: 'Holdfast', vendor_name: 'Holdfast', version },
    uid: eventId(event),
    sequence: event.index,
    event_code: event.type,
    correlation_uid: event.stream,
    log_name: event.origin,
    ...(event.verdict === null && event.policy === null ? {} : { profiles: ['security_control'] }),
  };
}

/** A finding is new or resolved, everything else went well or not. */
function statusOf({ kind, activity, outcome, reason }: SecurityEvent): JsonObject {
  const detail = reason === null ? {} : { status_detail: reason };
  if (kind !== 'finding') return { ...OUTCOMES[outcome], ...detail };
  const over = activity === 'close';
  return { status_id: over ? 4 : 1, status: over ? 'Resolved' : 'New', ...detail };
}

/** Profile `security_control`: what was allowed, by which rules, at what risk. */
function controlOf({ verdict, policy, risk, kind }: SecurityEvent): JsonObject {
  const rules =
    policy === null ? null : { uid: policy.digest, name: policy.version, version: policy.version };
  return {
    ...(verdict === null ? {} : VERDICTS[verdict]),
    ...(rules === null ? {} : { policy: { ...rules, is_applied: true } }),
    ...(rules === null || verdict === null ? {} : { authorizations: [{ decision: verdict, policy: rules }] }),
    ...(risk === null
      ? {}
      : {
          risk_score: Math.round(risk.score * 100),
          risk_level_id: RISK_LEVELS[risk.band] ?? OTHER,
          risk_level: risk.band,
        }),
    ...(kind === 'finding' ? { is_alert: true } : {}),
  };
}

const OF_CLASS: Readonly<Record<SecurityEventKind, (event: SecurityEvent) => JsonObject>> = {
  action: (event) => ({
    actor: actorOf(event),
    api: { operation: event.action?.class ?? event.type, service: { name: 'holdfast' } },
    src_endpoint: { name: event.site, svc_name: 'holdfast' },
    resources: resourcesOf(event),
  }),
  change: (event) => ({
    actor: actorOf(event),
    src_endpoint: { name: event.site, svc_name: 'holdfast' },
    entity: entityOf(event),
    ...(event.reason === null ? {} : { comment: event.reason }),
  }),
  elevation: (event) => ({
    actor: actorOf(event),
    user: userOf(event),
    privileges: [event.message],
    session: { uid: event.stream },
  }),
  finding: (event) => ({
    finding_info: {
      uid: event.stream === event.type.split('.')[0] ? eventId(event) : event.stream,
      title: event.message,
      created_time: event.at,
      types: [event.type],
      ...(event.reason === null ? {} : { desc: event.reason }),
    },
    resources: resourcesOf(event),
  }),
  record: (event) => ({
    actor: actorOf(event),
    device: { type_id: 1, type: 'Server', name: event.site, uid: event.site },
    log_name: event.origin,
    log_provider: 'holdfast',
  }),
};

function actorOf(event: SecurityEvent): JsonObject {
  return { user: userOf(event), app_name: 'holdfast' };
}

/** Of the actor's id only the kind before the colon is known here: `agent:ops-1`. */
function userOf({ actor: { id, role } }: SecurityEvent): JsonObject {
  if (id === null) {
    const known = role === 'system';
    return {
      name: known ? 'holdfast' : 'unknown',
      type_id: known ? 3 : 0,
      type: known ? 'System' : 'Unknown',
    };
  }
  const service = /^(agent|service|mcp):/.test(id) || role === 'audience';
  return { uid: id, name: id, type_id: service ? 4 : 1, type: service ? 'Service' : 'User' };
}

function resourcesOf({ subject, site }: SecurityEvent): JsonObject[] {
  const { type, id } = subject ?? { type: 'site', id: site };
  return [{ uid: id, name: id, type }];
}

/** A policy is one of OCSF's own kinds of entity (5); the rest are ours. */
function entityOf({ subject, site }: SecurityEvent): JsonObject {
  const { type, id } = subject ?? { type: 'site', id: site };
  return {
    uid: id,
    name: id,
    type: type === 'policy' ? 'Policy' : type,
    type_id: type === 'policy' ? 5 : OTHER,
  };
}
