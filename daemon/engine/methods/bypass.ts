import { decisionIdOf } from '../../core/create.ts';
import type { PermitState } from '../../core/decision.ts';
import { isRefusal, type Refusal, refuse } from '../../core/refusal.ts';
import type { JsonObject } from '../../formats/json.ts';
import type { Permit } from '../../formats/permit.ts';
import type { Batch } from '../context.ts';
import { diskFull } from '../disk-routine.ts';
import type { AfterCommit } from '../reply.ts';
import { recordIncident } from './incidents.ts';
import { refused } from './lifecycle.ts';

/** What an audience said about a run that no redeemed permit of its own covers. */
export interface UncoveredOutcome {
  permit_id: string;
  audience: string;
  result: 'succeeded' | 'failed' | 'unknown';
  detail: JsonObject;
  /** What the engine answers. */
  refusal: Refusal;
}

const REDEEMED: readonly PermitState[] = ['redeemed', 'succeeded', 'failed', 'unknown'];
/** A gateway that could not tell whether its redemption came through says so, and that nothing ran. */
const NOT_STARTED = /^not_started\b/;

/**
 * Refuses an outcome that cannot be recorded. When it claims that something ran which was never redeemed, that is a bypass:
 * an incident, and a halt of the target (of the site, where nobody knows the target).
 */
export function refuseOutcome(batch: Batch, outcome: UncoveredOutcome): AfterCommit {
  const { permit_id, audience, result, detail, refusal } = outcome;
  const decision = batch.decision(decisionIdOf(permit_id))?.decision;
  const permit = decision?.permit;
  const covered = permit?.audience === audience && REDEEMED.includes(decision?.permit_state ?? 'none');
  if (covered || nothingRan(result, detail)) return refused(refusal);
  const noticed = recordIncident(batch, {
    cause: 'outcome_without_permit',
    concerned: { target: permit?.target ?? null, tool: permit?.tool ?? null },
    detail: words(outcome, permit),
    evidence: { audience, permit_id, refusal: refusal.refused, result },
    reporter: 'audience',
    actor: { id: audience, role: 'audience' },
  });
  if (isRefusal(noticed)) return refused(refusal);
  return refused(refusal, { incident_id: noticed.id });
}

function nothingRan(result: UncoveredOutcome['result'], { reason }: JsonObject): boolean {
  return result === 'failed' && typeof reason === 'string' && NOT_STARTED.test(reason);
}

function words({ audience, permit_id, result }: UncoveredOutcome, permit: Permit | undefined): string {
  const which = permit === undefined ? 'which this site never gave' : 'which it never redeemed';
  return `${audience} reported "${result}" under permit ${permit_id}, ${which}.`;
}

/** Why a permit may not be redeemed now although it was given: what it is for was halted since. Null when it was not. */
export function checkHalted(batch: Batch, { id, target, tool, breakglass }: Permit): Refusal | null {
  const { disk, halts } = batch.state;
  // Both hold back what is governed, break-glass apart; that its session is open is checked beside this.
  if ((!halts.any && disk.level !== 'critical') || breakglass !== undefined) return null;
  if (disk.level === 'critical') return diskFull();
  const stop = halts.stopFor(target, tool);
  if (stop === null) return null;
  return refuse(
    'permit.halted',
    `Permit ${id} may not be used while incident ${stop.incident} halts ${stop.scope === 'site' ? 'this site' : `its ${stop.scope}`}. Nothing may run. Look into it: holdfast incident show ${stop.incident}`,
  );
}
