import type { FreshnessStep } from '../../core/freshness.ts';
import type { AnchorRow } from '../anchor-rows.ts';
import type { EngineState } from '../context.ts';
import { type Degraded, type HealthFacts, iso } from './facts.ts';

/** What status says of anchors: the newest, the newest that is known outside, and the countdown of the policies. */
export function anchorSummary(state: EngineState | null): object | null {
  if (state === null) return null;
  const { projections, policies } = state;
  return {
    newest: linkOf(projections.newestAnchor()),
    departed: linkOf(projections.newestAnchor('departed')),
    acknowledged: linkOf(projections.newestAnchor('acknowledged')),
    demanded: policies.anchoring.report().map(({ environment, counts, step, since, next }) => ({
      environment,
      counts,
      step,
      since: iso(since),
      next: next === null ? null : { step: next.step, at: iso(next.at) },
    })),
  };
}

function linkOf(row: AnchorRow | null): { size: number; made_at: string } | null {
  return row === null ? null : { size: row.size, made_at: iso(row.at) };
}

const EFFECTS: Readonly<Record<Exclude<FreshnessStep, 'fresh'>, string>> = {
  warn: 'Nothing is decided otherwise yet.',
  escalate: 'What the policy holds back for it needs an approval, even where no route demands one.',
  deny: 'What the policy holds back for it is denied.',
};

const INSTRUCTIONS = {
  made: 'Export one: holdfast anchor export. Have the site do it by itself: "anchors": {"schedule": …} in holdfast.json.',
  left: 'Let one leave: over the link (holdfast sync), or onto a stick (holdfast anchor export -o DIR).',
} as const;

/** Anchors that are overdue by the policies in force. */
export function anchorHealth({ state, time }: HealthFacts): Degraded[] {
  const at = time.trust === 'uncertain' ? time.floor : time.now;
  return (state?.policies.anchoring.report() ?? []).flatMap(({ environment, counts, step, since, next }) => {
    if (step === 'fresh') return [];
    const hours = Math.max(0, Math.floor((at - since) / 3_600_000));
    const ago = hours < 48 ? `${hours} hours` : `${Math.floor(hours / 24)} days`;
    const what =
      counts === 'left'
        ? `nothing of the last ${ago} is known outside the site`
        : `no anchor was made for ${ago}`;
    const then = next === null ? '' : ` Next: ${next.step}, at ${iso(next.at)}.`;
    return [
      {
        component: 'anchor' as const,
        cause: `${what}; the policy of ${environment} demands anchors (${step})`,
        since: iso(since),
        effect: `${EFFECTS[step]}${then}`,
        instruction: INSTRUCTIONS[counts],
      },
    ];
  });
}
