import { existsSync, writeFileSync } from 'node:fs';
import type { DecisionReply } from '../api/client.ts';
import { BoundaryError } from '../formats/boundary-error.ts';

/** Refuses a path that is taken, before anything is asked: a permit never replaces a file. */
export function assertFree(path: string): void {
  if (existsSync(path)) {
    throw new BoundaryError('file.exists', 'The file exists and is not overwritten; nothing was asked.', {
      at: path,
    });
  }
}

/**
 * Writes a decision's permit file (a C2SP tlog-proof) with mode 0600; returns the path, or undefined when the decision
 * has no permit.
 */
export function writePermitFile(path: string, decision: DecisionReply): string | undefined {
  if (decision.permit === undefined) return undefined;
  writeFileSync(path, decision.permit.proof, { mode: 0o600, flag: 'wx' });
  return path;
}
