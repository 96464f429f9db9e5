import type { Decision } from '../core/decision.ts';
import type { Json, JsonObject } from '../formats/json.ts';
import type { Permit } from '../formats/permit.ts';
import type { OutcomeDetail, RunResult } from './connectors/run.ts';

/** A decision as the sockets answer it: the fold of its entries plus the proofs. */
export type DecisionReply = Omit<Decision, 'permit'> & { permit?: Permit & { proof: string } };

/** Values of sensitive fields with the salts of their commitments, by field. They travel once, with the redemption. */
export type SealedValues = Record<string, { salt: string; value: Json }>;

export interface RedemptionReply {
  permit_id: string;
  decision_id: string;
  redeemed_at: string;
  /** tlog-proof of the `permit.redeemed` entry. */
  proof: string;
  sensitive: SealedValues | null;
}

/**
 * What the gateway asks of the engine. Nothing that comes back is believed before it is verified. Both failures of
 * `ApiClient` pass through: `ApiProblem` (the engine said no) and `ApiUnreachable` (it may or may not have acted).
 */
export interface EnginePort {
  createDecision(request: JsonObject, idempotencyKey: string | null): Promise<DecisionReply>;
  getDecision(id: string): Promise<DecisionReply>;
  redeem(permitId: string, actionDigest: string): Promise<RedemptionReply>;
  outcome(permitId: string, result: RunResult, detail: OutcomeDetail): Promise<DecisionReply>;
  openPermits(): Promise<{ permit_id: string; decision_id: string }[]>;
  policyUpdate(digest: string): Promise<{ update_id: string; files: Record<string, string> }>;
}
