import { type DecisionFacts, type Draft, draftDecision, isoTime } from '../../core/create.ts';
import { evaluateWithoutPolicy, scrubRequest } from '../../core/evaluate.ts';
import { foldDecision } from '../../core/fold.ts';
import { type StalePolicy, staleOf } from '../../core/freshness.ts';
import { assertTransition } from '../../core/lifecycle.ts';
import { normalizeRequest } from '../../core/normalize.ts';
import type { PeerFacts } from '../../core/peer.ts';
import { refuse } from '../../core/refusal.ts';
import type { DecisionRequest } from '../../core/request.ts';
import { redactPayload, type SealedValues } from '../../core/sensitive.ts';
import { failedCandidate, judgeCandidate, withCandidate } from '../../core/shadow-candidate.ts';
import type { SiteStop } from '../../core/site-stops.ts';
import { audienceOf } from '../../core/template.ts';
import type { RecordedBreakglass, Verdict } from '../../core/verdict.ts';
import { decodeEntry } from '../../formats/entry.ts';
import type { JsonObject } from '../../formats/json.ts';
import { noteBreakglass } from '../anomalies.ts';
import type { Batch } from '../context.ts';
import { diskFull } from '../disk-routine.ts';
import { sealEnvelope } from '../envelopes.ts';
import { firstReply } from '../first-reply.ts';
import { type FormerDecision, MEND } from '../former-logs.ts';
import type { EngineCall } from '../protocol.ts';
import { type AfterCommit, decisionReply, problem } from '../reply.ts';
import type { LoadedPolicy } from '../stored-bundles.ts';
import { checkPending, checkRate } from './limits.ts';

const PRODUCTION = 'production';

/**
 * `decisions.create`: one request becomes one recorded decision. Steps: same question asked before? → which policy → put
 * commitments in place of sensitive values → evaluate → take out what may not be recorded → one entry. The reply is
 * rendered after the commit.
 */
export function createDecision(batch: Batch, call: EngineCall): AfterCommit {
  const body = call.body ?? '{}';
  const request = normalizeRequest(JSON.parse(body) as JsonObject);
  const idempotency = idempotencyOf(batch, call.key, request, body);
  if (idempotency !== null) {
    const answered = batch.state.projections.answered(idempotency.key);
    if (answered !== null) return repeat(batch, answered, idempotency.request);
    const before = batch.state.former.answered(() => scopeOf(call.key, request));
    if (before !== null)
      return 'unreadable' in before ? perhapsFormer(before.unreadable) : ofFormerLog(before);
  }
  if (request.linked_to !== null && batch.state.projections.row(request.linked_to) === null) {
    const refusal = refuse(
      'decision.link_not_found',
      `linked_to names ${request.linked_to}, which this site never decided. Nothing was recorded.`,
    );
    return () => problem(refusal);
  }
  const decision_id = `dec_${batch.state.random.uuidv7(batch.now)}`;
  const policy = policyFor(batch, request.context.environment ?? PRODUCTION);
  const { redacted, sealed } = redact(batch, request, policy);
  const freshness = freshnessOf(batch, request);
  const anchoring = anchoringOf(batch, request);
  const peer = batch.state.peers.factsOf(call.peer);
  const breakglass = batch.state.breakglass.match(request, request.context.environment ?? PRODUCTION, batch);
  if (breakglass === undefined && batch.state.disk.level === 'critical') return () => problem(diskFull());
  const frequent = checkRate(batch, policy, request.context.actor.id);
  if (frequent !== null) return () => problem(frequent);
  const stops = stopsOf(batch, request, policy);
  const verdict = evaluate(batch, policy, request, {
    decision_id,
    redacted: redacted.action.payload,
    freshness,
    anchoring,
    peer,
    breakglass,
    stops,
  });
  const crowded = waits(verdict) ? checkPending(batch, policy, request.context.actor.id) : null;
  if (crowded !== null) return () => problem(crowded);
  const recordable = scrubRequest(redacted, verdict);
  const facts = factsOf(batch, decision_id, request, policy, idempotency);
  if (freshness !== undefined) facts.freshness = freshness;
  if (anchoring !== undefined) facts.anchoring = anchoring;
  if (breakglass !== undefined) facts.breakglass = breakglass;
  if (stops !== undefined) facts.stops = stops;
  if (peer !== undefined) facts.peer = batch.state.peers.recorded(peer, policy);
  const draft = besideShadow(batch, draftDecision(recordable, verdict, facts), { decision_id, recordable });
  assertTransition('create', draft.type, draft.transitions);
  const { actor } = recordable.context;
  const recorded = batch.recordFirst(decision_id, draft.type, actor, draft.data, draft.printed.text);
  if (sealed !== null && verdict.result !== 'deny') sealEnvelope(batch, decision_id, sealed);
  if (breakglass !== undefined) noteOverride(batch, policy, decision_id, verdict, request);
  return (state) => firstReply(state, recorded, draft.printed);
}

