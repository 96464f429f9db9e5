import type { BundlePrincipal } from './bundle.ts';

/*
 * What a caller that is known by its identity may ask of a socket: role × method, everything else refused. The sockets
 * have a table of their own (`api/methods.ts`); both must agree.
 */

/** What a caller may be towards a socket. A principal's roles in the policy (L3, safety_officer) are another thing: those count by signature. */
export type CallerRole =
  /** Asks for decisions, withdraws its own, brings signed acts. */
  | 'requester'
  /** Redeems permits and reports outcomes. */
  | 'audience'
  /** Reads: status, decisions, ledger, policy. */
  | 'observer'
  /** Brings in what is verified by its own signatures: policy updates. */
  | 'carrier'
  /** Acts on other people's decisions: withdraws and reviews them. */
  | 'operator';

const OF_KIND: Readonly<Record<BundlePrincipal['kind'], readonly CallerRole[]>> = {
  agent: ['requester'],
  service: ['requester', 'observer', 'carrier'],
  human: ['requester', 'observer', 'carrier', 'operator'],
};

/**
 * The account that runs the site, and root, by the kernel's word: whoever has it holds the files anyway. It can look, and
 * bring in the policy that says who everybody is; so no policy locks a site out of its own repair. It cannot ask for
 * anything in anybody's name.
 */
export const SITE_ACCOUNT: readonly CallerRole[] = ['observer', 'carrier'];

/** Every role: callers of a site that tells nobody apart. */
export const EVERY_ROLE: readonly CallerRole[] = ['requester', 'audience', 'observer', 'carrier', 'operator'];

/** The roles of a principal. */
export function rolesOf({ kind, audiences }: Pick<BundlePrincipal, 'kind' | 'audiences'>): CallerRole[] {
  return audiences === undefined ? [...OF_KIND[kind]] : [...OF_KIND[kind], 'audience'];
}

/**
 * Method → the roles that may call it, on whichever socket offers it; `anyone` for what tells nothing. `decisions.create`
 * is judged with the request instead: whoever may not ask gets a recorded denial.
 */
export const METHOD_CALLERS: Readonly<Record<string, readonly CallerRole[] | 'anyone'>> = {
  'health.get': 'anyone',
  'ready.get': 'anyone',
  'openapi.get': 'anyone',
  unsubscribe: 'anyone',
  'decisions.create': 'anyone',
  'actions.execute': ['requester'],
  'decisions.get': ['requester', 'audience', 'observer'],
  'decisions.cancel': ['requester', 'operator'],
  'decisions.approve': ['requester', 'operator'],
  'decisions.review': ['operator'],
  'decisions.reconcile': ['operator'],
  'decisions.list': ['observer'],
  'decisions.entries': ['observer'],
  'decisions.replay': ['observer'],
  'permits.redeem': ['audience'],
  'permits.outcome': ['audience'],
  'permits.open': ['audience', 'observer'],
  'keys.suspend': ['requester', 'operator'],
  'keys.suspended': ['observer'],
  'ledger.keys': ['observer'],
  'ledger.rotate_key': ['operator', 'carrier'],
  'envelopes.get': ['observer'],
  'envelopes.change': ['requester', 'operator'],
  'envelopes.disclose': ['observer', 'operator'],
  'envelopes.rotate': ['operator', 'carrier'],
  'anomalies.list': ['observer'],
  'policy.get': ['observer'],
  'policy.history': ['observer'],
  'policy.update': ['audience', 'observer'],
  'policy.import': ['carrier'],
  'outbox.acknowledgements': ['carrier'],
  'anchors.export': ['carrier'],
  'backups.record': ['operator', 'carrier'],
  'anchors.carry': ['carrier'],
  'anchors.carried': ['carrier'],
  'anchors.cosignatures': ['carrier'],
  'anchors.list': ['audience', 'observer'],
  'anchors.from': ['audience', 'observer'],
  'policy.held': ['observer', 'operator'],
  'policy.release': ['operator'],
  'peers.identify': ['audience'],
  'breakglass.activate': ['requester', 'operator'],
  'breakglass.end': ['requester', 'operator'],
  'breakglass.review': ['requester', 'operator'],
  'breakglass.get': ['requester', 'observer'],
  'breakglass.list': ['observer'],
  'grants.issue': ['requester', 'operator'],
  'grants.redeem': ['requester', 'operator'],
  'grants.revoke': ['requester', 'operator'],
  'grants.get': ['requester', 'observer'],
  'grants.list': ['observer'],
  'incidents.open': ['requester', 'audience', 'operator'],
  'incidents.get': ['requester', 'observer'],
  'incidents.list': ['observer'],
  'incidents.resume': ['requester', 'operator'],
  'canary.run': ['observer', 'operator'],
  'status.get': ['observer'],
  'time.get': ['observer'],
  'time.state': ['carrier'],
  'metrics.get': ['observer'],
  'ledger.disclose': ['observer'],
  'ledger.search': ['observer'],
  'retention.get': ['observer'],
  'retention.prune': ['operator', 'carrier'],
  'retention.carry': ['operator'],
  'retention.hold': ['operator'],
  'retention.release': ['operator'],
  'ledger.checkpoint': ['audience', 'observer'],
  'ledger.proof': ['audience', 'observer'],
  'ledger.tile': ['observer'],
  'ledger.entries': ['observer'],
  'evidence.export': ['observer'],
  subscribe: ['observer'],
  'tls.renew': ['requester', 'audience', 'observer', 'carrier', 'operator'],
};

/** Whether somebody with these roles may call a method. A method that the table does not list is nobody's. */
export function mayCall(roles: readonly CallerRole[], method: string): boolean {
  const callers = Object.hasOwn(METHOD_CALLERS, method) ? METHOD_CALLERS[method] : undefined;
  if (callers === undefined) return false;
  return callers === 'anyone' || roles.some((role) => callers.includes(role));
}
