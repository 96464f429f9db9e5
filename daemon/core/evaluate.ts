import { BoundaryError } from '../formats/boundary-error.ts';
import type { TimeTrust } from '../formats/entry.ts';
import type { JsonObject } from '../formats/json.ts';
import { judgeAnchoring } from './anchoring.ts';
import { anyOf } from './authority.ts';
import { RequestBindings } from './bindings.ts';
import type { BundlePrincipal } from './bundle.ts';
import { checkCapabilities, checkPeer } from './check-peer.ts';
import type { Bindings } from './condition.ts';
import { durationMs } from './duration.ts';
import { judgeStale, type StalePolicy, withGroup } from './freshness.ts';
import { liftAuthority, liftGates, liftsOf, liftsTime, sparedWords, ttlUnder } from './lift.ts';
import {
  checkActor,
  checkAuditFields,
  checkLabels,
  checkPlace,
  checkSecrets,
  checkTarget,
  PRODUCTION,
} from './minimum.ts';
import { checkPayload } from './payload.ts';
import type { PeerFacts } from './peer.ts';
import type { DecisionRequest } from './request.ts';
import { scoreRisk } from './risk.ts';
import { requiredAuthority } from './routes.ts';
import {
  type ClassRules,
  DEFAULT_PENDING_TTL,
  DEFAULT_PERMIT_TTL,
  type GateRule,
  type Rules,
} from './rules.ts';
import { isRecordableName, withheldText } from './scrub.ts';
import { secretScanner } from './secrets.ts';
import { inShadow } from './shadow.ts';
import { judgeStops, type SiteStop } from './site-stops.ts';
import { deriveCall } from './template.ts';
import type { AuthorityGroup, GateResult, RecordedBreakglass, Verdict } from './verdict.ts';

export { scrubRequest } from './scrub.ts';

/** What evaluation may know beside request and policy. Pure input: the same facts give the same verdict, years later. */
export interface Facts {
  decision_id: string;
  now_ms: number;
  time_trust: TimeTrust;
  /**
   * The payload with commitments in place of sensitive values (`redactPayload`): the call is made from it. Demanded when
   * the class has sensitive fields; the request's own payload is judged, never put into a call.
   */
  redacted?: JsonObject;
  /** The request comes from the ledger: commitments stand for sensitive values that were judged when they came in. */
  replay?: boolean;
  /** How stale the policy is, where that matters (`freshness.ts`). Absent: not stale enough to change any verdict. */
  freshness?: StalePolicy;
  /** How overdue the site's anchors are, where that matters (`anchoring.ts`). Absent: not enough to change any verdict. */
  anchoring?: StalePolicy;
  /** The break-glass session that is open for this very request. Absent: none. */
  breakglass?: RecordedBreakglass;
  /** Why the site holds this action back whatever its policy says. Absent: for no reason. */
  stops?: readonly SiteStop[];
  /** Who asks over the socket, where identities are in use. Absent: the name in the request is all that is known. */
  peer?: PeerFacts;
  /** The site's name, where a shared bundle leaves it open. */
  site?: string;
}

/** The parts of a verdict that are known before the bundle's own gates run. */
interface Setting {
  environment: string;
  environment_assumed: boolean;
  pending_ttl_ms: number;
  permit_ttl_ms: number;
}

const NO_RISK: Verdict['risk'] = { band: null, score: null, reasons: [] };
const NO_AUTHORITY: Verdict['authority'] = { route: null, required: [] };

/**
 * Judges one request: audit minimum → identity, target, payload, labels, secrets → the bundle's gates → risk → authority
 * → the call → time. Deny by default: whatever cannot be computed fails. No value of a payload gets into the verdict,
 * except into the call of one that passed.
 */
export function evaluateRequest(rules: Rules, request: DecisionRequest, facts: Facts): Verdict {
  const name = request.action.class;
  const actionClass = name === null ? null : rules.classOf(name);
  const verdict = judge(rules, request, facts, actionClass);
  return actionClass?.definition.shadow === true ? inShadow(actionClass.name, verdict) : verdict;
}

