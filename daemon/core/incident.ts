import type { JsonObject } from '../formats/json.ts';
import type { BundleIncidents } from './bundle-incidents.ts';
import type { Target } from './request.ts';

/** What an incident is opened for (design: "Degraded modes"). */
export type IncidentCause =
  /** An audience reported how something ended that no redeemed permit covers. */
  | 'outcome_without_permit'
  /** A principal with a reporter role says that something was done without a permit. */
  | 'unpermitted_act'
  /** The self-test was answered anything but a recorded denial. */
  | 'canary_failed'
  /** Settings or trust files of the gateway are not those that it was started with. */
  | 'configuration_changed'
  /** The program of a tool is not the one whose digest the policy pins. */
  | 'tool_changed'
  /** The gateway was given something by the engine that does not verify. */
  | 'gateway_report'
  /** A checkpoint exists that the ledger's key signed and that is not of the ledger's history. */
  | 'history_contradicted'
  /** The background check found that the ledger is not what was recorded. */
  | 'ledger_damaged';

/** What is denied until somebody lets it go on. */
export type Halt = { scope: 'site' } | { scope: 'target'; target: Target } | { scope: 'tool'; tool: string };

/** `data` of an `incident.opened` entry. */
export interface IncidentData {
  cause: IncidentCause;
  halt: Halt;
  /** What happened, in words. */
  detail: string;
  /** Ids and digests to look into. */
  evidence: JsonObject;
  /** Who noticed: somebody of the roster, an audience, or the daemon itself. */
  reporter: 'principal' | 'audience' | 'daemon';
}

/** What an incident concerns, as far as it is known. */
export interface Concerned {
  target: Target | null;
  tool: string | null;
}

/**
 * What an incident halts: what it concerns, or more where policy says so. Where nobody knows what it concerns, or the
 * gateway itself is in doubt, the site.
 */
export function haltOf(
  cause: IncidentCause,
  concerned: Concerned,
  policy: BundleIncidents | undefined,
): Halt {
  switch (cause) {
    case 'unpermitted_act':
    case 'outcome_without_permit':
      if (concerned.target === null || policy?.halt?.[cause] === 'site') return { scope: 'site' };
      return { scope: 'target', target: { id: concerned.target.id, type: concerned.target.type } };
    case 'tool_changed':
      if (concerned.tool === null || policy?.halt?.tool_changed === 'site') return { scope: 'site' };
      return { scope: 'tool', tool: concerned.tool };
    default:
      return { scope: 'site' };
  }
}

/** What a halt holds back, in words: follows "Halted is …" or stands in a list. */
export function haltWords(halt: Halt): string {
  if (halt.scope === 'site') return 'the whole site';
  return halt.scope === 'tool' ? `the tool ${halt.tool}` : `${halt.target.type}:${halt.target.id}`;
}

/** An incident's cause in words. */
export const CAUSE_WORDS: Readonly<Record<IncidentCause, string>> = {
  outcome_without_permit: 'an outcome was reported that no redeemed permit covers',
  unpermitted_act: 'something was done without a permit',
  canary_failed: 'the self-test was answered otherwise than with a recorded denial',
  configuration_changed: "the gateway's configuration was changed while it ran",
  tool_changed: 'the program of a tool is not the one that the policy pins',
  gateway_report: 'the gateway was given something by the engine that does not verify',
  ledger_damaged: 'the ledger is not what was recorded',
  history_contradicted: "a checkpoint by the ledger's own key tells another history than the ledger",
};
