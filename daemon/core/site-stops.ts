import type { Halt } from './incident.ts';
import type { GateResult } from './verdict.ts';

/**
 * Why the site holds an action back whatever the policy says of it. An input of the verdict, recorded with it, so that
 * replay reaches the same one. Members in canonical order.
 */
export type SiteStop =
  | { cause: 'disk' }
  | { cause: 'suspended'; principal: string }
  | { cause: 'incident'; incident: string; scope: Halt['scope'] };

const SCOPE_WORDS: Readonly<Record<Halt['scope'], string>> = {
  site: 'This site is',
  target: 'This target is',
  tool: 'The tool of this action is',
};

/** Gates that stops make fail, and that every break-glass session lifts. */
export const STOP_GATES: readonly string[] = ['incident.halt', 'disk.low'];

/** A failed gate for each stop. */
export function judgeStops(stops: readonly SiteStop[]): GateResult[] {
  return stops.map((stop) => ({ ...gateOf(stop), result: 'fail' }));
}

function gateOf(stop: SiteStop): Pick<GateResult, 'id' | 'reason'> {
  switch (stop.cause) {
    case 'disk':
      return {
        id: 'disk.low',
        reason: 'The disk is nearly full. What is left is kept for denials, emergencies and an orderly stop.',
      };
    case 'suspended':
      return {
        id: 'actor.suspended',
        reason: `${stop.principal} was suspended at this site. A policy update can lift that.`,
      };
    case 'incident':
      return {
        id: 'incident.halt',
        reason: `${SCOPE_WORDS[stop.scope]} halted by incident ${stop.incident} until an authorized person signs to resume.`,
      };
  }
}
