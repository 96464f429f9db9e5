import { type Refusal, refuse } from '../core/refusal.ts';
import type { EngineMethod } from './protocol.ts';

/**
 * What is not recorded any more when only the last part of the disk's reserve is left. It is kept for the rest: outcomes
 * of what ran, break-glass, incidents and their resume, suspended keys, the time, an orderly stop. Requests and redemptions
 * are told apart where break-glass is known.
 */
export const ROUTINE: ReadonlySet<EngineMethod> = new Set<EngineMethod>([
  'decisions.approve',
  'decisions.cancel',
  'decisions.review',
  'ledger.disclose',
  'envelopes.disclose',
  'envelopes.rotate',
  'anchors.export',
  'backups.record',
  'anchors.carried',
  'anchors.cosign',
  'retention.archived',
  'retention.carry',
  'policy.apply',
  'policy.refuse',
]);

/** The answer to a routine question on a disk that is as good as full. */
export function diskFull(): Refusal {
  return refuse(
    'disk.full',
    'The disk is as good as full; what is left of it is kept for emergencies. Nothing was allowed, recorded or run. Free space on the disk that holds the site, then ask again.',
  );
}
