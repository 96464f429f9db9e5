import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { shedAtRest, shedMemory } from '../host/memory.ts';
import { isStorageError } from '../ledger/database.ts';
import { composeEngine } from './compose.ts';
import { Engine } from './engine.ts';
import { ledgerInstruction } from './health/ledger.ts';
import { type PackedReplies, packReplies } from './pack.ts';
import type { DraftReply, EngineCall, EngineEvent } from './protocol.ts';

/*
 * The engine's worker thread: the one writer. Everything that waits when a batch starts is in that batch; while it
 * commits, the next one gathers in the port (group commit). When idle, a lone command is committed at once.
 */

/** Main → worker: numbered calls, or the word that it is over. */
export type ToWriter = { calls: [number, EngineCall][] } | { stop: string };

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
/** How long the thread stays awake after a small batch: about one round trip of a caller that asks again at once. */
const LINGER_MS = 0.3;
/** Batches up to this size are small: with more callers there is always one whose request is on its way. */
const FEW_CALLS = 2;
/** How long batches may follow each other before timers are looked at. */
const TURN_MS = 100;
const TICK_MS = 1_000;
/** The second copy follows within a second of the commit (design: "Inside the daemon"). */
const HEAD_SYNC_MS = 500;
/** The time floor is brought along at least so often. */
const IDLE_SYNC_MS = 10 * 60_000;

/** The loop of the writer's thread: gathers, processes, replies; between batches the timers have their turn. */
class Writer {
  readonly #port: MessagePort;
  readonly #engine: Engine;
  readonly #queue: [number, EngineCall][] = [];
  readonly #timers: NodeJS.Timeout[];
  /** What was committed since the second copy was brought along, and since the log was last moved. */
  #dirty = false;
  #unsettled = false;
  #syncedAt = performance.now();
  #stopping: string | null = null;

  constructor(port: MessagePort, engine: Engine) {
    this.#port = port;
    this.#engine = engine;
    this.#timers = [
      setInterval(() => this.#tick(), TICK_MS),
      setInterval(() => this.#follow(), HEAD_SYNC_MS),
    ];
    port.on('message', (message: ToWriter) => {
      this.#take(message);
      this.#run();
    });
  }

  #take(message: ToWriter): void {
    if ('stop' in message) this.#stopping = message.stop;
    else for (const call of message.calls) this.#queue.push(call);
  }

  #run(): void {
    this.#drainPort();
    const yieldAt = performance.now() + TURN_MS;
    while (this.#queue.length > 0) {
      if (performance.now() > yieldAt) {
        // Under unbroken load the timers must have their turn too: the second copy, expiry.
        setImmediate(() => this.#run());
        return;
      }
      const calls = this.#queue.splice(0, BATCH_MAX);
      this.#batch(calls);
      if (calls.length <= FEW_CALLS) this.#linger();
      else this.#drainPort();
    }
    if (this.#stopping !== null) this.#finish(this.#stopping);
  }

  #batch(calls: [number, EngineCall][]): void {
    const { replies, events } = this.#engine.process(calls.map(([, call]) => call));
    this.#post(
      calls.map(([id]) => id),
      replies,
      events,
    );
  }

  #post(ids: number[], replies: readonly DraftReply[], events: EngineEvent[]): void {
    this.#dirty ||= events.length > 0;
    const packed = packReplies(replies);
    this.#port.postMessage({ ids, packed, events } satisfies FromWriter, [packed.bytes.buffer]);
  }

  #drainPort(): void {
    for (
      let more = receiveMessageOnPort(this.#port);
      more !== undefined;
      more = receiveMessageOnPort(this.#port)
    ) {
      this.#take(more.message as ToWriter);
    }
  }

  /** Waits a moment for the next call without going to sleep: being woken up costs more than deciding. */
  #linger(): void {
    const until = performance.now() + LINGER_MS;
    do this.#drainPort();
    while (this.#queue.length === 0 && this.#stopping === null && performance.now() < until);
  }

  #tick(): void {
    const { events } = this.#engine.tick();
    if (events.length > 0) this.#post([], [], events);
  }

  #follow(): void {
    // Without anything to record too, or a site that is cut off after quiet weeks would have forgotten that they passed.
    const idle = performance.now() - this.#syncedAt > IDLE_SYNC_MS;
    if (this.#dirty || idle) {
      this.#syncedAt = performance.now();
      this.#engine.syncHead();
      this.#unsettled = true;
    } else if (this.#unsettled) {
      this.#engine.settle();
      this.#unsettled = false;
    }
    this.#dirty = false;
  }

  #finish(reason: string): void {
    for (const timer of this.#timers) clearInterval(timer);
    this.#engine.stop(reason);
    this.#port.postMessage({ stopped: true } satisfies FromWriter);
    this.#port.close();
  }
}

if (parentPort === null) throw new Error('engine/writer runs as a worker thread');
try {
  new Writer(parentPort, new Engine(composeEngine(workerData as { dir: string })));
  shedMemory();
  shedAtRest();
  parentPort.postMessage({ ready: true } satisfies FromWriter);
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