function judge(
  rules: Rules,
  request: DecisionRequest,
  facts: Facts,
  actionClass: ClassRules | null,
): Verdict {
  const environment = request.context.environment ?? PRODUCTION;
  const principal = rules.principals.get(request.context.actor.id ?? '') ?? null;
  const setting = settingOf(request, actionClass, facts);
  const failed = checkMinimum(rules, request, facts, actionClass, principal, environment);
  if (actionClass === null || failed.length > 0) return denied(setting, failed);

  const applicable = rules.applicable(actionClass.name, environment);
  const bindings = new RequestBindings(request, actionClass, principal, environment, facts);
  const gates = runGates(applicable.gates, bindings);
  const { base_risk } = actionClass.definition;
  const risk = scoreRisk(base_risk, applicable.factors, rules.bundle.risk.bands, bindings);
  const routed = risk.band === null ? NO_AUTHORITY : requiredAuthority(applicable.routes, risk.band);
  if (routed === null) gates.push(noRoute(actionClass, environment, risk.band));
  const stale = facts.freshness === undefined ? null : judgeStale(rules.bundle, facts.freshness, risk.band);
  const overdue =
    facts.anchoring === undefined
      ? null
      : judgeAnchoring(rules.bundle, facts.anchoring, actionClass.name, risk.band);
  const routine = withDemands(routed, gates, [stale, overdue]);
  const call = resolveCall(rules, actionClass, request, environment, facts);
  if ('id' in call) gates.push(call);
  const time =
    facts.time_trust === 'uncertain' ? (actionClass.definition.time_uncertain ?? 'queue') : 'allow';
  if (time === 'deny') gates.push(doubtfulTime());
  const place = { class: actionClass.name, environment, target: request.action.target };
  if (facts.stops !== undefined) gates.push(...judgeStops(facts.stops));
  const lifts = liftsOf(rules.bundle, facts.breakglass, place);
  if (lifts !== null) liftGates(gates, lifts);
  const authority = lifts === null ? routine : liftAuthority(routine, lifts);
  if (authority === null || 'id' in call || gates.some(({ result }) => result === 'fail')) {
    return denied(setting, gates, risk);
  }
  const spared = lifts === null ? [] : sparedWords(gates, lifts, routine);
  const queued = time === 'queue' && !liftsTime(lifts);
  const { result, reasons } = conclude(gates, risk, authority.required, queued, spared.length > 0);
  return { ...setting, gates, risk, authority, call, result, reasons: [...spared, ...reasons] };
}

/** What a stale policy and overdue anchors demand: a gate of their own, or a group beside the routes. */
function withDemands(
  routed: Verdict['authority'] | null,
  gates: GateResult[],
  demands: readonly (AuthorityGroup | GateResult | null)[],
): Verdict['authority'] | null {
  let authority = routed;
  for (const demand of demands) {
    if (demand === null) continue;
    if ('group' in demand) authority = withGroup(authority, demand);
    else gates.push(demand);
  }
  return authority;
}

/** The verdict where no policy is in force: a denial that records as little as a denial under policy would. */
export function evaluateWithoutPolicy(request: DecisionRequest, facts: Facts): Verdict {
  const none: GateResult = {
    id: 'policy.active',
    result: 'fail',
    reason: 'No policy is in force here, so nothing is allowed. Import a signed policy update.',
  };
  const failed = [none, ...checkAuditFields(request), ...checkSecrets(request, null, builtInSecrets)];
  return denied(settingOf(request, null, facts), [...failed, ...unjudgedPayload(request)]);
}

const builtInSecrets = secretScanner();

function checkMinimum(
  rules: Rules,
  request: DecisionRequest,
  facts: Facts,
  actionClass: ClassRules | null,
  principal: BundlePrincipal | null,
  environment: string,
): GateResult[] {
  return [
    ...checkAuditFields(request),
    ...checkPeer(rules, request, facts),
    ...checkActor(principal, request, environment, facts),
    ...checkCapabilities(principal, actionClass),
    ...checkPlace(rules, request.action.class, actionClass, environment),
    ...(actionClass === null
      ? unjudgedPayload(request)
      : [
          ...checkTarget(request, actionClass),
          ...checkPayload(request.action.payload, actionClass.fields, facts.replay === true),
        ]),
    ...checkLabels(request.context.labels, rules.labels),
    ...checkSecrets(request, actionClass?.fields ?? null, rules.secrets),
  ];
}

/** Without a class nobody knows which fields are sensitive, so none is recorded. */
function unjudgedPayload({ action }: DecisionRequest): GateResult[] {
  if (Object.keys(action.payload).length === 0) return [];
  const reason =
    'Without a known action class no payload field is on an allowlist; nothing of the payload is recorded.';
  return [{ id: 'payload.allowlist', result: 'fail', reason, field: 'payload' }];
}

