import { anyOf } from '../../core/authority.ts';
import type { DecisionRecord } from '../../core/fold.ts';
import type { ApprovalRequest, PossibleSigner } from '../../formats/approval-request.ts';
import type { ResolvedCall } from '../../formats/permit.ts';
import { actorLine, groupLine } from './decision.ts';
import { fitted, inline, instant, moment, paint, plain } from './text.ts';

/** How far what is shown was checked: under which checkpoint, or not at all. */
export type Checked = { origin: string; size: number; entries: number } | null;

/** A request for approval in full: everything that there is to judge, in lines that fit a terminal. */
export function renderRequest(
  { decision, call }: DecisionRecord,
  { site, signers }: Pick<ApprovalRequest, 'site' | 'signers'>,
  checked: Checked,
): string {
  const { action, context, risk, policy, authority, enforcement } = decision;
  const target = action.target === null ? '(no target)' : `${action.target.type}:${action.target.id}`;
  return [
    `${paint('yellow', paint('bold', 'FOR APPROVAL'))}  at ${plain(site)}`,
    fitted([
      ['action', plain(action.class ?? '(no class)')],
      ['on', plain(target)],
      ['in', plain(context.environment)],
      ['intent', plain(action.intent ?? '')],
      ['payload', inline(action.payload)],
      ['would run', call === null ? '' : callLines(call)],
      ['asked by', actorLine(decision)],
      ['asked at', `${moment(decision.timestamps.created_at)}, clock ${decision.time_trust}`],
      ['risk', [`${risk.band ?? 'not computed'}${score(risk.score)}`, ...risk.reasons].map(plain).join('\n')],
      ['gates', gateLines(policy.gates)],
      ['needs', authority.required.map(groupLine).join('\n')],
      ['have', haveLines({ authority, policy })],
      ['missing', enforcement.allow_if.map(plain).join('\n')],
      ['could sign', signerLines(signers)],
      ['waits until', instant(decision.expires_at)],
      ['policy', [decision.policy_version ?? 'none', decision.policy_digest ?? ''].map(plain).join('\n')],
      ['decision', plain(decision.decision_id)],
      ['checked', checkedLine(checked)],
    ]),
  ].join('\n');
}

function score(value: number | null): string {
  return value === null ? '' : `, score ${value}`;
}

/** What the gateway would start or send, word for word: program and arguments, one a line. */
function callLines(call: ResolvedCall): string {
  if (call.connector === 'exec') return call.argv.map(inline).join('\n');
  return plain(`${call.method} ${call.path} at ${call.address}`);
}

function gateLines(
  gates: readonly { id: string; result: string; reason?: string; exception_role?: string }[],
): string {
  const passed = gates.filter(({ result }) => result === 'pass').map(({ id }) => plain(id));
  const others = gates
    .filter(({ result }) => result !== 'pass')
    .map(({ id, result, reason = '', exception_role: role }) => {
      const by = role === undefined ? '' : ` (by ${role})`;
      return plain(`${result === 'fail' ? 'failed' : 'needs an exception'}${by}: ${id}: ${reason}`);
    });
  return [...others, ...(passed.length === 0 ? [] : [`passed: ${passed.join(', ')}`])].join('\n');
}

type Given = Pick<DecisionRecord['decision'], 'authority' | 'policy'>;

function haveLines({ authority, policy }: Given): string {
  const votes = authority.received.map(
    ({ answer, principal, role, at, counts }) =>
      `${answer} by ${principal} as ${role}, ${moment(at)}${counts === false ? ' (counts no longer)' : ''}`,
  );
  const exceptions = policy.exceptions.map(
    ({ gate, principal, reason, at, expires_at, counts }) =>
      `exception for ${gate} by ${principal}, ${moment(at)}, until ${moment(expires_at)}${counts === false ? ' (counts no longer)' : ''}: ${reason}`,
  );
  return [...votes, ...exceptions].map((line) => plain(line)).join('\n') || 'nothing yet';
}

function checkedLine(checked: Checked): string {
  if (checked === null) {
    return 'NO. Beside the action itself nobody vouches for what is shown: risk, gates, who asked. Check it against the ledger with --trust FILE, which "holdfast site export-trust" writes at the site.';
  }
  const { origin, size, entries } = checked;
  const what = entries === 1 ? 'Its entry is' : `Its ${entries} entries are`;
  return `yes. ${what} in ${plain(origin)}, under its signed checkpoint of ${size} entries.`;
}

/** Who could sign, in words: `alice as L3`. */
function signerLines(signers: readonly PossibleSigner[]): string {
  return signers.map(({ principal, roles }) => plain(`${principal} as ${anyOf(roles)}`)).join('\n');
}
