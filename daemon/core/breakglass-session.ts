import type { BreakglassScope } from '../formats/breakglass-scope.ts';
import type { Entry } from '../formats/entry.ts';

/** Why a session ended. All but `by_hand` come from the clock's tick. */
export type SessionEnd =
  | 'by_hand'
  | 'time'
  /** It was opened before the machine was last started, and nobody can tell the time any more. */
  | 'time_uncertain'
  /** The key that opened it no longer counts. */
  | 'key_revoked'
  /** The policy in force no longer allows it. */
  | 'policy';

/** A break-glass session as its entries tell it. */
export interface BreakglassSession {
  id: string;
  scope: BreakglassScope;
  /** Hex SHA-256 of the scope's text: what signatures about the session bind. */
  scope_digest: string;
  state: 'active' | 'ended' | 'overdue' | 'closed';
  /** In the words of whoever opened it. */
  because: string;
  activated_at: string;
  /** RFC 3339 ms UTC. */
  expires_at: string;
  /** Whose signature carries it; of a sealed grant, who issued that. */
  principal: string;
  role: string;
  key: string;
  /** The sealed grant that opened it, and who says to have used it. */
  grant: { id: string; redeemed_by: string } | null;
  /** The review, as the policy wanted it when the session was opened. */
  review: { roles: string[]; within_ms: number };
  ended: { at: string; why: SessionEnd; by: string | null } | null;
  /** When the review is due; null while the session is open. */
  review_due: string | null;
  reviewed: { principal: string; note: string; at: string } | null;
  /** Payload values that were opened under it: whoever reviews the session looks at these too. */
  reads: SessionRead[];
}

/** A decision whose payload values were opened under a session. */
export interface SessionRead {
  decision_id: string;
  by: string | null;
  role: string | null;
  reason: string;
  at: string;
}

/** `data` of `breakglass.activated`, as far as it is folded; beside it stands the signed act. */
export interface ActivatedData {
  scope: BreakglassScope;
  scope_digest: string;
  expires_at: string;
  review: { roles: string[]; within_ms: number };
  grant?: { id: string; redeemed_by: string };
  principal: string;
  role: string;
  key: string;
  reason: string;
}

/** Folds a session's stream. Throws on one that does not start with its activation. */
export function foldSession(stream: readonly Entry[]): BreakglassSession {
  const [first, ...rest] = stream;
  if (first?.type !== 'breakglass.activated')
    throw new Error('breakglass: a session starts with its activation');
  const session = begin(first);
  for (const entry of rest) apply(session, entry);
  return session;
}

function begin({ stream, at, data }: Entry): BreakglassSession {
  const { scope, scope_digest, expires_at, review, grant, principal, role, key, reason } =
    data as unknown as ActivatedData;
  return {
    id: stream,
    scope,
    scope_digest,
    state: 'active',
    because: reason,
    activated_at: at,
    expires_at,
    principal,
    role,
    key,
    grant: grant === undefined ? null : { id: grant.id, redeemed_by: grant.redeemed_by },
    review,
    ended: null,
    review_due: null,
    reviewed: null,
    reads: [],
  };
}

function apply(session: BreakglassSession, { type, at, actor, data }: Entry): void {
  if (type === 'breakglass.ended') {
    session.state = 'ended';
    session.ended = { at, why: data.why as SessionEnd, by: actor.id };
    session.review_due = String(data.review_due);
  } else if (type === 'breakglass.overdue') {
    session.state = 'overdue';
  } else if (type === 'breakglass.reviewed') {
    session.state = 'closed';
    session.reviewed = { principal: String(data.principal), note: String(data.reason), at };
  } else if (type === 'ledger.read') {
    const { decision_id } = data.subject as { decision_id: string };
    session.reads.push({ decision_id, by: actor.id, role: actor.role, reason: String(data.reason), at });
  }
}
