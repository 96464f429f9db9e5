import { Type } from 'typebox';
import type { Problem } from '../engine/protocol.ts';
import { ANCHOR_METHODS } from './anchor-methods.ts';
import { ANOMALY_METHODS } from './anomaly-methods.ts';
import { BACKUP_METHODS } from './backup-methods.ts';
import { BREAKGLASS_METHODS } from './breakglass-methods.ts';
import { COSIGNATURE_METHODS } from './cosignature-methods.ts';
import { ENVELOPE_METHODS } from './envelope-methods.ts';
import { EVIDENCE_METHODS } from './evidence-methods.ts';
import { INCIDENT_METHODS } from './incident-methods.ts';
import { KEY_METHODS } from './key-methods.ts';
import type { Method, SocketKind } from './method.ts';
import { OUTBOX_METHODS } from './outbox-methods.ts';
import { HELD_METHODS } from './policy-methods.ts';
import { problem } from './problem.ts';
import { READING_METHODS } from './reading-methods.ts';
import * as reply from './replies.ts';
import { RETENTION_METHODS } from './retention-methods.ts';
import * as schema from './schemas.ts';

export type * from './method.ts';

const closed = { additionalProperties: false } as const;
const byId = Type.Object({ id: schema.DecisionId }, closed);
const byPermit = Type.Object({ id: schema.PermitId }, closed);
const wait = { wait: Type.Optional(schema.Wait) };

const DAEMON = ['request', 'redeem', 'operator'] as const;
const EVERYWHERE = ['request', 'redeem', 'operator', 'gateway'] as const;
const OPERATOR = ['operator'] as const;

/**
 * Everything that can be asked of any socket. What is not in this table does not exist: routes, checks, the stream's
 * methods and the OpenAPI document all come from it.
 */
