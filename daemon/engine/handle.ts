import type { Worker } from 'node:worker_threads';
import { BoundaryError } from '../formats/boundary-error.ts';
import { startThread } from '../host/thread.ts';
import { completeReply } from './complete.ts';
import { unpackReply } from './pack.ts';
import type { EngineCall, EngineEvent, EngineHandle, EngineReply } from './protocol.ts';
import type { FromWriter, ToWriter } from './writer.ts';

interface Waiting {
  resolve(reply: EngineReply): void;
  reject(error: Error): void;
}

/** Up to this many open calls the main thread waits awake, and for so long. */
const FEW_CALLS = 2;
const AWAKE_MS = 1;
/** Measured: V8's own choice (100 MB and more on large machines) decides no more a second. */
const YOUNG_MB = 24;

/** The engine is gone: the worker ended while calls were open, or a call came after it. Nothing was acknowledged. */
export class EngineGone extends Error {
  override readonly name = 'EngineGone';
}

/**
 * Starts the engine's worker thread for a site directory. Resolves when the ledger is open and `system.started` is
 * durable; throws `BoundaryError` with the ledger's own code when it cannot be opened.
 * `onGone` is called when the worker, once it was ready, ends without having been asked to.
 */
export async function startEngine(dir: string, onGone: (error: Error) => void): Promise<EngineHandle> {
  const worker = startThread(new URL('./writer.ts', import.meta.url), {
    workerData: { dir },
    stdin: false,
    resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB },
  });
  const link = new WriterLink(worker, onGone);
  await link.ready;
  return link;
}

class WriterLink implements EngineHandle {
  readonly ready: Promise<void>;
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  readonly #listeners = new Set<(events: EngineEvent[]) => void>();
  #outgoing: [number, EngineCall][] = [];
  #nextId = 1;
  #stopped: (() => void) | null = null;
  #gone: Error | null = null;

  constructor(worker: Worker, onGone: (error: Error) => void) {
    this.#worker = worker;
    let started: () => void = () => {};
    let running = false;
    let failed: (error: Error) => void = () => {};
    this.ready = new Promise<void>((resolve, reject) => {
      started = resolve;
      failed = reject;
    });
    worker.on('message', (message: FromWriter) => {
      if ('ready' in message) {
        running = true;
        started();
      } else if ('failed' in message) failed(startFailure(message.failed));
      else if ('stopped' in message) this.#stopped?.();
      else this.#deliver(message);
    });
    const end = (error: Error): void => {
      failed(error);
      this.#abandon(error);
      if (this.#stopped !== null) this.#stopped();
      else if (running) onGone(error);
    };
    worker.on('error', (error) => end(error instanceof Error ? error : new Error(String(error))));
    worker.on('exit', (code) => end(new EngineGone(`the engine's thread ended with code ${code}`)));
  }

  call(call: EngineCall): Promise<EngineReply> {
    if (this.#gone !== null || this.#stopped !== null) {
      return Promise.reject(new EngineGone('the engine is not running'));
    }
    return new Promise((resolve, reject) => {
      const id = this.#nextId++;
      this.#waiting.set(id, { resolve, reject });
      // One crossing for everything that the sockets delivered in this turn of the event loop.
      if (this.#outgoing.push([id, call]) === 1) setImmediate(() => this.#flush());
    });
  }

  onEvents(listener: (events: EngineEvent[]) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  stop(reason: string): Promise<void> {
    if (this.#gone !== null) return Promise.resolve();
    this.#flush();
    return new Promise((resolve) => {
      this.#stopped = resolve;
      this.#worker.postMessage({ stop: reason } satisfies ToWriter);
    });
  }

  #flush(): void {
    if (this.#outgoing.length === 0 || this.#gone !== null) return;
    const calls = this.#outgoing;
    this.#outgoing = [];
    this.#worker.postMessage({ calls } satisfies ToWriter);
    if (this.#waiting.size <= FEW_CALLS) this.#stayAwake(performance.now() + AWAKE_MS);
  }

  /**
   * Keeps the event loop turning until the answer is there: for a lone caller, being woken up from sleep would take as
   * long as a good part of the decision. With more callers there is always something to do.
   */
  #stayAwake(until: number): void {
    if (this.#waiting.size === 0 || this.#waiting.size > FEW_CALLS || performance.now() > until) return;
    setImmediate(() => this.#stayAwake(until));
  }

  #deliver(batch: Extract<FromWriter, { ids: number[] }>): void {
    batch.ids.forEach((id, index) => {
      this.#waiting.get(id)?.resolve(completeReply(unpackReply(batch.packed, index)));
      this.#waiting.delete(id);
    });
    if (batch.events.length > 0) for (const listener of this.#listeners) listener(batch.events);
  }

  #abandon(error: Error): void {
    this.#gone = error;
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}

function startFailure({ code, message }: { code: string | null; message: string }): Error {
  return code === null ? new Error(message) : new BoundaryError(code, message);
}
