import type { TimeTrust } from '../formats/entry.ts';
import type { BundlePrincipal } from './bundle.ts';
import { hasIdentity, lapseOf, lapseWords, mayName, type PeerFacts, STRANGER_WORDS } from './peer.ts';
import type { DecisionRequest } from './request.ts';
import type { ClassRules, Rules } from './rules.ts';
import type { GateResult } from './verdict.ts';

/** What evaluation knows of the caller, and of the time. */
interface CallerFacts {
  peer?: PeerFacts;
  site?: string;
  now_ms: number;
  time_trust: TimeTrust;
}

/**
 * `identity.peer`, `identity.assertion`: the one who asks over the socket is somebody who counts, and may ask in the name
 * that the request gives. Without a peer (nobody has an identity here, or the site itself asks) there is nothing to hold
 * the name against.
 */
export function checkPeer(rules: Rules, { context }: DecisionRequest, facts: CallerFacts): GateResult[] {
  const { peer } = facts;
  if (peer === undefined) return [];
  const actor = context.actor.id ?? '';
  const named = rules.principals.get(actor);
  const identified = rules.peers.identify(peer, facts.site ?? '');
  if (identified.principal === null) {
    const { stranger } = identified;
    if (peer.required === true || stranger !== 'unknown')
      return [fail('identity.peer', 'peer', STRANGER_WORDS[stranger])];
    if (named === undefined || !hasIdentity(named)) return [];
    return [assertion(`The caller did not show the identity that "${actor}" has.`)];
  }
  const caller = identified.principal;
  const principal = rules.principals.get(caller);
  const lapse = principal === undefined ? 'revoked' : lapseOf(principal, facts.now_ms, facts.time_trust);
  if (lapse !== null) {
    const reason = lapseWords(`The caller, "${caller}",`, lapse, principal ?? {});
    return [fail('identity.peer', 'peer', reason)];
  }
  // An actor that nobody knows is denied for that.
  if (named === undefined || mayName((id) => rules.principals.get(id), caller, actor)) return [];
  return [assertion(`The caller is "${caller}", who may not ask in the name of "${actor}".`)];
}

/** `identity.capability`: the actor is able to do what the class demands. */
export function checkCapabilities(
  principal: BundlePrincipal | null,
  actionClass: ClassRules | null,
): GateResult[] {
  const demanded = actionClass?.definition.requires_capabilities;
  if (demanded === undefined || principal === null) return [];
  const missing = demanded.filter((capability) => principal.capabilities?.includes(capability) !== true);
  if (missing.length === 0) return [];
  const reason = `${actionClass?.name} demands the capability ${missing.join(', ')}, which the actor does not have.`;
  return [fail('identity.capability', 'actor.id', reason)];
}

function assertion(reason: string): GateResult {
  return fail('identity.assertion', 'actor.id', reason);
}

function fail(id: string, field: string, reason: string): GateResult {
  return { id, result: 'fail', reason, field };
}
