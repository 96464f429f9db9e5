import { type Refusal, refuse } from '../../core/refusal.ts';
import { decodeEntry, type Entry } from '../../formats/entry.ts';
import { formatGrant, type Grant, grantDigest } from '../../formats/grant.ts';
import type { EngineState } from '../context.ts';
import type { EngineCall, EngineReply } from '../protocol.ts';
import { problem, reply } from '../reply.ts';

const LIST_LIMIT = 200;

/** `grants.list`: every grant that the ledger knows, by id (so by time): what it is for and what became of it. */
export function listGrants(state: EngineState, { args }: EngineCall): EngineReply {
  const limit = Math.min(Number(args.limit ?? LIST_LIMIT), LIST_LIMIT);
  const rows = state.projections.standingPage('grant', args.after ?? '', limit);
  const next = rows.length === limit ? (rows.at(-1)?.id ?? null) : null;
  return reply(200, { grants: rows.map(({ id }) => grantView(state, id)), next });
}

/** `grants.get`: one grant, with its exact digest for whoever signs about it. */
export function getGrant(state: EngineState, { args }: EngineCall): EngineReply {
  const id = args.id ?? '';
  return state.projections.standing('grant', id) === null
    ? problem(noGrant(id))
    : reply(200, grantView(state, id));
}

const STATE_OF = {
  'grant.issued': 'unused',
  'grant.revoked': 'revoked',
  'grant.expired': 'expired',
  'breakglass.activated': 'used',
} as const;

/** A grant for people and their tools. Throws when it stands without an entry. */
export function grantView(state: EngineState, id: string): object {
  const row = state.projections.standing('grant', id);
  const bytes = row === null ? null : state.ledger.entry(row.last_idx);
  if (row === null || bytes === null) throw new Error(`grants: ${id} stands without an entry`);
  const newest = decodeEntry(bytes);
  const first = entriesOf(state, id)[0] ?? newest;
  const { principal, role, key } = first.data as unknown as Record<'principal' | 'role' | 'key', string>;
  const { grant, issued_grant } = first.data as unknown as { grant: Grant; issued_grant?: Grant };
  const document = issued_grant ?? grant;
  const used = newest.type === 'breakglass.activated';
  return {
    id,
    state: STATE_OF[newest.type as keyof typeof STATE_OF],
    grant: document,
    grant_digest: grantDigest(formatGrant(document)),
    issued: { here: first.type === 'grant.issued', by: principal, role, key, at: issueTime(first) },
    closed_at: row.first_idx === row.last_idx && !used ? null : newest.at,
    session: used ? newest.stream : null,
  };
}

/** When it was signed, as its act says. */
function issueTime({ data, at }: Entry): string {
  const { act } = data as unknown as { act?: { issued_at: string } };
  return act?.issued_at ?? at;
}

/** The refusal for a grant that the ledger does not know. */
export function noGrant(id: string): Refusal {
  return refuse('grant.not_found', `There is no grant ${id} at this site. Nothing was changed.`);
}

/** The entries of a grant's own stream, oldest first. */
export function entriesOf(state: EngineState, id: string): Entry[] {
  return state.ledger.stream(id).map(({ bytes }) => decodeEntry(bytes));
}
