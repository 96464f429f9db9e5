import {
  type Concerned,
  type Halt,
  haltOf,
  type IncidentCause,
  type IncidentData,
} from '../../core/incident.ts';
import { lapseOf, lapseWords } from '../../core/peer.ts';
import { isRefusal, type Refusal, refuse } from '../../core/refusal.ts';
import type { Target } from '../../core/request.ts';
import { recordableText } from '../../core/scrub.ts';
import { canonicalText } from '../../formats/canonical-json.ts';
import { sha256Hex } from '../../formats/digest.ts';
import { decodeEntry, type EntryActor } from '../../formats/entry.ts';
import type { JsonObject } from '../../formats/json.ts';
import { type Batch, type EngineState, proofOf } from '../context.ts';
import { incidentKey, OPEN_INCIDENTS_MAX } from '../halts.ts';
import type { EngineCall, EngineReply } from '../protocol.ts';
import { type AfterCommit, problem, reply } from '../reply.ts';
import { countSiteAct, sitePolicy } from '../site-acts.ts';
import { type NamedActor, refused } from './lifecycle.ts';
import { callerData } from './peers.ts';

/** What comes in: from somebody of the roster, from an audience (the gateway), or from the daemon's own self-test. */
interface Report {
  actor?: NamedActor;
  audience?: string;
  cause?: IncidentCause;
  target?: Target | null;
  tool?: string;
  detail: string;
  evidence?: JsonObject;
}

/** What is known of an incident before it is recorded. */
export interface Observation {
  cause: IncidentCause;
  concerned: Concerned;
  detail: string;
  evidence: JsonObject;
  reporter: IncidentData['reporter'];
  actor: EntryActor;
}

/** An incident after it was noticed: its id, and whether it was open already. */
export interface Noticed {
  id: string;
  opened: boolean;
}

const DAEMON: EntryActor = { id: null, role: 'system' };

/**
 * `incidents.open`: something was done that no permit covers, or may have been. Who may say so → what that halts → one
 * `incident.opened` entry, unless the same is open already.
 */
export function openIncident(batch: Batch, call: EngineCall): AfterCommit {
  const report = JSON.parse(call.body ?? '{}') as Report;
  const observation = observationOf(batch, call, report);
  if (isRefusal(observation)) return refused(observation);
  const noticed = recordIncident(batch, observation, callerData(batch, call));
  if (isRefusal(noticed)) return refused(noticed);
  return (state) => incidentReply(state, noticed.id, { already_open: !noticed.opened });
}

function observationOf(batch: Batch, call: EngineCall, report: Report): Observation | Refusal {
  const { detail, evidence = {}, target = null, tool = null } = report;
  const unfit = checkNames(batch, [target?.type, target?.id, tool]);
  if (unfit !== null) return unfit;
  const seen = { concerned: { target, tool }, detail, evidence };
  if (call.peer.socket === 'internal')
    return { ...seen, cause: report.cause ?? 'canary_failed', reporter: 'daemon', actor: DAEMON };
  if (report.audience !== undefined) {
    const { audience } = report;
    // Only who holds the socket of audiences is one; elsewhere anybody could halt the site in a gateway's name.
    if (call.peer.socket !== 'redeem')
      return refuse('incident.not_reporter', 'Audiences report on redeem.sock. Nothing was recorded.');
    const foreign = batch.state.peers.audienceRefusal(call.peer, audience, batch);
    if (foreign !== null) return foreign;
    const cause = report.cause ?? 'gateway_report';
    return { ...seen, cause, reporter: 'audience', actor: { id: audience, role: 'audience' } };
  }
  const actor = reporterOf(batch, call, report);
  return isRefusal(actor) ? actor : { ...seen, cause: 'unpermitted_act', reporter: 'principal', actor };
}

