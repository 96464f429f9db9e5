import {
  type CallerRole,
  EVERY_ROLE,
  METHOD_CALLERS,
  mayCall,
  rolesOf,
  SITE_ACCOUNT,
} from '../core/caller-roles.ts';
import {
  hasIdentity,
  lapseOf,
  lapseWords,
  mayName,
  type PeerFacts,
  type RecordedPeer,
  STRANGER_WORDS,
} from '../core/peer.ts';
import { judgeSummary, SUMMARIES } from '../core/reading.ts';
import { type Refusal, refuse } from '../core/refusal.ts';
import type { Policies } from './policies.ts';
import type { EngineCall, Peer } from './protocol.ts';
import type { LoadedPolicy } from './stored-bundles.ts';
import type { Reading } from './time.ts';

/** How the site wants its callers known; local settings, which can only narrow what policy allows. */
export interface PeerSettings {
  /** Callers whom the policy does not know are refused. */
  required: boolean;
  /** The local user that the daemon runs as; null where there is none. */
  own_uid: number | null;
}

/** Callers need not be known, as long as no policy tells them apart. */
export const OPEN: PeerSettings = { required: false, own_uid: null };

/** A caller that may be answered. `principal` is null for one whom the policy does not know. */
export interface Caller {
  principal: string | null;
  roles: readonly CallerRole[];
}

/**
 * Who is asking (design: "Identity and approvals"). Every call is held against the bundles in force at that moment, so a
 * principal that was suspended, or a certificate that was revoked, stops counting on open connections too.
 *
 * While no principal of any bundle has an identity, and the site does not demand one, callers are not told apart; then
 * `inUse` is false and nothing here costs anything.
 */
export class Peers {
  readonly #policies: Policies;
  readonly #site: string;
  readonly #settings: PeerSettings;

  constructor(policies: Policies, site: string, settings: PeerSettings) {
    this.#policies = policies;
    this.#site = site;
    this.#settings = settings;
  }

  get inUse(): boolean {
    return this.#settings.required || this.#policies.identities > 0;
  }

