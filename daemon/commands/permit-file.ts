import type { DecisionReply } from '../api/client.ts';
import { writeNew } from './new-file.ts';
import { say } from './render/output.ts';

/**
 * Writes a decision's permit file (a C2SP tlog-proof) with mode 0600; returns the path, or undefined when the decision
 * has no permit.
 */
export function writePermitFile(path: string, decision: DecisionReply): string | undefined {
  if (decision.permit === undefined) {
    say(`holdfast: there is no permit (the decision is ${decision.status}), so ${path} was not written.`);
    return undefined;
  }
  writeNew(path, decision.permit.proof);
  return path;
}
