import type { DecisionReply } from '../../api/client.ts';
import { anyOf } from '../../core/authority.ts';
import type { Decision, Login } from '../../core/decision.ts';
import type { CandidateRuling } from '../../core/shadow.ts';
import type { AuthorityGroup } from '../../core/verdict.ts';
import { inline, instant, moment, paint, plain, rows, type Style, span, table } from './text.ts';

/** The verdict in one word, loudest first thing on the screen. */
export function headline(decision: Decision): string {
  const [word, style] = verdictWord(decision);
  return `${paint(style, paint('bold', word))}  ${actionLine(decision)}`;
}

function verdictWord({ status, permit_state }: Decision): [string, Style] {
  if (permit_state === 'unknown') return ['OUTCOME UNKNOWN', 'yellow'];
  if (permit_state === 'failed') return ['FAILED', 'red'];
  switch (status) {
    case 'authorized':
      return permit_state === 'redeemed' ? ['RUNNING', 'yellow'] : ['ALLOWED', 'green'];
    case 'executed':
      return ['EXECUTED', 'green'];
    case 'reviewed':
      return ['REVIEWED', 'green'];
    case 'denied':
      return ['DENIED', 'red'];
    case 'expired':
      return ['EXPIRED', 'red'];
    case 'cancelled':
      return ['CANCELLED', 'red'];
    default:
      return ['WAITING', 'yellow'];
  }
}

/** `restart_service on service:relay-2 in production`. */
export function actionLine({ action, context }: Decision): string {
  const target = action.target === null ? '(no target)' : `${action.target.type}:${action.target.id}`;
  return plain(`${action.class ?? '(no class)'} on ${target} in ${context.environment}`);
}

/** One group in words: `2 × L3, L4 or L5 (peer)`. */
export function groupLine(group: AuthorityGroup): string {
  return `${group.min_signatures} × ${anyOf(group.roles.map(plain))} (${plain(group.group)})`;
}

/** One screen for people: verdict, why, what is needed and from whom, what to type next. */
export function renderDecision(decision: DecisionReply, permitFile?: string): string {
  const { permit, expires_at, outcome } = decision;
  return [
    headline(decision),
    rows([
      ['decision', decision.decision_id],
      ['why', whyLines(decision).map(plain).join('\n')],
      ['intent', decision.action.intent === null ? '' : plain(decision.action.intent)],
      ['asked by', actorLine(decision)],
      ['brought by', callerLine(decision)],
      ['risk', riskLine(decision)],
      ['needs', isWaiting(decision) ? needs(decision).join('\n') : ''],
      [isWaiting(decision) ? 'have' : 'answered', received(decision)],
      ['exceptions', exceptionLines(decision)],
      ['break-glass', decision.breakglass === undefined ? '' : `session ${decision.breakglass.id}`],
      ['in shadow', shadowLines(decision)],
      [isWaiting(decision) ? 'waits until' : '', isWaiting(decision) ? instant(expires_at) : ''],
      ['permit', permit === undefined ? '' : `${permit.id} for ${plain(permit.audience)}`],
      [
        permit === undefined ? '' : 'valid until',
        usable(decision) ? instant(permit?.expires_at ?? null) : '',
      ],
      ['permit file', permitFile ?? ''],
      ['outcome', outcome === null ? '' : outcomeLine(decision)],
      ['reviewed', reviewLines(decision)],
      ['recorded', `ledger entry ${decision.ledger.record_id}, ${decision.ledger.write_state}`],
      ['next', nextStep(decision)],
    ]),
  ].join('\n');
}

/** Reasons that no other row tells: risk and signatures have rows of their own. */
function whyLines({ risk, enforcement }: Decision): string[] {
  const risks = risk.reasons.map((reason) => `Risk: ${reason}`);
  return enforcement.reasons.filter((reason) => !risks.includes(reason) && !reason.startsWith('Needs '));
}

function isWaiting({ status }: Decision): boolean {
  return status === 'pending_authority' || status === 'evaluated' || status === 'draft';
}

function usable({ status, permit_state }: Decision): boolean {
  return status === 'authorized' && permit_state === 'issued';
}

/** Who asked, in which role. */
export function actorLine({ context: { actor } }: Decision): string {
  if (actor.id === null) return '(nobody named)';
  return plain(actor.role === null ? actor.id : `${actor.id} as ${actor.role}`);
}

