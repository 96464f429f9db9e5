import type { EnforcementResult, GateResult, ShadowRuling, Verdict } from './verdict.ts';

/* Shadow mode: what was judged, recorded and not enforced. */

/** Member `shadow` of a decision and of its first entry. */
export interface RecordedShadow {
  /** The action class is in shadow: what its policy would have said if it were not. */
  class?: ShadowRuling;
  /** The site has another bundle in shadow: what that said. */
  candidate?: ShadowCandidate;
}

/** A bundle as decisions name it. */
export interface PolicyName {
  digest: string;
  /** `name@version`. */
  version: string;
}

/** What a bundle in shadow said about a decision, or why it could not. */
export type ShadowCandidate = { policy: PolicyName } & (CandidateRuling | { failed: string });

/** What would have been; gates and authority only where they differ from the decision's own. */
export interface CandidateRuling {
  result: EnforcementResult;
  band: string | null;
  score: number | null;
  /** Gates that did not pass, here alone and there alone. */
  gates?: { added: string[]; gone: string[] };
  authority?: Verdict['authority'];
  /** How many gates and groups differ, where naming them would have made the entry too long. */
  dropped?: { gates: number; groups: number };
}

/** The gate by which a class that is in shadow denies. */
const SHADOW_GATE = 'class.shadow';

/** Gates that did not pass, as `id`, `id field` or `id field requires_exception`, sorted. */
export function gateNames(gates: readonly GateResult[]): string[] {
  return gates
    .filter(({ result }) => result !== 'pass')
    .map(({ id, field, result }) => [id, field, result === 'fail' ? undefined : result])
    .map((words) => words.filter((word) => word !== undefined).join(' '))
    .sort();
}

/**
 * The verdict about a class that is in shadow: it denies, whatever the rest says, and nothing lifts that; what would have
 * been goes with it for the record.
 */
export function inShadow(name: string, verdict: Verdict): Verdict {
  const { gates, risk, authority, result, reasons } = verdict;
  const reason = `${name} is in shadow: recorded, not enforced. Without that the answer would have been ${result}.`;
  return {
    ...verdict,
    gates: [...gates, { id: SHADOW_GATE, result: 'fail', reason }],
    authority: { route: null, required: [] },
    call: null,
    result: 'deny',
    reasons: [reason, ...(result === 'deny' ? reasons : [])],
    shadow: { result, band: risk.band, score: risk.score, gates: gateNames(gates), authority },
  };
}
