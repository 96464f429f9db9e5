import { setTimeout as pause } from 'node:timers/promises';
import { ApiProblem, ApiUnreachable, type OpenPermit } from '../api/client.ts';
import type { Gatekeeper } from './enforce.ts';

const FIRST_RETRY_MS = 250;
/** The daemon listens on this machine: asking it each second costs nothing, and people look at `status` as soon as it is up. */
const LAST_RETRY_MS = 1_000;

const CRASHED = 'the gateway stopped while the tool may have been running';
const UNRECORDED = 'redeemed for this gateway, which has no record of what became of it';

/** What a recovery found; every one of them is journaled and reported (or being reported). */
export interface Recovery {
  /** Runs whose end is not known: reported as `unknown`, to be reconciled by people. */
  unknown: string[];
  /** Runs that had ended, but whose outcome the engine had not acknowledged. */
  resumed: string[];
}

/**
 * Clears what a former process left behind, once, before or while new actions come in: runs that were started and have
 * no end become `unknown`; so do permits that the engine holds as redeemed and this journal does not know. Nothing is
 * run again. Waits, with growing pauses, until the engine answers; ends early when `signal` aborts.
 */
export async function recover(
  gate: Gatekeeper,
  signal: AbortSignal,
  wait: Wait = pauseUnlessAborted,
): Promise<Recovery> {
  const found: Recovery = { unknown: [], resumed: [] };
  for (const run of gate.journal.openRuns()) {
    if (run.result === null) {
      found.unknown.push(run.permit_id);
      await gate.reporter.settle({ ...run, result: 'unknown', detail: { reason: CRASHED } });
    } else {
      found.resumed.push(run.permit_id);
      await gate.reporter.resume({ ...run, result: run.result });
    }
  }
  for (let left = true; left; ) {
    left = false;
    // The engine lists a bounded number at a time.
    for (const { permit_id, decision_id } of await openPermits(gate, signal, wait)) {
      // A permit that the journal knows is running now, or was settled above.
      if (gate.journal.claim(permit_id) === 'used') continue;
      left = true;
      found.unknown.push(permit_id);
      await gate.reporter.settle({
        permit_id,
        decision_id,
        result: 'unknown',
        detail: { reason: UNRECORDED },
      });
    }
  }
  if (found.unknown.length > 0) {
    gate.log.warn({ permits: found.unknown }, 'outcomes unknown; close each with `decision reconcile`');
  }
  return found;
}

/** Lets some milliseconds pass; returns early when the signal aborts. */
type Wait = (ms: number, signal: AbortSignal) => Promise<void>;

const pauseUnlessAborted: Wait = (ms, signal) => pause(ms, undefined, { signal }).catch(() => {});

async function openPermits(gate: Gatekeeper, signal: AbortSignal, wait: Wait): Promise<OpenPermit[]> {
  let delay = FIRST_RETRY_MS;
  while (!signal.aborted) {
    try {
      return await gate.engine.openPermits();
    } catch (error) {
      if (!(error instanceof ApiUnreachable || error instanceof ApiProblem)) throw error;
      // Once: a daemon that is away for a day must not fill the log.
      if (delay === FIRST_RETRY_MS)
        gate.log.info({}, 'the engine does not answer yet; recovery waits for it');
      await wait(delay, signal);
      delay = Math.min(delay * 2, LAST_RETRY_MS);
    }
  }
  return [];
}
