import { toHex } from '../formats/digest.ts';

/** How long the answer to a challenge may take, by the monotonic clock. */
export const CHALLENGE_TTL_MS = 12 * 3_600_000;
const CHALLENGES_MAX = 256;
const CHALLENGE_BYTES = 32;

/**
 * Numbers that a statement of the time must answer to. A statement that holds one was signed after it was drawn, so the
 * monotonic clock tells how old the statement can be at most: one that somebody kept, to set the time back with it later,
 * is worth nothing. Kept in memory only; after a restart a new one is drawn.
 */
export class Challenges {
  readonly #drawn = new Map<string, number>();

  /** A new challenge, hex. */
  draw(random: Uint8Array, monotonic: number): string {
    const challenge = toHex(random.subarray(0, CHALLENGE_BYTES));
    this.#drawn.set(challenge, monotonic);
    const [oldest] = this.#drawn.keys();
    if (oldest !== undefined && this.#drawn.size > CHALLENGES_MAX) this.#drawn.delete(oldest);
    return challenge;
  }

  /** Milliseconds since it was drawn; null when it was not drawn here, or too long ago. */
  ageOf(challenge: string, monotonic: number): number | null {
    const drawn = this.#drawn.get(challenge);
    if (drawn === undefined || monotonic - drawn > CHALLENGE_TTL_MS) return null;
    return monotonic - drawn;
  }
}
