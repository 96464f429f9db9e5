import type { Decision } from '../../core/decision.ts';
import { gateDigest } from '../../core/exception.ts';
import type { SignedAct } from '../../formats/signed-act.ts';
import type { Signer } from '../signer-role.ts';
import { fitted, folded, inline, moment, paint, plain, span } from './text.ts';

const VERBS: Record<string, string> = {
  approve: 'APPROVE',
  reject: 'REJECT',
  reviewed: 'have REVIEWED',
  succeeded: 'state that it SUCCEEDED',
  failed: 'state that it FAILED',
};

/** What a signature will say, in words, before it is made: everything that the signed bytes bind. */
export function renderAct(act: SignedAct, decision: Decision, signer: Signer): string {
  const { action, context, risk } = decision;
  const target = action.target === null ? '(no target)' : `${action.target.type}:${action.target.id}`;
  return [
    statement(act),
    fitted([
      ['action', plain(action.class ?? '(no class)')],
      ['on', plain(target)],
      ['in', plain(context.environment)],
      ['payload', inline(action.payload)],
      ['intent', plain(action.intent ?? '')],
      ['asked by', plain(context.actor.id ?? '(nobody named)')],
      ['risk', plain([risk.band ?? 'not computed', ...risk.reasons].join('; '))],
      ['exception', act.kind === 'exception' ? exceptions(act, decision) : ''],
      ['because', plain(act.reason)],
    ]),
    renderBound(act, decision, signer),
  ].join('\n');
}

/** The same where the decision stands on the screen already: only what the signature says about it. */
export function renderStatement(act: SignedAct, decision: Decision, signer: Signer): string {
  const about = fitted([
    ['exception', act.kind === 'exception' ? exceptions(act, decision) : ''],
    ['because', plain(act.reason)],
  ]);
  return [statement(act), ...(about === '' ? [] : [about]), renderBound(act, decision, signer)].join('\n');
}

function statement(act: SignedAct): string {
  const what =
    act.kind === 'exception'
      ? `${act.answer === 'approve' ? 'GRANT' : 'REFUSE'} an exception for`
      : (VERBS[act.answer] ?? act.answer);
  return paint('bold', folded(`You sign that you, as ${plain(act.role)}, ${what}:`));
}

function renderBound(act: SignedAct, decision: Decision, signer: Signer): string {
  const owner = signer.principal === null ? '' : plain(` of ${signer.principal}`);
  return [
    paint('dim', '  bound by your signature:'),
    fitted([
      ['site', plain(act.site)],
      ['decision', act.subject],
      ['action', act.subject_digest.action ?? ''],
      ['policy', plain(`${decision.policy_version ?? 'none'} ${act.subject_digest.policy ?? ''}`)],
      ['key', `${signer.fingerprint ?? 'told after signing'}${owner}`],
      ['valid', `${span(act.ttl_seconds * 1000)} from ${moment(act.issued_at)}`],
      ['nonce', act.nonce],
    ]),
  ].join('\n');
}

/** The gate that the act names; where it names none, all that could be meant. */
function exceptions(act: SignedAct, { policy }: Decision): string {
  const named = act.subject_digest.gate;
  return policy.gates
    .filter((gate) => gate.result === 'requires_exception')
    .filter(({ id }) => named === undefined || gateDigest(id) === named)
    .map((gate) => plain(`${gate.id}: ${gate.reason}`))
    .join('\n');
}
