import { sha256Hex } from '../formats/digest.ts';
import type { SignedAct } from '../formats/signed-act.ts';
import type { Decision, GrantedException } from './decision.ts';
import { type Refusal, refuse } from './refusal.ts';
import type { RecordedGate } from './verdict.ts';

/** Digest by which an act names the gate that it makes an exception for (`subject_digest.gate`). */
export function gateDigest(gate: string): string {
  return sha256Hex(gate);
}

/**
 * Gates that still need an exception before the decision can be authorized. `counts` says whether what was granted still
 * does.
 */
export function openExceptions(
  decision: Decision,
  counts: (granted: GrantedException) => boolean = () => true,
): RecordedGate[] {
  return decision.policy.gates.filter(
    (gate) =>
      gate.result === 'requires_exception' &&
      !decision.policy.exceptions.some((exception) => exception.gate === gate.id && counts(exception)),
  );
}

/** The gate that an act makes an exception for, among those that are `open`. It names it, or there is only one choice. */
export function exceptedGate(act: SignedAct, open: readonly RecordedGate[]): RecordedGate | Refusal {
  const roles = open.flatMap(({ exception_role }) => exception_role ?? []);
  const named = act.subject_digest.gate;
  if (named !== undefined) {
    const gate = open.find(({ id }) => gateDigest(id) === named);
    if (gate === undefined) {
      return refuse(
        'approval.wrong_gate',
        `The act makes an exception for a gate that waits for none. ${waitingWords(open)}`,
      );
    }
    return gate.exception_role === act.role ? gate : notThatRole(act.role, [gate]);
  }
  const mine = open.filter(({ exception_role }) => exception_role === act.role);
  const [only] = mine;
  if (only === undefined) return notThatRole(act.role, open, roles);
  if (mine.length === 1) return only;
  return refuse(
    'approval.gate_unnamed',
    `${mine.map(({ id }) => id).join(' and ')} both wait for an exception by ${act.role}, and the act names neither. Sign one for each: --exception --gate ID.`,
  );
}

function notThatRole(role: string, gates: readonly RecordedGate[], roles?: readonly string[]): Refusal {
  const wanted = roles ?? gates.flatMap(({ exception_role }) => exception_role ?? []);
  return refuse(
    'approval.role_not_required',
    `This decision does not wait for an exception by ${role}; it waits for ${wanted.join(', ') || 'nobody'}.`,
  );
}

function waitingWords(open: readonly RecordedGate[]): string {
  if (open.length === 0) return 'None does.';
  return `Exceptions are open for ${open.map(({ id, exception_role }) => `${id} (${exception_role})`).join(', ')}.`;
}

/** Instant until which all exceptions hold that carry the decision, in milliseconds since 1970; infinite without any. */
export function exceptionsUntil(decision: Decision, counts: (granted: GrantedException) => boolean): number {
  const ends = decision.policy.gates.flatMap(({ id, result }) => {
    if (result !== 'requires_exception') return [];
    const granted = decision.policy.exceptions.filter((one) => one.gate === id && counts(one));
    return [Math.max(...granted.map(({ expires_at }) => endOf(expires_at)))];
  });
  return Math.min(Number.POSITIVE_INFINITY, ...ends.filter((end) => end !== Number.NEGATIVE_INFINITY));
}

function endOf(expires_at: string | undefined): number {
  return expires_at === undefined ? Number.POSITIVE_INFINITY : Date.parse(expires_at);
}

/** When an exception ends: as its signer said. */
export function exceptionEnd({
  issued_at,
  ttl_seconds,
}: Pick<SignedAct, 'issued_at' | 'ttl_seconds'>): number {
  return Date.parse(issued_at) + ttl_seconds * 1_000;
}