/** With what a bundle in shadow says of it, where there is one: a part of the record, and of nothing else. */
function besideShadow(
  batch: Batch,
  draft: Draft,
  { decision_id, recordable }: { decision_id: string; recordable: DecisionRequest },
): Draft {
  const environment = recordable.context.environment ?? PRODUCTION;
  const shadow = batch.state.policies.shadowFor(environment, recordable.action.class);
  if (shadow === undefined) return draft;
  const entry = {
    site: batch.state.site,
    stream: decision_id,
    at: isoTime(batch.now),
    time_trust: batch.trust,
    actor: recordable.context.actor,
    data: draft.data,
  };
  const { compiled, name, failure } = shadow;
  return withCandidate(
    draft,
    compiled === null ? failedCandidate(name, failure) : judgeCandidate(entry, compiled),
  );
}

/**
 * The policy that this site pins for the environment, or null, which denies. An environment that no policy has heard of
 * is judged by any of them: that denies too, and says why. A bundle that knows an environment which is not pinned here
 * is never used for it.
 */
function policyFor(batch: Batch, environment: string): LoadedPolicy | null {
  const { policies } = batch.state;
  if (policies.applied?.environments[environment] !== undefined) return policies.active(environment);
  const other = policies.anyActive();
  return other?.compiled.bundle.environments[environment] === undefined ? other : null;
}

/** How stale the environment's policy is, where that changes verdicts. */
function freshnessOf(batch: Batch, request: DecisionRequest): StalePolicy | undefined {
  return staleOf(batch.state.policies.age.step(request.context.environment ?? PRODUCTION));
}

/** How overdue anchors are by the environment's policy, where that changes verdicts. */
function anchoringOf(batch: Batch, request: DecisionRequest): StalePolicy | undefined {
  return staleOf(batch.state.policies.anchoring.step(request.context.environment ?? PRODUCTION));
}

/** What holds the action back whatever its policy says; nearly always nothing. */
function stopsOf(
  batch: Batch,
  { action, context }: DecisionRequest,
  policy: LoadedPolicy | null,
): SiteStop[] | undefined {
  const { halts, disk, suspended } = batch.state;
  if (!halts.any && disk.level === 'ok' && suspended.size === 0) return undefined;
  const stops: SiteStop[] = disk.level === 'ok' ? [] : [{ cause: 'disk' }];
  const actor = context.actor.id;
  if (actor !== null && suspended.has(actor)) stops.push({ cause: 'suspended', principal: actor });
  const tool = action.class === null ? undefined : policy?.compiled.bundle.actions[action.class]?.tool;
  const halted = halts.stopFor(action.target, tool ?? null);
  if (halted !== null) stops.push(halted);
  return stops.length === 0 ? undefined : stops;
}

function evaluate(
  batch: Batch,
  policy: LoadedPolicy | null,
  request: DecisionRequest,
  inputs: {
    decision_id: string;
    redacted: JsonObject;
    freshness: StalePolicy | undefined;
    anchoring: StalePolicy | undefined;
    peer: PeerFacts | undefined;
    breakglass: RecordedBreakglass | undefined;
    stops: readonly SiteStop[] | undefined;
  },
): Verdict {
  const { freshness, anchoring, peer, breakglass, stops } = inputs;
  const facts = {
    decision_id: inputs.decision_id,
    redacted: inputs.redacted,
    now_ms: batch.now,
    time_trust: batch.trust,
    ...(freshness === undefined ? {} : { freshness }),
    ...(anchoring === undefined ? {} : { anchoring }),
    ...(breakglass === undefined ? {} : { breakglass }),
    ...(stops === undefined ? {} : { stops }),
    ...(peer === undefined ? {} : { peer, site: batch.state.site }),
  };
  return policy === null ? evaluateWithoutPolicy(request, facts) : policy.compiled.evaluate(request, facts);
}

