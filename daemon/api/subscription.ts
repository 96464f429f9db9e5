import { type EngineHandle, textOf } from '../engine/protocol.ts';
import type { JsonObject } from '../formats/json.ts';
import type { Caller } from '../identity/callers.ts';
import { problem } from './problem.ts';

/** Subscriptions of one connection. */
const SUBSCRIPTIONS_MAX = 8;
/** Entries read at a time; with entries of 64 KiB this bounds what waits for a slow reader to 4 MiB. */
const PAGE = 64;
const FORBIDDEN = 403;

/** What is wanted: entries from an index on, of these types, of this stream. */
export interface Wanted {
  from: number;
  kinds?: string[];
  stream?: string;
}

interface Page {
  size: number;
  entries: { index: number; entry: JsonObject }[];
}

interface Subscription {
  wanted: Wanted;
  next: number;
  active: boolean;
  /** Ends the sleep of the pump; null while it is awake. */
  wake: (() => void) | null;
}

/**
 * The subscriptions of one connection. Each is a pump that reads committed entries page by page and sends them in
 * order; the engine's events only wake it. So there are no gaps, and a slow reader makes its own pump slow and nothing
 * else: at most one page waits for it.
 */
export class Subscriptions {
  readonly #engine: EngineHandle;
  readonly #caller: Caller;
  readonly #send: (text: string) => Promise<boolean>;
  readonly #failed: (error: unknown) => void;
  readonly #open = new Map<number, Subscription>();
  #lastId = 0;
  #unsubscribe: (() => void) | null = null;

  /** `send` resolves when the text was handed to the system (true) or the connection is gone (false). */
  constructor(
    engine: EngineHandle,
    caller: Caller,
    send: (text: string) => Promise<boolean>,
    failed: (error: unknown) => void,
  ) {
    this.#engine = engine;
    this.#caller = caller;
    this.#send = send;
    this.#failed = failed;
  }

  /** Opens a subscription; null when there are too many. Nothing is sent before `start`. */
  open(wanted: Wanted): number | null {
    if (this.#open.size >= SUBSCRIPTIONS_MAX) return null;
    this.#unsubscribe ??= this.#engine.onEvents(() => {
      for (const subscription of this.#open.values()) subscription.wake?.();
    });
    this.#lastId += 1;
    this.#open.set(this.#lastId, { wanted, next: wanted.from, active: true, wake: null });
    return this.#lastId;
  }

  /** Starts sending, after the caller was told the subscription's number. */
  start(id: number): void {
    const subscription = this.#open.get(id);
    if (subscription === undefined) return;
    this.#pump(id, subscription).catch((error: unknown) => {
      this.#failed(error);
      this.close(id);
    });
  }

  /** Ends a subscription; false when there is none of that number. */
  close(id: number): boolean {
    const subscription = this.#open.get(id);
    if (subscription === undefined) return false;
    subscription.active = false;
    subscription.wake?.();
    return this.#open.delete(id);
  }

  stop(): void {
    for (const id of [...this.#open.keys()]) this.close(id);
    this.#unsubscribe?.();
    this.#unsubscribe = null;
  }

  async #pump(id: number, subscription: Subscription): Promise<void> {
    while (subscription.active) {
      // The sleep is prepared before the reading: an entry that comes in between ends it at once.
      const changed = new Promise<void>((resolve) => {
        subscription.wake = resolve;
      });
      const page = await this.#read(subscription.next);
      if ('problem' in page) {
        // Whoever may not read any more is told so, and the subscription is over.
        await this.#send(`{"subscription":${id},"problem":${page.problem}}`);
        this.close(id);
        return;
      }
      if (!subscription.active || !(await this.#sendPage(id, subscription, page))) return;
      if (page.entries.length === 0) await changed;
    }
  }

  /** Sends what is wanted of a page; resolves when the last of it was taken, false when the connection is gone. */
  #sendPage(id: number, subscription: Subscription, { entries }: Page): Promise<boolean> {
    let taken = Promise.resolve(true);
    for (const { index, entry } of entries) {
      subscription.next = index + 1;
      if (!isWanted(subscription.wanted, entry)) continue;
      taken = this.#send(`{"subscription":${id},"index":${index},"entry":${JSON.stringify(entry)}}`);
    }
    return taken;
  }

  async #read(from: number): Promise<Page | { problem: string }> {
    const refusal = this.#caller.refusal();
    if (refusal !== null)
      return {
        problem: JSON.stringify(problem('peer.certificate_refused', `${refusal} Nothing more is sent.`)),
      };
    const reply = await this.#engine.call({
      method: 'ledger.entries',
      args: { from: String(from), limit: String(PAGE) },
      body: null,
      key: null,
      peer: this.#caller.peer,
    });
    if (reply.status === FORBIDDEN) return { problem: textOf(reply) };
    if (reply.status !== 200) throw new Error(`ledger.entries answered ${reply.status}`);
    return JSON.parse(textOf(reply)) as Page;
  }
}

function isWanted({ kinds, stream }: Wanted, entry: JsonObject): boolean {
  if (kinds !== undefined && !kinds.includes(String(entry.type))) return false;
  return stream === undefined || entry.stream === stream;
}
