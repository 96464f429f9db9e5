import type { Degraded, HealthFacts } from './facts.ts';

/** Callers that must be known, where the policy makes nobody known. */
export function identityHealth({ state }: HealthFacts): Degraded[] {
  const peers = state?.peers.summary() ?? null;
  if (peers === null || !peers.required || peers.principals > 0) return [];
  return [
    {
      component: 'identity',
      cause: 'callers must be known here, and the policy gives no principal an identity',
      since: null,
      effect: "Nobody but the site's own account is answered, and nobody can ask for anything.",
      instruction:
        'Bring in a policy that names a uid or spiffe_id for the agents, people and the gateway of this site.',
    },
  ];
}
