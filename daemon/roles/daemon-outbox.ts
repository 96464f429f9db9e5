import type { HostServices } from '../api/server.ts';
import type { EngineHandle } from '../engine/protocol.ts';
import type { JsonObject } from '../formats/json.ts';
import type { SiteConfig } from '../host/config.ts';
import type { Logger } from '../host/log.ts';
import type { SitePaths } from '../host/site.ts';
import { AcknowledgementRounds } from '../policy/acknowledgement-rounds.ts';
import { reportTaken, type TakenAcknowledgements } from '../policy/acknowledgements.ts';
import { outboxSummary } from '../policy/outbox.ts';
import type { ReceiptBook } from '../policy/receipts.ts';

/** What the daemon does about its outbox. */
export interface DaemonOutbox {
  services: HostServices;
  status(): JsonObject;
  /** Resolves when nothing is under way any more. */
  stop(): Promise<void>;
}

/** Refused acknowledgements that are logged one by one; a count stands for the rest. */
const LOGGED = 5;

/** Starts emptying the outbox of what headquarters acknowledged. */
export function openOutbox(
  { site }: SiteConfig,
  { inbox, outbox }: SitePaths,
  engine: EngineHandle,
  receipts: ReceiptBook,
  log: Logger,
): DaemonOutbox {
  const rounds = new AcknowledgementRounds({
    inbox,
    outbox,
    site,
    engine,
    listener: {
      taken: (report) => logTaken(report, log),
      failed: (error) => log.warn({ err: error }, 'acknowledgements could not be taken'),
    },
  });
  rounds.start();
  return {
    services: {
      'outbox.acknowledgements': async ({ body }) => {
        const taken = await rounds.fromMedium((body as { path: string }).path);
        return { status: 200, body: JSON.stringify(reportTaken(taken)) };
      },
    },
    status: () => ({ ...outboxSummary(outbox), receipts_dropped: receipts.dropped }),
    stop: () => rounds.stop(),
  };
}

function logTaken({ removed, refused }: TakenAcknowledgements, log: Logger): void {
  if (removed.length > 0) log.info({ files: removed.length }, 'headquarters has them: left the outbox');
  for (const { name, code, reason } of refused.slice(0, LOGGED)) log.warn({ name, code }, reason);
  if (refused.length > LOGGED) log.warn({ more: refused.length - LOGGED }, 'more acknowledgements refused');
}