  /** What status says: whether callers must be known, and how many principals can be. */
  summary(): { required: boolean; principals: number } {
    return { required: this.#settings.required, principals: this.#policies.identities };
  }

  /** The peer as evaluation takes it in; undefined where nobody is told apart, and for the site itself. */
  factsOf(peer: Peer): PeerFacts | undefined {
    if (!this.inUse || peer.socket === 'internal') return undefined;
    return {
      ...(peer.certificate === undefined ? {} : { certificate: peer.certificate }),
      ...(this.#settings.required ? { required: true } : {}),
      ...(peer.spiffe_id === undefined ? {} : { spiffe_id: peer.spiffe_id }),
      ...(peer.uid === null ? {} : { uid: peer.uid }),
    };
  }

  /** Those facts with the principal that they mean under one policy, for the record. */
  recorded(facts: PeerFacts, policy: LoadedPolicy | null): RecordedPeer {
    return { ...facts, principal: policy?.compiled.peers.identify(facts, this.#site).principal ?? null };
  }

  /** Why a call may not be made by its peer; null when it may. Creating a decision is judged with the request. */
  refusal(call: Pick<EngineCall, 'peer'> & { method: string }, time: Reading): Refusal | null {
    if (!this.inUse || call.peer.socket === 'internal' || METHOD_CALLERS[call.method] === 'anyone')
      return null;
    const caller = this.caller(call.peer, time);
    if ('refused' in caller) return caller;
    return notPermitted(caller, call.method) ?? this.#summaryRefusal(caller, call);
  }

  /** Why a caller may not look at lists; the account that holds the files may. */
  #summaryRefusal(
    { principal }: Caller,
    { peer, method }: Pick<EngineCall, 'peer'> & { method: string },
  ): Refusal | null {
    if (!SUMMARIES.has(method) || (principal === null && isSiteAccount(peer, this.#settings))) return null;
    const policy = this.#policies.forSite();
    const roles = principal === null ? [] : (policy?.roster.principal(principal)?.roles ?? []);
    return judgeSummary(policy?.compiled.bundle.reading, principal, roles);
  }

  /** Who a peer is. Bundles that know it must agree; one in which it does not count is enough to refuse it. */
  caller(peer: Peer, time: Reading): Caller | Refusal {
    const facts = this.factsOf(peer);
    if (facts === undefined) return { principal: null, roles: EVERY_ROLE };
    const account = isSiteAccount(peer, this.#settings) ? SITE_ACCOUNT : [];
    const found = new Map<string, readonly CallerRole[]>();
    let unlisted = false;
    for (const { compiled } of this.#policies.inForce()) {
      const identified = compiled.peers.identify(facts, this.#site);
      if (identified.principal === null) {
        const { stranger } = identified;
        unlisted ||= stranger === 'certificate_unknown';
        if (stranger === 'certificate_revoked' || stranger === 'conflict')
          return untrusted(STRANGER_WORDS[stranger]);
        continue;
      }
      const { principal } = identified;
      const lapsed = lapsedIn(compiled, principal, time) ?? suspendedHere(this.#policies, principal);
      if (lapsed !== null) return lapsed;
      found.set(principal, rolesOf(compiled.bundle.principals[principal] ?? { kind: 'agent' }));
    }
    if (found.size > 1) return untrusted('The bundles in force know the caller as different principals.');
    const [known] = found;
    // Whoever shows a certificate has its rights and no others: an agent does not see more by running as root.
    if (known !== undefined) {
      const roles = peer.spiffe_id === undefined ? [...known[1], ...account] : known[1];
      return { principal: known[0], roles };
    }
    if (account.length > 0 && this.#settings.required) return { principal: null, roles: account };
    if (unlisted) return untrusted(STRANGER_WORDS.certificate_unknown);
    return this.#settings.required ? unknown() : { principal: null, roles: EVERY_ROLE };
  }

  /** Whether a peer has a role towards this socket; whoever is not told apart has them all. */
  isA(role: CallerRole, peer: Peer, time: Reading): boolean {
    const caller = this.caller(peer, time);
    return 'roles' in caller && caller.roles.includes(role);
  }

  /** Why a peer may not act in a name without a signature; null when it may. */
  nameRefusal(peer: Peer, named: string | null, time: Reading): Refusal | null {
    if (named === null || !this.inUse || peer.socket === 'internal') return null;
    const caller = this.caller(peer, time);
    if ('refused' in caller) return caller;
    const free = this.#policies.inForce().every(({ roster }) => {
      const principal = roster.principal(named);
      if (caller.principal === null) return principal === null || !hasIdentity(principal);
      return mayName(roster.principal, caller.principal, named);
    });
    if (free && !(caller.principal === null && this.#settings.required)) return null;
    const who = caller.principal === null ? 'The caller' : `The caller is ${caller.principal}, who`;
    return refuse(
      'peer.not_that_actor',
      `${who} may not act in the name of ${named}. Nothing was done; act in your own name, or have the policy say so (may_assert).`,
    );
  }

  /** Why a peer may not redeem or report as an audience; null when it may. */
  audienceRefusal(peer: Peer, audience: string, time: Reading): Refusal | null {
    if (!this.inUse || peer.socket === 'internal') return null;
    const caller = this.caller(peer, time);
    if ('refused' in caller) return caller;
    const free = this.#policies.inForce().every(({ compiled: { bundle } }) => {
      if (caller.principal !== null)
        return bundle.principals[caller.principal]?.audiences?.includes(audience) === true;
      return !Object.values(bundle.principals).some(
        (principal) => hasIdentity(principal) && principal.audiences?.includes(audience) === true,
      );
    });
    if (free) return null;
    return refuse(
      'permit.wrong_audience',
      `${caller.principal ?? 'The caller'} is not the audience ${audience} in the policy in force. Nothing may run.`,
    );
  }
}

/** Whether a peer runs as the site's own account, or as root. */
export function isSiteAccount({ uid }: Peer, { own_uid }: PeerSettings): boolean {
  return uid !== null && (uid === 0 || uid === own_uid);
}

function lapsedIn(compiled: LoadedPolicy['compiled'], id: string, time: Reading): Refusal | null {
  const principal = compiled.bundle.principals[id];
  if (principal === undefined) throw new Error(`peers: ${id} is identified and not in the roster`);
  // Whether somebody may look is not worth a lock-out by a doubted clock; what is decided is held to it more strictly.
  const lapse = lapseOf(principal, Math.max(time.now, time.at_least), 'floor');
  if (lapse === null) return null;
  const words = lapseWords(`The caller, ${id},`, lapse, principal);
  return refuse('peer.not_active', `${words} Nothing was done. A policy update can bring ${id} back.`);
}

function suspendedHere(policies: Policies, id: string): Refusal | null {
  if (!policies.isSuspended(id)) return null;
  const words = `The caller, ${id}, was suspended at this site.`;
  return refuse('peer.not_active', `${words} Nothing was done. A policy update can lift that.`);
}

function notPermitted({ principal, roles }: Caller, method: string): Refusal | null {
  if (mayCall(roles, method)) return null;
  const who =
    principal === null ? 'The caller, whom the policy does not know,' : `The caller is ${principal}, who`;
  return refuse('peer.not_permitted', `${who} may not ask for ${method} here. Nothing was done.`);
}

function unknown(): Refusal {
  return refuse(
    'peer.unknown',
    `${STRANGER_WORDS.unknown} This site answers nobody else; nothing was done. Use your own certificate or account, or have it enrolled by a policy update.`,
  );
}

function untrusted(words: string): Refusal {
  return refuse('peer.not_trusted', `${words} Nothing was done.`);
}