export const METHODS: readonly Method[] = [
  {
    name: 'decisions.create',
    kind: 'engine',
    summary:
      'Ask for a decision. 200 when decided, 202 while it waits for authority; a permit comes with it when allowed.',
    sockets: DAEMON,
    http: { verb: 'POST', path: '/v1/decisions' },
    query: Type.Object(wait, closed),
    body: schema.CreateBody,
    reply: reply.Decision,
    waits: true,
    keyed: true,
  },
  {
    name: 'decisions.list',
    kind: 'engine',
    summary: 'Decisions, newest first.',
    sockets: OPERATOR,
    http: { verb: 'GET', path: '/v1/decisions' },
    query: Type.Object(
      {
        status: Type.Optional(reply.Status),
        after: Type.Optional(schema.DecisionId),
        limit: Type.Optional(schema.Limit),
      },
      closed,
    ),
    reply: reply.DecisionList,
  },
  {
    name: 'decisions.get',
    kind: 'engine',
    summary: 'One decision as it stands.',
    sockets: DAEMON,
    http: { verb: 'GET', path: '/v1/decisions/{id}' },
    path: byId,
    query: Type.Object({ ...wait, read: Type.Optional(schema.Read) }, closed),
    reply: reply.Decision,
    waits: true,
  },
  {
    name: 'decisions.entries',
    kind: 'engine',
    summary: 'Every entry about one decision, each with its inclusion proof, under one checkpoint.',
    sockets: OPERATOR,
    http: { verb: 'GET', path: '/v1/decisions/{id}/entries' },
    path: byId,
    query: Type.Object({ read: Type.Optional(schema.Read) }, closed),
    reply: reply.ProvenEntries,
  },
  {
    name: 'decisions.replay',
    kind: 'engine',
    summary:
      'Judge a recorded decision again under the bundle that it is pinned to; what differs, if anything.',
    sockets: OPERATOR,
    http: { verb: 'GET', path: '/v1/decisions/{id}/replay' },
    path: byId,
    reply: reply.Anything,
  },
  {
    name: 'decisions.approve',
    kind: 'engine',
    summary:
      'Submit a signed approval, rejection or exception. It counts by its signature, whoever carries it.',
    sockets: ['request', 'operator'],
    http: { verb: 'POST', path: '/v1/decisions/{id}/approvals' },
    path: byId,
    body: schema.ApproveBody,
    reply: reply.Decision,
  },
  {
    name: 'decisions.cancel',
    kind: 'engine',
    summary: 'Withdraw a decision that was not executed.',
    sockets: ['request', 'operator'],
    http: { verb: 'POST', path: '/v1/decisions/{id}/cancel' },
    path: byId,
    body: schema.CancelBody,
    reply: reply.Decision,
  },
  {
    name: 'decisions.review',
    kind: 'engine',
    summary: 'Record that people looked at what was done.',
    sockets: OPERATOR,
    http: { verb: 'POST', path: '/v1/decisions/{id}/review' },
    path: byId,
    body: schema.ReviewBody,
    reply: reply.Decision,
  },
  {
    name: 'decisions.reconcile',
    kind: 'engine',
    summary: 'Close an execution whose outcome is unknown, by a signed statement of what happened.',
    sockets: OPERATOR,
    http: { verb: 'POST', path: '/v1/decisions/{id}/reconcile' },
    path: byId,
    body: schema.SignedActBody,
    reply: reply.Decision,
  },
  {
    name: 'permits.open',
    kind: 'engine',
    summary: 'Permits that an audience has redeemed and not yet reported on.',
    sockets: ['redeem', 'operator'],
    http: { verb: 'GET', path: '/v1/permits' },
    query: Type.Object({ audience: schema.Audience, state: Type.Literal('redeemed') }, closed),
    reply: reply.OpenPermits,
  },
  {
    name: 'permits.redeem',
    kind: 'engine',
    summary: 'Consume a permit, once, before acting on it.',
    sockets: ['redeem'],
    http: { verb: 'POST', path: '/v1/permits/{id}/redeem' },
    path: byPermit,
    body: schema.RedeemBody,
    reply: reply.Redeemed,
  },
  {
    name: 'permits.outcome',
    kind: 'engine',
    summary: 'Report what happened under a redeemed permit.',
    sockets: ['redeem'],
    http: { verb: 'POST', path: '/v1/permits/{id}/outcome' },
    path: byPermit,
    body: schema.OutcomeBody,
    reply: reply.Decision,
  },
  ...INCIDENT_METHODS,
  ...ENVELOPE_METHODS,
  ...KEY_METHODS,
  ...ANOMALY_METHODS,
  ...BREAKGLASS_METHODS,
  ...HELD_METHODS,
  ...OUTBOX_METHODS,
  ...EVIDENCE_METHODS,
  ...ANCHOR_METHODS,
  ...BACKUP_METHODS,
  ...COSIGNATURE_METHODS,
  ...READING_METHODS,
  ...RETENTION_METHODS,
  {
    name: 'policy.get',
    kind: 'engine',
    summary: 'The policy in force.',
    sockets: OPERATOR,
    http: { verb: 'GET', path: '/v1/policy' },
    reply: reply.Anything,
  },
  {
    name: 'policy.history',
    kind: 'engine',
    summary: 'Entries about policy: applied, refused, degraded; the newest of them, oldest first.',
    sockets: OPERATOR,
    http: { verb: 'GET', path: '/v1/policy/history' },
    query: Type.Object({ limit: Type.Optional(schema.Limit) }, closed),
    reply: reply.Anything,
  },
  {
    name: 'policy.update',
    kind: 'host',
    summary:
      'The signed repository files under which a bundle was authorized (default: the newest), for an environment if one is named; to be verified by the reader.',
    sockets: ['redeem', 'operator'],
    http: { verb: 'GET', path: '/v1/policy/update' },
    query: Type.Object(
      { digest: Type.Optional(schema.Digest), environment: Type.Optional(schema.Environment) },
      closed,
    ),
    reply: reply.PolicyUpdate,
  },
  {
    name: 'policy.import',
    kind: 'host',
    summary: 'Verify and apply a policy repository from a directory that the daemon can read.',
    sockets: OPERATOR,
    http: { verb: 'POST', path: '/v1/policy/import' },
    body: schema.ImportBody,
    reply: reply.Anything,
  },
  {
    name: 'peers.identify',
    kind: 'host',
    summary:
      "Whether somebody who called an audience's own socket may do so there, in the name of an actor if one is given.",
    sockets: ['redeem'],
    http: { verb: 'POST', path: '/v1/peers/identify' },
    body: schema.IdentifyBody,
    reply: reply.Identified,
  },
  {
    name: 'tls.renew',
    kind: 'host',
    summary: 'A new certificate for whoever shows one, for the key of a certificate request (PKCS #10).',
    sockets: DAEMON,
    http: { verb: 'POST', path: '/v1/tls/renew' },
    body: schema.RenewBody,
    reply: reply.Renewed,
  },
  {
    name: 'time.get',
    kind: 'engine',
    summary: 'How far the clock can be believed and why, with a challenge for whoever states the time.',
    sockets: OPERATOR,
    http: { verb: 'GET', path: '/v1/time' },
    reply: reply.Anything,
  },
  {
    name: 'time.state',
    kind: 'engine',
    summary: 'Submit a signed statement of the time. It counts by its signature and its challenge.',
    sockets: OPERATOR,
    http: { verb: 'POST', path: '/v1/time/statements' },
    body: schema.SignedActBody,
    reply: reply.Anything,
  },
  {
    name: 'status.get',
    kind: 'host',
    summary: 'What is degraded, since when, and what to do about it.',
    sockets: ['operator', 'gateway'],
    http: { verb: 'GET', path: '/v1/status' },
    reply: reply.Anything,
  },
  {
    name: 'health.get',
    kind: 'own',
    summary: 'Liveness: the process answers.',
    sockets: EVERYWHERE,
    http: { verb: 'GET', path: '/v1/health' },
    reply: reply.Healthy,
  },
  {
    name: 'ready.get',
    kind: 'host',
    summary: 'Would it allow anything right now? 200, or 503 with the reason.',
    sockets: EVERYWHERE,
    http: { verb: 'GET', path: '/v1/ready' },
    reply: reply.Ready,
  },
  {
    name: 'metrics.get',
    kind: 'own',
    summary: 'Prometheus text format.',
    sockets: ['operator', 'gateway'],
    http: { verb: 'GET', path: '/metrics' },
    reply: 'text',
  },
  {
    name: 'openapi.get',
    kind: 'own',
    summary: 'This description, as far as the socket offers it.',
    sockets: EVERYWHERE,
    http: { verb: 'GET', path: '/v1/openapi.json' },
    reply: reply.Anything,
  },
  {
    name: 'actions.execute',
    kind: 'host',
    summary:
      'Decide, redeem, act, report. 200 when the tool ran, 202 while the decision waits for authority.',
    sockets: ['gateway'],
    http: { verb: 'POST', path: '/v1/actions' },
    body: schema.ActionBody,
    reply: reply.Executed,
    keyed: true,
  },
  {
    name: 'subscribe',
    kind: 'stream',
    summary: 'Entries in ledger order from an index on, without gaps.',
    sockets: OPERATOR,
    http: null,
    body: schema.SubscribeBody,
    reply: reply.Subscribed,
  },
  {
    name: 'unsubscribe',
    kind: 'stream',
    summary: 'End a subscription.',
    sockets: OPERATOR,
    http: null,
    body: schema.UnsubscribeBody,
    reply: reply.Subscribed,
  },
];

/** The path of the WebSocket stream on the daemon's sockets. */
export const STREAM_PATH = '/v1/stream';

/** The rows that exist on one kind of socket. */
export function methodsOf(socket: SocketKind): Method[] {
  return METHODS.filter((method) => method.sockets.includes(socket));
}

/** Why a method does not exist on a socket: offered elsewhere, or nowhere. */
export function elsewhere(name: string, socket: SocketKind): Problem {
  const row = METHODS.find((method) => method.name === name);
  if (row === undefined) {
    return problem(
      'method.unknown',
      'there is no such method; see /v1/openapi.json for what this socket offers',
    );
  }
  const where = row.sockets.map((kind) => `${kind}.sock`).join(', ');
  const detail = `${row.name} is not offered on ${socket}.sock, but on ${where}; nothing was done`;
  return problem('method.not_on_this_socket', detail);
}
