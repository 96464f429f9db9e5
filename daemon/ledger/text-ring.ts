import { sha256Hex, sha256Into } from '../formats/digest.ts';
import { MAX_SCANNED } from './entry-scan.ts';

const CAPACITY = 2 ** 21;
/** More than `CAPACITY` holds of entries as they are. */
const SLOTS = 4_096;

/**
 * The newest entries' bytes, in a ring: one copy of each serves the scan, its leaf hash, and the hash that the next entry of
 * its stream names, which mostly follows soon. Keeping the texts instead costs the collector more than all three.
 */
export class TextRing {
  readonly bytes = Buffer.alloc(CAPACITY);
  /** Where the newest lies. */
  start = 0;
  end = 0;
  #lap = 0;
  readonly #indexes = new Float64Array(SLOTS).fill(-1);
  readonly #starts = new Float64Array(SLOTS);
  readonly #lengths = new Uint32Array(SLOTS);

  /** Takes the next entry; false when it is too long. */
  put(index: number, text: string): boolean {
    if (text.length > MAX_SCANNED) return false;
    if (this.end + 1 + 3 * text.length > CAPACITY) {
      this.end = 0;
      this.#lap++;
    }
    // RFC 9162 §2.1.1: what a leaf's hash begins with.
    this.bytes[this.end] = 0;
    this.start = this.end + 1;
    const length = this.bytes.write(text, this.start, 'utf8');
    this.end = this.start + length;
    const slot = index % SLOTS;
    this.#indexes[slot] = index;
    this.#starts[slot] = this.#lap * CAPACITY + this.start;
    this.#lengths[slot] = length;
    return true;
  }

  /** Writes the leaf hash of the newest entry. */
  leafHash(target: Buffer): void {
    sha256Into(this.bytes.subarray(this.start - 1, this.end), target, 0);
  }

  /** Hex hash of an entry; null when it has left the ring. */
  hash(index: number): string | null {
    const slot = index % SLOTS;
    const start = this.#starts[slot] ?? 0;
    if (this.#indexes[slot] !== index || start <= (this.#lap - 1) * CAPACITY + this.end) return null;
    const at = start % CAPACITY;
    return sha256Hex(this.bytes.subarray(at, at + (this.#lengths[slot] ?? 0)));
  }
}