/** What is halted is named in the record, word for word, so it cannot be withheld. */
function checkNames(batch: Batch, names: readonly (string | null | undefined)[]): Refusal | null {
  const secrets = sitePolicy(batch.state.policies)?.compiled.secrets;
  const fit = names.every((name) => typeof name !== 'string' || recordableText(name, secrets) === name);
  if (fit) return null;
  return refuse(
    'incident.malformed',
    'The target or tool looks like it holds a secret, so it cannot be written down. Nothing was recorded; name it otherwise, and say the rest in the detail.',
  );
}

/** Somebody whom the policy lets report: known, counting, with a role that it names, for a target within their scope. */
function reporterOf(batch: Batch, call: EngineCall, { actor, target = null }: Report): EntryActor | Refusal {
  const policy = sitePolicy(batch.state.policies);
  const principal = actor === undefined ? null : (policy?.roster.principal(actor.id) ?? null);
  const roles = policy?.compiled.bundle.incidents?.reporter_roles ?? [];
  const held = principal?.roles.filter((role) => roles.includes(role)) ?? [];
  const role = actor?.role ?? held[0];
  if (actor === undefined || principal === null || role === undefined || !held.includes(role)) {
    const who = roles.length === 0 ? 'nobody' : roles.join(', ');
    return refuse(
      'incident.not_reporter',
      `Incidents are reported by principals with a reporter role; the policy in force names ${who}. Nothing was recorded. Tell somebody who has one.`,
    );
  }
  const lapse = lapseOf(principal, batch.now, batch.trust);
  if (lapse !== null)
    return refuse('incident.not_reporter', `${lapseWords(actor.id, lapse, principal)} Nothing was recorded.`);
  const targets = principal.scope?.targets ?? [];
  if (targets.length > 0 && (target === null || !targets.includes(`${target.type}:${target.id}`))) {
    const words = `${actor.id} may report on ${targets.slice(0, 3).join(', ')} only. Nothing was recorded.`;
    return refuse('incident.not_reporter', words);
  }
  return batch.state.peers.nameRefusal(call.peer, actor.id, batch) ?? { id: actor.id, role };
}

/**
 * Records an incident and halts what it concerns at once, for the rest of this batch too. The same thing reported again
 * stays one incident; a flood of different ones ends in a halt of the site.
 */
export function recordIncident(
  batch: Batch,
  observation: Observation,
  more: JsonObject = {},
): Noticed | Refusal {
  const { halts, policies, random } = batch.state;
  const policy = sitePolicy(policies);
  const { cause, concerned, reporter, actor } = observation;
  const { secrets } = policy?.compiled ?? {};
  const full = halts.all().length >= OPEN_INCIDENTS_MAX;
  const halt: Halt = full ? { scope: 'site' } : haltOf(cause, concerned, policy?.compiled.bundle.incidents);
  const data: IncidentData = {
    cause,
    halt,
    detail: recordableText(observation.detail, secrets),
    evidence: scrubbed({ ...observation.evidence, ...besides(halt, concerned) }, secrets),
    reporter,
  };
  const known = halts.same(incidentKey(data));
  if (known !== null) return { id: known.id, opened: false };
  if (full && halts.covers(data.halt)) {
    return refuse(
      'incident.too_many',
      `${OPEN_INCIDENTS_MAX} incidents are open and the site is halted. Nothing more was recorded. Look into them: holdfast incident list.`,
    );
  }
  const id = `inc_${random.uuidv7(batch.now)}`;
  const { entry } = batch.record(id, 'incident.opened', actor, {
    ...(data as unknown as JsonObject),
    ...more,
  });
  halts.opened(entry);
  return { id, opened: true };
}

/** What an incident concerns, where its halt is wider and does not say so. */
function besides(halt: Halt, { target, tool }: Concerned): JsonObject {
  if (halt.scope !== 'site') return {};
  return {
    ...(target === null ? {} : { target: { id: target.id, type: target.type } }),
    ...(tool === null ? {} : { tool }),
  };
}

/** Evidence is ids and digests; whatever else was put there is looked through like any free text. */
function scrubbed(evidence: JsonObject, secrets: Parameters<typeof recordableText>[1]): JsonObject {
  return recordableText(canonicalText(evidence), secrets) === canonicalText(evidence)
    ? evidence
    : { withheld: true };
}

