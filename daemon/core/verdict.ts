import type { ResolvedCall } from '../formats/permit.ts';

/** `lifted`: it did not pass, and break-glass says that it does not matter now. */
export type GateOutcome = 'pass' | 'fail' | 'requires_exception' | 'lifted';

/** What one gate said. A gate that looked at a field names it; no gate result ever holds a value of the payload. */
export interface GateResult {
  id: string;
  result: GateOutcome;
  reason: string;
  field?: string;
  /** With `requires_exception`: the role that may grant it. */
  exception_role?: string;
}

/** A gate as entries and decisions hold it: a passed one without its reason, which the pinned policy has. */
export type RecordedGate = Omit<GateResult, 'reason'> & { reason?: string };

/** One AND-group of an authority route: `min_signatures` distinct people, each holding one of `roles`. */
export interface AuthorityGroup {
  group: string;
  roles: string[];
  min_signatures: number;
}

export type EnforcementResult = 'allow' | 'deny' | 'queue' | 'escalate';

/**
 * The result of evaluating policy for one request: pure, deterministic, no state. `decide` turns it into entries.
 * `call` is present exactly when every gate passed or may be excepted and the class resolves to a tool.
 */
export interface Verdict {
  environment: string;
  /** True when the request named no environment and production was assumed. */
  environment_assumed: boolean;
  gates: GateResult[];
  risk: { band: string | null; score: number | null; reasons: string[] };
  authority: { route: string | null; required: AuthorityGroup[] };
  call: ResolvedCall | null;
  result: EnforcementResult;
  /** Sentences for people, most important first. */
  reasons: string[];
  /** How long a pending decision waits for authority, and how long a permit lives, in milliseconds. */
  pending_ttl_ms: number;
  permit_ttl_ms: number;
  /** What it would have been; present only where the class is in shadow, which denies. */
  shadow?: ShadowRuling;
}

/** What a request would have got. */
export interface ShadowRuling {
  result: EnforcementResult;
  band: string | null;
  score: number | null;
  /** Gates that did not pass, as `gateNames` writes them. */
  gates: string[];
  authority: Verdict['authority'];
}

/**
 * The break-glass session that was open for a request when it was judged: an input of the verdict, recorded with it.
 * Whoever passes it has held the request against the session's scope.
 */
export interface RecordedBreakglass {
  /** `bg_…`. */
  id: string;
  /** When the session ends at the latest, by the clock that judged: RFC 3339 ms UTC. */
  until: string;
}