/** The request with salted commitments in place of sensitive values, and the values that they stand for. */
function redact(
  batch: Batch,
  request: DecisionRequest,
  policy: LoadedPolicy | null,
): { redacted: DecisionRequest; sealed: SealedValues | null } {
  const { action } = request;
  const rules = action.class === null ? undefined : policy?.compiled.bundle.actions[action.class];
  if (rules === undefined) return { redacted: request, sealed: null };
  const { payload, sealed } = redactPayload(action.payload, rules, () => batch.state.random.bytes(32));
  if (payload === action.payload) return { redacted: request, sealed: null };
  return { redacted: { ...request, action: { ...action, payload } }, sealed };
}

function factsOf(
  batch: Batch,
  decision_id: string,
  request: DecisionRequest,
  policy: LoadedPolicy | null,
  idempotency: DecisionFacts['idempotency'],
): DecisionFacts {
  const bundle = policy?.compiled.bundle;
  const tool = request.action.class === null ? undefined : bundle?.actions[request.action.class]?.tool;
  return {
    decision_id,
    now_ms: batch.now,
    profile: batch.state.profile,
    policy: policy === null ? null : { version: policy.compiled.version, digest: policy.compiled.digest },
    audience: audienceOf(tool === undefined ? undefined : bundle?.tools[tool]),
    tool: tool ?? null,
    idempotency,
  };
}

function waits({ result }: Verdict): boolean {
  return result === 'escalate' || result === 'queue';
}

/** What break-glass allowed is looked at afterwards, never held up. */
function noteOverride(
  batch: Batch,
  policy: LoadedPolicy | null,
  decision_id: string,
  { result, environment }: Verdict,
  { action }: DecisionRequest,
): void {
  if (policy === null || result !== 'allow') return;
  noteBreakglass(batch, policy, decision_id, { class: action.class ?? '', environment });
}

/** The key belongs to the actor; the request is remembered as a keyed digest, since a bare one would leak a PIN. */
function idempotencyOf(batch: Batch, key: string | null, request: DecisionRequest, body: string) {
  if (key === null) return null;
  const { sealer } = batch.state;
  return { key: sealer.mac(scopeOf(key, request)), request: sealer.mac(Buffer.from(body)) };
}

function scopeOf(key: string | null, request: DecisionRequest): Uint8Array {
  return Buffer.from(JSON.stringify([request.context.actor.id, key]));
}

/** Its action may have run before the site was lost: whoever repeats a request must not have it run again unknowingly. */
function ofFormerLog({ decision, origin, place }: FormerDecision): AfterCommit {
  const refusal = refuse(
    'idempotency.former_log',
    `This Idempotency-Key was used for ${decision} in the log ${origin}, which ended when this site was restored. Its permit is void, and whether its action ran is told there (${place}) or by the machine itself. Nothing was decided or recorded. If it is to run (again), ask with a new key.`,
  );
  return () => problem(refusal);
}

/** It may have been answered, and have run: nobody can tell, so it does not run again. */
function perhapsFormer(unreadable: readonly string[]): AfterCommit {
  const refusal = refuse(
    'idempotency.former_log',
    `Whether this Idempotency-Key was used before this site was restored cannot be told: ${unreadable.join(', ')} cannot be read. Nothing was decided or recorded. ${MEND}`,
  );
  return () => problem(refusal);
}

/** The first answer again: the decision as its first entry recorded it, whatever happened to it since. */
function repeat(batch: Batch, answered: { request: string; decision: string }, request: string): AfterCommit {
  if (answered.request !== request) {
    const refusal = refuse(
      'idempotency.mismatch',
      `This Idempotency-Key was used for another request (${answered.decision}). Use a new key for a new request.`,
    );
    return () => problem(refusal);
  }
  const first = batch.state.ledger.stream(answered.decision)[0];
  if (first === undefined) throw new Error(`create: ${answered.decision} has an answer and no entries`);
  const record = foldDecision([{ index: first.index, entry: decodeEntry(first.bytes) }]);
  return (state) => decisionReply(state, record);
}
