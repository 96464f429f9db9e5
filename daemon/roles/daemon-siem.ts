import { join } from 'node:path';
import type { Degraded } from '../engine/health/facts.ts';
import type { JsonObject } from '../formats/json.ts';
import type { SiteConfig } from '../host/config.ts';
import { makeDir } from '../host/durable-file.ts';
import type { Logger } from '../host/log.ts';
import type { SitePaths } from '../host/site.ts';
import { type Forwarding, startForwarding } from '../siem/forward.ts';

/** What the daemon does for a SIEM. */
export interface DaemonSiem {
  status(): JsonObject | null;
  degraded(): Degraded[];
  stop(): Promise<void>;
}

/** Starts the feeds that the site's settings name; without any there is no thread. */
export function openSiem(config: SiteConfig, paths: SitePaths, origin: string, log: Logger): DaemonSiem {
  const { file, outbox } = config.siem;
  if (file === null && outbox === null)
    return { status: () => null, degraded: () => [], stop: () => Promise.resolve() };
  const state = join(paths.state, 'siem');
  makeDir(state, 0o700);
  const forwarding = startForwarding(
    { file, outbox, origin, state, ledger: paths.ledger, outboxDir: join(paths.outbox, 'siem') },
    log,
  );
  return {
    status: () => ({ feeds: forwarding.feeds() as unknown as JsonObject[] }),
    degraded: () => siemHealth(forwarding),
    stop: () => forwarding.stop(),
  };
}

function siemHealth(forwarding: Forwarding): Degraded[] {
  return forwarding.feeds().flatMap(({ feed, state, trouble, since }) => {
    if (trouble === null && state?.full !== true) return [];
    const behind = state === null ? '' : ` ${state.behind} events wait in the ledger; none is lost.`;
    return [
      {
        component: 'siem' as const,
        cause: trouble === null ? 'siem.full' : 'siem.failed',
        since,
        effect: `The SIEM feed "${feed}" stands still. Decisions go on.${behind}`,
        instruction:
          trouble === null
            ? feed === 'file'
              ? 'Collect the files that were put aside and remove them, or raise siem.file.budget_bytes.'
              : 'Carry the outbox to headquarters and bring back the acknowledgements, or raise siem.outbox.budget_bytes.'
            : `It is tried again by itself: ${trouble}`,
      },
    ];
  });
}
