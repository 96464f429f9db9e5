import { join } from 'node:path';
import { problemOf, problemReply } from '../api/problem.ts';
import type { HostServices } from '../api/server.ts';
import type { TakenCosignatures } from '../core/anchor-report.ts';
import type { EngineHandle, EngineReply } from '../engine/protocol.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import { currentLog } from '../formats/log-keys.ts';
import type { Logger } from '../host/log.ts';
import { readLineage } from '../host/log-lineage.ts';
import type { SitePaths } from '../host/site.ts';
import { TlogPolicyFile } from '../host/tlog-policy-file.ts';
import { CosignatureRounds } from '../policy/cosignature-rounds.ts';
import { type CosignedOptions, isForLater } from '../policy/cosignatures.ts';

/** What the daemon does about witnesses. */
export interface DaemonWitnesses {
  services: HostServices;
  /** Resolves when nothing is under way any more. */
  stop(): Promise<void>;
}

/** Another history was signed with this ledger's key. */
const CONTRADICTION = /^ledger\.(forked|set_back)$/;

/** Starts taking in cosignatures: those that the sync process brings, and those of `anchor import`. */
export function openWitnesses(paths: SitePaths, engine: EngineHandle, log: Logger): DaemonWitnesses {
  const rounds = new CosignatureRounds({
    engine,
    inbox: paths.inbox,
    ...witnessesOf(paths),
    listener: {
      taken: (name, report) => logTaken(log, name, report),
      refused: (name, { code, message }) => {
        if (CONTRADICTION.test(code)) log.error({ name, code }, message);
        else log.warn({ name, code }, message);
      },
      failed: (error) => log.warn({ err: error }, 'cosignatures could not be taken'),
    },
  });
  rounds.start();
  return {
    services: {
      'anchors.cosignatures': ({ body }) => takeOne(rounds, (body as { note: string }).note),
    },
    stop: () => rounds.stop(),
  };
}

/**
 * Whose words count at this site, read anew each time. Of its logs only the one that goes on: what was cosigned of one
 * before a restore says nothing about this one.
 */
export function witnessesOf({ trust }: SitePaths): Pick<CosignedOptions, 'trust' | 'witnesses'> {
  const policy = new TlogPolicyFile(join(trust, 'tlog-policy'));
  return {
    trust: () => {
      const { origin, keys } = currentLog(readLineage(trust));
      return { origin, vkeys: keys };
    },
    witnesses: () => policy.read(),
  };
}

async function takeOne(rounds: CosignatureRounds, note: string): Promise<EngineReply> {
  try {
    return { status: 200, body: JSON.stringify(await rounds.take(note)) };
  } catch (error) {
    if (!(error instanceof BoundaryError)) throw error;
    return problemReply(problemOf(statusOf(error), error.code, error.message));
  }
}

function statusOf(error: BoundaryError): number {
  if (isForLater(error)) return 503;
  return CONTRADICTION.test(error.code) ? 409 : 422;
}

function logTaken(log: Logger, name: string, { size, recorded, quorum, bad }: TakenCosignatures): void {
  if (recorded.length > 0) log.info({ name, size, witnesses: recorded, quorum }, 'cosigned by witnesses');
  if (bad.length > 0) log.warn({ name, size, witnesses: bad }, 'lines of these witnesses do not verify');
}
