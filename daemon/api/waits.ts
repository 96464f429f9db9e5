import type { EngineHandle, EngineReply } from '../engine/protocol.ts';

/** Of a reply to `decisions.create` and `decisions.get`: the decision still waits for authority. */
export const PENDING_STATUS = 202;

/**
 * Callers that wait for a pending decision to be decided (`?wait=30s`). One listener on the engine serves them all.
 */
export class Waits {
  readonly #wakers = new Map<string, Set<() => void>>();
  readonly #unsubscribe: () => void;
  #stopped = false;

  constructor(engine: EngineHandle) {
    this.#unsubscribe = engine.onEvents((events) => {
      if (this.#wakers.size === 0) return;
      for (const event of events) this.#wake(event.stream);
    });
  }

  /**
   * Reads a decision again whenever an entry was added to it, until it is decided, the time is up, `signal` aborts, or
   * the server stops; resolves with the newest reply. The waker is set before each reading, so no entry slips between.
   */
  async untilDecided(
    id: string,
    read: () => Promise<EngineReply>,
    options: { waitMs: number; signal: AbortSignal },
  ): Promise<EngineReply> {
    const deadline = AbortSignal.any([options.signal, AbortSignal.timeout(options.waitMs)]);
    for (;;) {
      const change = this.#nextChange(id, deadline);
      try {
        const reply = await read();
        if (reply.status !== PENDING_STATUS) return reply;
        if (!deadline.aborted && !this.#stopped) await change.promise;
        if (deadline.aborted || this.#stopped) return reply;
      } finally {
        change.cancel();
      }
    }
  }

  /** Number of callers that wait. */
  get waiting(): number {
    let total = 0;
    for (const wakers of this.#wakers.values()) total += wakers.size;
    return total;
  }

  /** Sends everybody home with what there is. */
  stop(): void {
    this.#stopped = true;
    this.#unsubscribe();
    for (const id of [...this.#wakers.keys()]) this.#wake(id);
  }

  #wake(id: string): void {
    for (const waker of [...(this.#wakers.get(id) ?? [])]) waker();
  }

  #nextChange(id: string, deadline: AbortSignal): { promise: Promise<void>; cancel: () => void } {
    const { promise, resolve } = Promise.withResolvers<void>();
    const wakers = this.#wakers.get(id) ?? new Set();
    this.#wakers.set(id, wakers);
    const cancel = () => {
      wakers.delete(cancel);
      if (wakers.size === 0 && this.#wakers.get(id) === wakers) this.#wakers.delete(id);
      deadline.removeEventListener('abort', cancel);
      resolve();
    };
    wakers.add(cancel);
    if (deadline.aborted) cancel();
    else deadline.addEventListener('abort', cancel);
    return { promise, cancel };
  }
}
