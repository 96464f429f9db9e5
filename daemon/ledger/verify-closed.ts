import { toHex } from '../formats/digest.ts';
import { type Finding, tampered } from './finding.ts';
import type { LedgerTrust } from './verify-range.ts';

/**
 * Whether a log that another goes on for has another tree than the one it was closed with: its key, which was kept or
 * stolen, signs any history of that time. Null where it has the right one, is still open, or ends earlier: that is `cutBack`.
 */
export function closedOtherwise(
  { logs = [] }: LedgerTrust,
  origin: string,
  rootAt: (size: number) => Uint8Array | null,
  entries: number,
): Finding | null {
  const next = logs.find(({ succeeds }) => succeeds?.origin === origin);
  if (next?.succeeds === undefined || next.succeeds.size > entries) return null;
  const { size, root } = next.succeeds;
  const computed = rootAt(size);
  if (computed === null || toHex(computed) === root) return null;
  const detail = `the first ${size} entries are not those with which the log was closed: ${next.origin}, which goes on for it, is believed to continue others`;
  return tampered('checkpoint', `size ${size}`, detail);
}