function settingOf(request: DecisionRequest, actionClass: ClassRules | null, facts: Facts): Setting {
  const { environment } = request.context;
  return {
    environment:
      environment === null || isRecordableName(environment)
        ? (environment ?? PRODUCTION)
        : withheldText('environment.unknown'),
    environment_assumed: environment === null,
    pending_ttl_ms: ttlUnder(actionClass?.pending_ttl_ms ?? durationMs(DEFAULT_PENDING_TTL), facts),
    permit_ttl_ms: ttlUnder(actionClass?.permit_ttl_ms ?? durationMs(DEFAULT_PERMIT_TTL), facts),
  };
}

/** A condition that cannot be computed has not passed; whether that may be excepted is not its to say. */
function runGates(rules: readonly GateRule[], bindings: Bindings): GateResult[] {
  return rules.map(({ condition, passed, otherwise }) => {
    const holds = condition.evaluate(bindings);
    if (holds === null) {
      return { id: passed.id, result: 'fail', reason: `The gate could not be computed. ${passed.reason}` };
    }
    return holds ? passed : otherwise;
  });
}

function noRoute({ name }: ClassRules, environment: string, band: string | null): GateResult {
  const reason = `The policy names no authority for ${name} in ${environment} at risk ${band}.`;
  return { id: 'authority.route', result: 'fail', reason };
}

function doubtfulTime(): GateResult {
  const reason = 'The clock cannot be believed, and the policy denies this action class while that is so.';
  return { id: 'time.uncertain', result: 'fail', reason };
}

function resolveCall(
  rules: Rules,
  actionClass: ClassRules,
  { action }: DecisionRequest,
  environment: string,
  facts: Facts,
): NonNullable<Verdict['call']> | GateResult {
  if (actionClass.has_sensitive && facts.redacted === undefined && facts.replay !== true) {
    throw new Error(
      `evaluate: ${actionClass.name} has sensitive fields; facts.redacted must hold the redacted payload`,
    );
  }
  const redacted = { class: action.class, target: action.target, payload: facts.redacted ?? action.payload };
  try {
    return deriveCall(rules.bundle, redacted, environment, facts.decision_id);
  } catch (error) {
    if (!(error instanceof BoundaryError)) throw error;
    return {
      id: error.code,
      result: 'fail',
      reason: error.message,
      ...(error.at === undefined ? {} : { field: error.at }),
    };
  }
}

function denied(setting: Setting, gates: GateResult[], risk = NO_RISK): Verdict {
  const reasons = gates.filter(({ result }) => result === 'fail').map(({ reason }) => reason);
  return { ...setting, gates, risk, authority: NO_AUTHORITY, call: null, result: 'deny', reasons };
}

/** No gate failed: queue what cannot be judged now, escalate what needs people, allow the rest. */
function conclude(
  gates: readonly GateResult[],
  risk: Verdict['risk'],
  required: readonly AuthorityGroup[],
  doubtful: boolean,
  spared: boolean,
): Pick<Verdict, 'result' | 'reasons'> {
  const queued: string[] = [];
  if (risk.score === null) queued.push(`The risk could not be computed. ${risk.reasons.join(' ')}`);
  if (doubtful)
    queued.push('The clock cannot be believed, so nothing is decided about this. Ask again when it can.');
  const exceptions = gates
    .filter(({ result }) => result === 'requires_exception')
    .map(({ reason, exception_role }) => `Needs an exception by ${exception_role}: ${reason}`);
  const approvals = required.map(
    ({ group, roles, min_signatures }) =>
      `Needs ${min_signatures} ${min_signatures > 1 ? 'approvals' : 'approval'} by ${anyOf(roles)} (${group}).`,
  );
  if (queued.length > 0) return { result: 'queue', reasons: [...queued, ...exceptions, ...approvals] };
  const because = risk.reasons.map((reason) => `Risk: ${reason}`);
  if (exceptions.length + approvals.length > 0) {
    return { result: 'escalate', reasons: [...exceptions, ...approvals, ...because] };
  }
  const passed = spared
    ? `Every other gate passed; the risk is ${risk.band} (${risk.score}).`
    : `Every gate passed; risk ${risk.band} (${risk.score}) needs no approval.`;
  return { result: 'allow', reasons: [passed, ...because] };
}
