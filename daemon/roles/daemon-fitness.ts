import { statfs } from 'node:fs/promises';
import { type EngineHandle, internal, textOf } from '../engine/protocol.ts';
import type { Clock } from '../host/clock.ts';
import type { SiteConfig } from '../host/config.ts';
import type { SitePaths } from '../host/site.ts';
import { type Fitness, unfit } from './self-check.ts';

/** The parts of the engine's status that say whether it works. */
interface EngineStatus {
  ready: boolean;
  time: { trust: string };
  ledger: { write_state: string; size: number | null };
  disk: { level: string };
  decisions: { pending: number; queued: number } | null;
  degraded: { component: string }[];
}

/** A ledger that got no entry for this many heartbeats does not advance. */
const MISSED_HEARTBEATS = 3;

/**
 * The daemon's self-check: the engine's thread answers, the ledger's newest entry can be read, the ledger grows (heartbeats
 * are due) and never shrinks, the disk of the state directory answers, the monotonic clock moves. A full disk, a doubtful
 * wall clock or a ledger that cannot be written are shown, and are no reason to start the process anew: the daemon goes on
 * saying no, which one that does not come up again would not.
 */
export function daemonFitness(
  config: SiteConfig,
  paths: SitePaths,
  engine: EngineHandle,
  clock: Clock,
): () => Promise<Fitness> {
  const grown = growth(config.watch.heartbeatMs * MISSED_HEARTBEATS);
  let before = Number.NEGATIVE_INFINITY;
  return async () => {
    const now = clock.monotonic();
    if (!(now > before)) return unfit('the monotonic clock stands still');
    before = now;
    await statfs(paths.state, { bigint: true });
    const answer = await engine.call(internal('status.get', null));
    if (answer.status !== 200) return unfit(`the engine does not say how it is (${answer.status})`);
    const status = JSON.parse(textOf(answer)) as EngineStatus;
    const { size, write_state } = status.ledger;
    const writes = write_state === 'ok' && status.disk.level !== 'critical';
    const trouble =
      (size === null ? null : grown(size, now, writes)) ?? (writes ? await newestEntry(engine, size) : null);
    return trouble === null ? { trouble: null, status: line(status) } : unfit(trouble);
  };
}

/** Follows the size of the ledger; returns what is wrong with it, or null. */
function growth(patienceMs: number): (size: number, now: number, writes: boolean) => string | null {
  let largest = 0;
  let since = 0;
  return (size, now, writes) => {
    if (size < largest) return `the ledger shrank from ${largest} to ${size} entries while it was open`;
    if (size > largest || !writes) since = now;
    largest = size;
    if (now - since <= patienceMs) return null;
    return `the ledger got no entry for ${Math.round((now - since) / 60_000)} minutes, though heartbeats are due`;
  };
}

/** From the disk, not from memory. */
async function newestEntry(engine: EngineHandle, size: number | null): Promise<string | null> {
  if (size === null || size === 0) return null;
  const args = { from: String(size - 1), limit: '1' };
  const answer = await engine.call({ ...internal('ledger.entries', null), args });
  return answer.status === 200 ? null : `entry ${size - 1} of the ledger cannot be read (${answer.status})`;
}

function line({ ready, time, ledger, disk, decisions, degraded }: EngineStatus): string {
  const parts = [
    ready ? 'deciding' : 'allows nothing at the moment',
    `${ledger.size ?? 'no'} entries`,
    `${(decisions?.pending ?? 0) + (decisions?.queued ?? 0)} decisions wait`,
    `time ${time.trust}`,
    `disk ${disk.level}`,
  ];
  const names = [...new Set(degraded.map(({ component }) => component))];
  return [...parts, ...(names.length === 0 ? [] : [`degraded: ${names.join(', ')}`])].join('; ');
}
