import { type CallerRole, mayCall, SITE_ACCOUNT } from '../../core/caller-roles.ts';
import { refuse } from '../../core/refusal.ts';
import type { JsonObject } from '../../formats/json.ts';
import type { Batch, EngineState } from '../context.ts';
import { isSiteAccount, type PeerSettings } from '../peers.ts';
import type { EngineCall, EngineReply } from '../protocol.ts';
import { problem, reply } from '../reply.ts';
import type { Reading } from '../time.ts';

/**
 * `peers.admit`: whether the call's peer may call `args.method`, in the name of `args.actor` if that is given; for methods
 * that the process around the engine answers. 200 with the principal (null: one that the policy does not know), or the
 * refusal.
 */
export function admitPeer(state: EngineState, call: EngineCall, time: Reading): EngineReply {
  const { method = '', actor = null } = call.args;
  const { peer } = call;
  const refused = state.peers.refusal({ method, peer }, time) ?? state.peers.nameRefusal(peer, actor, time);
  if (refused !== null) return problem(refused);
  const caller = state.peers.caller(peer, time);
  return reply(200, { principal: 'refused' in caller ? null : caller.principal });
}

const NO_ROLES: readonly CallerRole[] = [];

/**
 * The same while the ledger cannot be read, so that nobody knows which policy is in force: where callers must be known,
 * only the site's own account is, and it may look.
 */
export function admitWithoutLedger(settings: PeerSettings, { args, peer }: EngineCall): EngineReply {
  const roles = isSiteAccount(peer, settings) ? SITE_ACCOUNT : NO_ROLES;
  if (!settings.required || mayCall(roles, args.method ?? '')) return reply(200, { principal: null });
  const words =
    'The ledger cannot be read, so nobody knows who the caller is. Nothing was done; use the account of the site.';
  return problem(refuse('peer.unknown', words));
}

/** What an entry says of the caller that brought a command, beside the one whose signature or name counts. */
export function callerData(batch: Batch, { peer }: EngineCall): JsonObject {
  if (!batch.state.peers.inUse || peer.socket === 'internal') return {};
  const caller = batch.state.peers.caller(peer, batch);
  return { peer: 'refused' in caller ? null : caller.principal };
}
