import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { isStorageError } from '../ledger/database.ts';
import { composeEngine } from './compose.ts';
import { Engine } from './engine.ts';
import { type PackedReplies, packReplies } from './pack.ts';
import type { EngineEvent } from './protocol.ts';
import { ledgerInstruction } from './status.ts';

/*
 * The engine's worker thread: the one writer. Everything that waits when a batch starts is in that batch; while it
 * commits, the next one gathers in the port (group commit). When idle, a lone command is committed at once.
 */

/** Main → worker: numbered calls, or the word that it is over. */
export type ToWriter = { calls: [number, import('./protocol.ts').EngineCall][] } | { stop: string };

/**
 * Worker → main. The replies of a batch lie in one buffer that changes hands without being copied; `events` come with
 * the batch that made them.
 */
export type FromWriter =
  | { ready: true }
  | { failed: { code: string | null; message: string } }
  | { ids: number[]; packed: PackedReplies; events: EngineEvent[] }
  | { stopped: true };

/**
 * Upper bound of one batch. Past a few dozen entries a commit is paid for; smaller batches let the sockets write one
 * batch's replies while the next one is decided, and leave less garbage alive.
 */
const BATCH_MAX = 64;
/** How long the thread stays awake after a batch: about one round trip of a caller that asks again at once. */
const LINGER_MS = 0.3;
/** How long batches may follow each other before timers are looked at. */
const TURN_MS = 100;
const TICK_MS = 1_000;
/** The second copy follows within a second of the commit (design: "Inside the daemon"). */
const HEAD_SYNC_MS = 500;

function main(port: MessagePort): void {
  const engine = new Engine(composeEngine(workerData as { dir: string }));
  const queue: [number, import('./protocol.ts').EngineCall][] = [];
  /** What was committed since the second copy was brought along, and since the log was last moved. */
  let dirty = false;
  let unsettled = false;
  let stopping: string | null = null;

  const take = (message: ToWriter): void => {
    if ('stop' in message) stopping = message.stop;
    else for (const call of message.calls) queue.push(call);
  };
  const drainPort = (): void => {
    for (let more = receiveMessageOnPort(port); more !== undefined; more = receiveMessageOnPort(port)) {
      take(more.message as ToWriter);
    }
  };
  /** Waits a moment for the next call without going to sleep: being woken up costs more than deciding. */
  const linger = (): void => {
    const until = performance.now() + LINGER_MS;
    do drainPort();
    while (queue.length === 0 && stopping === null && performance.now() < until);
  };
  const run = (): void => {
    drainPort();
    const yieldAt = performance.now() + TURN_MS;
    while (queue.length > 0) {
      if (performance.now() > yieldAt) {
        // Under unbroken load the timers must have their turn too: the second copy, expiry.
        setImmediate(run);
        return;
      }
      const batch = queue.splice(0, BATCH_MAX);
      const { replies, events } = engine.process(batch.map(([, call]) => call));
      dirty ||= events.length > 0;
      const ids = batch.map(([id]) => id);
      const packed = packReplies(replies);
      port.postMessage({ ids, packed, events } satisfies FromWriter, [packed.bytes.buffer]);
      linger();
    }
    if (stopping !== null) finish(stopping);
  };
  const ticker = setInterval(() => {
    const { events } = engine.tick();
    if (events.length === 0) return;
    dirty = true;
    port.postMessage({ ids: [], packed: packReplies([]), events } satisfies FromWriter);
  }, TICK_MS);
  const follower = setInterval(() => {
    if (dirty) {
      engine.syncHead();
      unsettled = true;
    } else if (unsettled) {
      engine.settle();
      unsettled = false;
    }
    dirty = false;
  }, HEAD_SYNC_MS);
  const finish = (reason: string): void => {
    clearInterval(ticker);
    clearInterval(follower);
    engine.stop(reason);
    port.postMessage({ stopped: true } satisfies FromWriter);
    port.close();
  };
  port.on('message', (message: ToWriter) => {
    take(message);
    run();
  });
  port.postMessage({ ready: true } satisfies FromWriter);
}

if (parentPort === null) throw new Error('engine/writer runs as a worker thread');
try {
  main(parentPort);
} catch (error) {
  parentPort.postMessage({ failed: startFailure(error) } satisfies FromWriter);
  parentPort.close();
}

/** Starting failed: why, in words; the main thread turns it into an exit code. */
function startFailure(error: unknown): { code: string | null; message: string } {
  const code = error instanceof Error && 'code' in error ? String(error.code) : null;
  const message = error instanceof Error ? error.message : String(error);
  if (code === null || !isStorageError(error)) return { code, message };
  const words = `The ledger cannot be written (${code}: ${message}), so the daemon did not start. ${ledgerInstruction(code)}`;
  return { code: 'ledger.unavailable', message: words };
}