/**
 * `incidents.resume`: a person whom the policy names signs that what an incident halted may go on. The signature binds
 * the incident's own entry; what other incidents halt stays halted.
 */
export function resumeIncident(batch: Batch, call: EngineCall): AfterCommit {
  const { halts, policies } = batch.state;
  const id = call.args.id ?? '';
  const opened = openingOf(batch.state, id);
  if (isRefusal(opened)) return refused(opened);
  const incident = halts.get(id);
  if (incident === null) {
    const words = `Incident ${id} was cleared before. Nothing was changed.`;
    return refused(refuse('incident.not_open', words));
  }
  const counted = countSiteAct(batch, call.body, ['resume'], () => ({
    subject: id,
    digests: { incident: opened.digest },
    answers: ['resume'],
    roles: sitePolicy(policies)?.compiled.bundle.incidents?.resume_roles ?? [],
    reaches: {
      class: null,
      environment: null,
      target: incident.halt.scope === 'target' ? incident.halt.target : null,
    },
    uncertain_time: 'reject',
  }));
  if (isRefusal(counted)) return refused(counted);
  batch.record(id, 'incident.cleared', counted.actor, { ...counted.data, ...callerData(batch, call) });
  halts.cleared(id);
  return (state) => incidentReply(state, id, {});
}

/** `incidents.get`. */
export function getIncident(state: EngineState, call: EngineCall): EngineReply {
  const id = call.args.id ?? '';
  const opened = openingOf(state, id);
  return isRefusal(opened) ? problem(opened) : incidentReply(state, id, {});
}

/** `incidents.list`: open ones, oldest first; all of them on demand, by their ids. */
export function listIncidents(state: EngineState, call: EngineCall): EngineReply {
  const limit = Math.min(Number(call.args.limit ?? OPEN_INCIDENTS_MAX), OPEN_INCIDENTS_MAX);
  const { projections } = state;
  const rows =
    call.args.state === 'all'
      ? projections.standingPage('incident', call.args.after ?? '', limit)
      : projections.standingOpen('incident', limit);
  const incidents = rows.map(({ id }) => incidentOf(state, id));
  const next = call.args.state === 'all' && rows.length === limit ? (rows.at(-1)?.id ?? null) : null;
  return reply(200, { incidents, next });
}

function openingOf(state: EngineState, id: string): { digest: string } | Refusal {
  const row = state.projections.standing('incident', id);
  const bytes = row === null ? null : state.ledger.entry(row.first_idx);
  if (bytes !== null) return { digest: sha256Hex(bytes) };
  return refuse('incident.not_found', `There is no incident ${id} at this site.`);
}

function incidentReply(state: EngineState, id: string, extra: JsonObject): EngineReply {
  const incident = incidentOf(state, id);
  return reply(200, { ...incident, proof: proofOf(state, incident.record_id), ...extra });
}

/** An incident as its entries say. `digest` is what a resume signs. */
function incidentOf(state: EngineState, id: string) {
  const stream = state.ledger.stream(id);
  const entries = stream.map(({ index, bytes }) => ({ index, bytes, entry: decodeEntry(bytes) }));
  const first = entries[0];
  const newest = entries.at(-1);
  if (first === undefined || newest === undefined) throw new Error(`incidents: ${id} has no entries`);
  const { cause, halt, detail, evidence, reporter } = first.entry.data as unknown as IncidentData;
  const cleared = entries.find(({ entry }) => entry.type === 'incident.cleared')?.entry ?? null;
  return {
    incident_id: id,
    state: cleared === null ? 'open' : 'cleared',
    cause,
    halt,
    detail,
    evidence,
    reporter: { kind: reporter, ...first.entry.actor },
    opened_at: first.entry.at,
    digest: sha256Hex(first.bytes),
    record_id: newest.index,
    cleared:
      cleared === null
        ? null
        : {
            at: cleared.at,
            principal: cleared.actor.id,
            role: cleared.actor.role,
            reason: cleared.data.reason ?? null,
          },
  };
}
