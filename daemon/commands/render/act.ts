import type { DecisionReply } from '../../api/client.ts';
import type { SignedAct } from '../../formats/signed-act.ts';
import type { Signer } from '../signer-role.ts';
import { inline, moment, paint, plain, rows, span } from './text.ts';

const VERBS: Record<string, string> = {
  approve: 'APPROVE',
  reject: 'REJECT',
  reviewed: 'have REVIEWED',
  succeeded: 'state that it SUCCEEDED',
  failed: 'state that it FAILED',
};

/** What a signature will say, in words, before it is made: everything that the signed bytes bind. */
export function renderAct(act: SignedAct, decision: DecisionReply, signer: Signer): string {
  const { action, context, risk } = decision;
  const target = action.target === null ? '(no target)' : `${action.target.type}:${action.target.id}`;
  const what =
    act.kind === 'exception'
      ? `${act.answer === 'approve' ? 'GRANT' : 'REFUSE'} an exception for`
      : (VERBS[act.answer] ?? act.answer);
  return [
    paint('bold', `You sign that you, as ${plain(act.role)}, ${what}:`),
    rows([
      ['action', plain(action.class ?? '(no class)')],
      ['on', plain(target)],
      ['in', plain(context.environment)],
      ['payload', inline(action.payload)],
      ['intent', plain(action.intent ?? '')],
      ['asked by', plain(context.actor.id ?? '(nobody named)')],
      ['risk', plain([risk.band ?? 'not computed', ...risk.reasons].join('; '))],
      ['exceptions', act.kind === 'exception' ? exceptions(decision) : ''],
      ['because', plain(act.reason)],
    ]),
    paint('dim', '  bound by your signature:'),
    rows([
      ['site', plain(act.site)],
      ['decision', act.subject],
      ['action digest', act.subject_digest.action ?? ''],
      ['policy', plain(`${decision.policy_version ?? 'none'} ${act.subject_digest.policy ?? ''}`)],
      [
        'key',
        `${signer.fingerprint ?? 'told after signing'}${signer.principal === null ? '' : plain(` of ${signer.principal}`)}`,
      ],
      ['valid', `${span(act.ttl_seconds * 1000)} from ${moment(act.issued_at)}`],
      ['nonce', act.nonce],
    ]),
  ].join('\n');
}

function exceptions({ policy }: DecisionReply): string {
  return policy.gates
    .filter((gate) => gate.result === 'requires_exception')
    .map((gate) => plain(`${gate.id}: ${gate.reason}`))
    .join('\n');
}
