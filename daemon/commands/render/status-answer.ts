import type { UnreachableReason } from '../../api/client.ts';
import type { JsonObject } from '../../formats/json.ts';

/** What a process said about itself (`GET /v1/status`), or why it said nothing. */
export type Answer =
  | { status: JsonObject; down: null }
  | { status: null; down: string; reason?: UnreachableReason };

/** Whether nothing is known because this account may not ask: whoever it is may well run. */
export function isForbidden(answer: Answer): boolean {
  return answer.status === null && answer.reason === 'forbidden';
}

/** One thing that is wrong, as `GET /v1/status` lists it. */
export interface Degraded {
  component: string;
  cause: string;
  since: string | null;
  effect: string;
  instruction: string;
}

/** What is wrong with what matters most first: that stops everything, then what stops some, then what is owed. */
const GRAVITY: readonly string[] = [
  ...['incident', 'ledger', 'disk', 'integrity', 'secrets', 'identity', 'policy', 'time', 'gateway'],
  ...['breakglass', 'anchor', 'copy', 'backup', 'former_logs', 'keys', 'retention', 'siem', 'search'],
];

/** All that is wrong, gravest first. */
export function troubles(...answers: readonly Answer[]): Degraded[] {
  const all = answers.flatMap(({ status }) => (status?.degraded ?? []) as unknown as Degraded[]);
  const rank = ({ component }: Degraded): number => {
    const at = GRAVITY.indexOf(component);
    return at < 0 ? GRAVITY.length : at;
  };
  return all.toSorted((a, b) => rank(a) - rank(b));
}

/** A member that should be an object, as one. */
export function object(value: JsonObject[string] | undefined): JsonObject {
  return value !== null && typeof value === 'object' && !Array.isArray(value) ? value : {};
}

/** A member that should be text; null where it is none. */
export function text(value: JsonObject[string] | undefined): string | null {
  return typeof value === 'string' ? value : null;
}

/** A member that should be a number; 0 where it is none. */
export function amount(value: JsonObject[string] | undefined): number {
  return typeof value === 'number' ? value : 0;
}