/** Who really asked, where that is another one than the actor, or nobody. Empty where callers are not told apart. */
function callerLine({ peer, context }: Decision): string {
  if (peer === undefined || (peer.principal !== null && peer.principal === context.actor.id)) return '';
  if (peer.principal !== null) return plain(`${peer.principal}, by its ${shown(peer)}`);
  const what = shown(peer);
  return plain(what === '' ? 'nobody known' : `nobody known (${what} ${peer.spiffe_id ?? peer.uid ?? ''})`);
}

function shown({ spiffe_id, uid }: NonNullable<Decision['peer']>): string {
  if (spiffe_id !== undefined) return 'certificate';
  return uid === undefined ? '' : 'local user';
}

function riskLine({ risk }: Decision): string {
  if (risk.band === null) return '';
  return [`${risk.band}, ${risk.score ?? 'not computed'}`, ...risk.reasons].map(plain).join('\n');
}

function needs(decision: Decision): string[] {
  const { allow_if } = decision.enforcement;
  return allow_if.length > 0 ? allow_if.map(plain) : decision.authority.required.map(groupLine);
}

function received({ authority }: Decision): string {
  return authority.received
    .map(({ principal, role, answer, at, counts, login }) => {
      const lapsed = counts === false ? ' (counts no longer: key or person suspended or revoked)' : '';
      const given = plain(`${answer} by ${principal} as ${role}, ${moment(at)}${lapsed}`);
      return login === undefined ? given : `${given}\n  ${loginWords(login)}`;
    })
    .join('\n');
}

function loginWords({ issuer, subject, auth_time, amr }: Login): string {
  const when = auth_time === null ? '' : `, ${moment(auth_time)}`;
  const how = amr.length === 0 ? '' : `, by ${amr.join(', ')}`;
  return plain(`logged in at ${issuer} as ${subject}${when}${how}`);
}

/** What was judged beside it and not enforced. */
function shadowLines({ shadow }: Decision): string {
  const lines: string[] = [];
  if (shadow?.class !== undefined) lines.push(`its class; without that: ${shadow.class.result}`);
  const { candidate } = shadow ?? {};
  if (candidate !== undefined)
    lines.push(
      `${candidate.policy.version}: ${'failed' in candidate ? `could not judge (${candidate.failed})` : candidateWords(candidate)}`,
    );
  return lines.map(plain).join('\n');
}

/** `deny, high 0.8; fails no-wipe`. */
function candidateWords({ result, band, score, gates, authority, dropped }: CandidateRuling): string {
  const groups = authority?.required ?? [];
  const parts = [
    band === null ? result : `${result}, ${band} ${score ?? '(not computed)'}`,
    ...(gates === undefined || gates.added.length === 0 ? [] : [`fails ${gates.added.join(', ')}`]),
    ...(gates === undefined || gates.gone.length === 0 ? [] : [`does not fail ${gates.gone.join(', ')}`]),
    ...(authority === undefined
      ? []
      : [groups.length === 0 ? 'needs nobody' : `needs ${groups.map(groupLine).join(' and ')}`]),
    ...(dropped === undefined ? [] : [`${dropped.gates} gates and ${dropped.groups} groups differ`]),
  ];
  return parts.join('; ');
}

function reviewLines({ reviews }: Decision): string {
  return reviews
    .map(({ principal, note, at }) => plain(`by ${principal}, ${moment(at)}: ${note}`))
    .join('\n');
}

function exceptionLines({ policy }: Decision): string {
  return policy.exceptions
    .map(({ gate, principal, reason, at, expires_at, counts }) =>
      plain(
        `${gate} by ${principal}, ${moment(at)}, until ${moment(expires_at)}${counts === false ? ' (counts no longer)' : ''}: ${reason}`,
      ),
    )
    .join('\n');
}

function outcomeLine({ outcome }: Decision): string {
  const detail = outcome?.detail;
  const result = String(outcome?.result);
  if (detail === null || typeof detail !== 'object' || Array.isArray(detail)) return plain(result);
  const facts = [
    typeof detail.exit_code === 'number' ? `exit code ${detail.exit_code}` : '',
    typeof detail.signal === 'string' ? `signal ${detail.signal}` : '',
    typeof detail.http_status === 'number' ? `HTTP ${detail.http_status}` : '',
    typeof detail.duration_ms === 'number' ? span(detail.duration_ms) : '',
    typeof detail.reason === 'string' ? reasonLine(detail.reason) : '',
  ].filter((fact) => fact !== '');
  return plain(facts.length === 0 ? result : `${result}: ${facts.join(', ')}`);
}

