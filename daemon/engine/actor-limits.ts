import { ANYBODY } from '../core/watched.ts';
import { decodeEntry, type Entry } from '../formats/entry.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Projections } from './projections.ts';

const WAITING: readonly string[] = ['evaluated', 'pending_authority'];
/** Of each status, what is read when a ledger is opened; what waits beyond that is not counted. */
const RESTORED_MAX = 50_000;
const PAGE = 1_000;

/**
 * How much each actor asks for, and how much of it waits: what the policy's `limits` are held against. A cache over the
 * ledger, kept in step entry by entry; a batch that falls takes it along. What is allowed at once costs it one comparison.
 */
export class ActorLimits {
  /** Decision that waits → its actor. */
  readonly #waiting = new Map<string, string>();
  readonly #pending = new Map<string, number>();
  /** Requests that an actor has left at an instant of the monotonic clock. Only actors that the policy knows have one. */
  readonly #buckets = new Map<string, { left: number; at: number }>();

  /** Takes up what the ledger says is waiting. */
  restore(ledger: Ledger, projections: Projections): void {
    for (const status of WAITING) {
      let after: string | null = null;
      for (let read = 0; read < RESTORED_MAX; read += PAGE) {
        const rows = projections.list({ status, after, limit: PAGE });
        for (const { id } of rows) {
          const [first] = ledger.stream(id);
          if (first !== undefined) this.#add(id, decodeEntry(first.bytes).actor.id);
        }
        after = rows.at(-1)?.id ?? null;
        if (rows.length < PAGE) break;
      }
    }
  }

  /** Follows an entry after which a decision has the status. */
  follow({ stream, actor, seq }: Entry, status: string): void {
    if (!WAITING.includes(status)) {
      if (this.#waiting.size > 0) this.#remove(stream);
    } else if (seq === 0) this.#add(stream, actor.id);
  }

  #add(decision: string, actor: string | null): void {
    const who = actor ?? ANYBODY;
    this.#waiting.set(decision, who);
    this.#pending.set(who, this.pending(who) + 1);
  }

  #remove(decision: string): void {
    const actor = this.#waiting.get(decision);
    if (actor === undefined) return;
    this.#waiting.delete(decision);
    const left = this.pending(actor) - 1;
    if (left > 0) this.#pending.set(actor, left);
    else this.#pending.delete(actor);
  }

  /** How many decisions of an actor wait. */
  pending(actor: string): number {
    return this.#pending.get(actor) ?? 0;
  }

  /** Whether an actor may ask once more at this moment; counts it. Bursts of up to one second's requests are let through. */
  admits(actor: string, per_second: number, monotonic: number): boolean {
    const bucket = this.#buckets.get(actor);
    const refilled =
      bucket === undefined ? per_second : bucket.left + refill(bucket.at, per_second, monotonic);
    const left = Math.min(refilled, per_second);
    const admitted = left >= 1;
    this.#buckets.set(actor, { left: admitted ? left - 1 : left, at: monotonic });
    return admitted;
  }
}

function refill(since: number, per_second: number, monotonic: number): number {
  return (Math.max(0, monotonic - since) / 1_000) * per_second;
}
