import type { ActionBody, DecisionReply } from '../../daemon/api/client.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import type { ResolvedCall } from '../../daemon/formats/permit.ts';
import { must, type Narrator } from './narrator.ts';
import type { Acted, Ran } from './stage.ts';

export const AGENT = { id: 'agent:ops-1', role: 'agent' };

type NewAction = Extract<ActionBody, { action: unknown }>;

/** A request of the site's agent for production. `target` is TYPE:ID. */
export function ask(
  actionClass: string,
  target: string,
  intent: string,
  payload: JsonObject = {},
): NewAction {
  const [type = '', id = ''] = target.split(':');
  return {
    action: { class: actionClass, intent, target: { type, id }, payload },
    context: {
      actor: AGENT,
      environment: 'production',
      request_source: 'demo',
      trace: { correlation_id: 'demo', parent_id: null },
    },
  };
}

/** The same decision again, by the one who asked for it. */
export function later(decisionId: string): ActionBody {
  return { decision_id: decisionId, context: { actor: AGENT } };
}

/** The action waits; says for whom. */
export function mustWait(tell: Narrator, acted: Acted): DecisionReply {
  const { decision, ms } = acted;
  must(
    decision?.status === 'pending_authority' && acted.outcome === null,
    'the action should wait for authority',
  );
  tell.good('WAITING', decision.enforcement.allow_if.join('; '), ms);
  return decision;
}

/** The action ran and succeeded; says what it printed. */
export function mustRun(
  tell: Narrator,
  acted: Acted,
): DecisionReply & { permit: NonNullable<DecisionReply['permit']> } {
  const { decision, outcome, output, ms, problem } = acted;
  must(
    outcome?.result === 'succeeded',
    `the action should run and succeed: ${problem?.detail ?? JSON.stringify(outcome)} ${output?.stderr ?? ''}`,
  );
  const permit = decision?.permit;
  must(
    decision?.status === 'executed' && permit !== undefined,
    'the decision should be executed and keep its permit',
  );
  tell.good('ALLOWED', decision.enforcement.reasons[0] ?? '', ms);
  tell.line('permit', `${permit.id}: verified by the gateway, redeemed, used`);
  tell.line('ran', commandOf(permit.call));
  for (const line of output?.stdout.trim().split('\n') ?? []) tell.line('', `│ ${line}`);
  return { ...decision, permit };
}

/** The engine said no, and that is recorded; nothing ran. */
export function mustBeDenied(tell: Narrator, acted: Acted, gate: string): DecisionReply {
  const { decision, outcome, ms } = acted;
  must(decision?.status === 'denied' && outcome === null, 'the action should be denied');
  const failed = decision.policy.gates.find(({ id, result }) => id === gate && result === 'fail');
  must(
    failed !== undefined,
    `gate ${gate} should have failed, but: ${JSON.stringify(decision.policy.gates)}`,
  );
  tell.good('DENIED', decision.enforcement.reasons[0] ?? '', ms);
  tell.line('gate', failed.field === undefined ? failed.id : `${failed.id}, field ${failed.field}`);
  return decision;
}

/** Whoever was asked refused with this code; nothing ran. */
export function mustBeRefused(
  tell: Narrator,
  problem: { code: string; detail: string } | null,
  codes: string | string[],
  ms: number,
): void {
  const refused = problem !== null && [codes].flat().includes(problem.code);
  must(refused, `should be refused with ${codes}, but: ${JSON.stringify(problem)}`);
  tell.good('REFUSED', `${problem.detail} [${problem.code}]`, ms);
}

/** A person signed with their own key; says what the decision is waiting for now. */
export function mustSign(
  tell: Narrator,
  person: string,
  ran: Ran & { decision: DecisionReply | null },
): DecisionReply {
  must(ran.decision !== null, `${person}'s signature should be accepted: ${ran.stderr}`);
  const { allow_if } = ran.decision.enforcement;
  const still = ran.decision.authority.satisfied ? 'authority is complete' : `still: ${allow_if.join('; ')}`;
  tell.line(person, `signed (holdfast approvals sign … --key people/${person}); ${still}`, ran.ms);
  return ran.decision;
}

/** What ran, with the long directories of this machine left out. */
function commandOf(call: ResolvedCall): string {
  if (call.connector === 'http')
    return `${call.method} ${call.path} at ${call.address.replace(/.*\/things\//, 'unix:things/')}`;
  const short = call.argv.map((word) =>
    word.replace(/^.*\/(things|demo\/tools)\//, '$1/').replace(process.execPath, 'node'),
  );
  return short.join(' ');
}
