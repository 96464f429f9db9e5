import { CAUSE_WORDS, haltWords } from '../../core/incident.ts';
import type { EngineState } from '../context.ts';
import { sitePolicy } from '../site-acts.ts';
import type { Degraded, HealthFacts } from './facts.ts';

/** Shown one by one; `incident list` has all of them. */
const SHOWN = 10;

/** Every open incident, and what it halts. */
export function incidentHealth({ state }: HealthFacts): Degraded[] {
  if (state === null || !state.halts.any) return [];
  const roles = sitePolicy(state.policies)?.compiled.bundle.incidents?.resume_roles ?? [];
  return state.halts
    .all()
    .slice(0, SHOWN)
    .map(({ id, halt, opened_at, data }) => ({
      component: 'incident' as const,
      cause: `${CAUSE_WORDS[data.cause]}: ${data.detail} (${id})`,
      since: opened_at,
      effect: `HALTED: ${haltWords(halt)}. Requests are denied and permits cannot be used; break-glass still works.`,
      instruction:
        roles.length === 0
          ? `Look into it: holdfast incident show ${id}. The policy names nobody who may resume; bring in an update with incidents.resume_roles.`
          : `Find out what happened: holdfast incident show ${id}. Then somebody with ${roles.join(' or ')} signs: holdfast incident resume ${id} --key KEY --reason TEXT`,
    }));
}

/** How many incidents are open, and what they halt. */
export function incidentSummary(state: EngineState | null): object | null {
  if (state === null) return null;
  const open = state.halts.all();
  return {
    open: open.length,
    halted: [...new Set(open.map(({ halt }) => haltWords(halt)))].slice(0, SHOWN),
    site_halted: open.some(({ halt }) => halt.scope === 'site'),
  };
}
