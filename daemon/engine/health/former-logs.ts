import { MEND } from '../former-logs.ts';
import type { Degraded, HealthFacts } from './facts.ts';

/** Logs of before a restore that cannot be read: whether something was asked there nobody can tell. */
export function formerLogsHealth({ state }: HealthFacts): Degraded[] {
  const unreadable = state?.former.unreadable() ?? [];
  if (unreadable.length === 0) return [];
  return [
    {
      component: 'former_logs',
      cause: `the log that ended when this site was restored cannot be read: ${unreadable.join(', ')}`,
      since: null,
      effect:
        'Requests with an Idempotency-Key that this log does not know are refused: they may have run before the restore.',
      instruction: MEND,
    },
  ];
}