/** The gateway's reasons are codes with a detail; the commonest one in words. */
function reasonLine(reason: string): string {
  const notStarted = /^not_started(?:: (.*))?$/.exec(reason);
  if (notStarted === null) return reason;
  const missing = notStarted[1] === 'ENOENT' ? ' (there is no such program)' : '';
  return `the tool could not be started${missing}: ${notStarted[1] ?? 'unknown cause'}`;
}

function nextStep(decision: Decision): string {
  const id = decision.decision_id;
  if (decision.permit_state === 'unknown') {
    return `find out what happened, then: holdfast decision reconcile ${id} --result succeeded|failed --note TEXT --key KEY`;
  }
  if (isWaiting(decision)) {
    const { allow_if } = decision.enforcement;
    const sign = `holdfast approvals sign ${id} --key KEY`;
    const exceptions = allow_if.filter((wanted) => wanted.startsWith('exception ')).length;
    if (exceptions === 0) return sign;
    return exceptions === allow_if.length ? `${sign} --exception` : `${sign}\n${sign} --exception`;
  }
  if (usable(decision)) {
    // Only who asked may run it, and who reads this is often somebody else.
    const { actor } = decision.context;
    return `holdfast exec --decision ${id}${actor.id === null ? '' : ` --actor ${plain(actor.id)}`}`;
  }
  if (decision.status === 'executed') return `holdfast decision review ${id} --note TEXT`;
  return decision.status === 'denied' ? `holdfast decision explain ${id}` : '';
}

/** Everything that led to the verdict: each gate, each risk reason, the route and who answered. */
export function renderExplanation(decision: DecisionReply): string {
  const { policy, authority, enforcement, risk } = decision;
  const gates = policy.gates.map((gate) => [
    gate.result === 'pass' ? 'pass' : paint(gate.result === 'fail' ? 'red' : 'yellow', gate.result),
    plain(gate.id + (gate.field === undefined ? '' : ` (${gate.field})`)),
    plain(gate.reason ?? ''),
  ]);
  return [
    headline(decision),
    rows([
      ['decision', decision.decision_id],
      ['policy', `${decision.policy_version ?? 'none'} ${decision.policy_digest ?? ''}`.trim()],
      ['action', decision.action_digest],
      ['payload', inline(decision.action.payload)],
      ['linked to', decision.linked_to ?? ''],
      ['time', `${decision.timestamps.created_at}, clock ${decision.time_trust}`],
    ]),
    '',
    paint('bold', 'Gates'),
    gates.length === 0 ? '  none applied' : indent(table(['result', 'gate', 'reason'], gates)),
    '',
    paint('bold', 'Risk'),
    `  ${risk.band ?? 'not computed'}${risk.score === null ? '' : `, score ${risk.score}`}`,
    ...risk.reasons.map((reason) => `  - ${plain(reason)}`),
    '',
    paint('bold', 'Authority'),
    ...(authority.required.length === 0
      ? ['  no approval required']
      : authority.required.map((g) => `  ${groupLine(g)}`)),
    ...[exceptionLines(decision), received(decision)].filter((text) => text !== '').map(indent),
    '',
    paint('bold', 'Result'),
    `  ${enforcement.result}; without all of this the answer is ${enforcement.default}`,
    ...whyLines(decision).map((reason) => `  - ${plain(reason)}`),
    ...enforcement.allow_if.map((condition) => `  - allowed if: ${plain(condition)}`),
    ...(decision.reviews.length === 0 ? [] : ['', paint('bold', 'Reviews'), indent(reviewLines(decision))]),
  ].join('\n');
}

function indent(text: string): string {
  return text.replace(/^/gm, '  ');
}

/** A list of decisions, one line each, in the order given. */
export function renderDecisions(decisions: readonly Decision[]): string {
  if (decisions.length === 0) return 'No decisions.';
  return table(
    ['decision', 'status', 'action', 'asked by', 'when'],
    decisions.map((decision) => [
      decision.decision_id,
      decision.status,
      actionLine(decision),
      actorLine(decision),
      moment(decision.timestamps.created_at),
    ]),
  );
}
