import { randomBytes } from '../host/random.ts';

/** What the verification of a range asks and tells about places in streams. */
export interface StreamPlaces {
  place(index: number, stream: string, seq: number): void;
  /** Entry `index` alone makes a permit that is not used, and expires at `until` (milliseconds since 1970). */
  grant(index: number, until: number): void;
  follows(before: number, after: number): boolean;
  claim(index: number): boolean;
}

/** The arrays behind `StreamMarks`, as they travel to worker threads. */
export interface SharedMarks {
  key: readonly [number, number];
  names: SharedArrayBuffer;
  seqs: SharedArrayBuffer;
  claimed: SharedArrayBuffer;
  grants: SharedArrayBuffer;
}

/**
 * What verification remembers of every entry, shared by its threads, some 24 bytes each: a keyed hash of the stream's name, the
 * number in the stream, whether another entry has named it as its predecessor, and when its unused permit expires.
 *
 * The hash is HalfSipHash-2-4 (Aumasson, Bernstein) under a key drawn for this run, so that nobody can have prepared
 * names that collide.
 */
export class StreamMarks implements StreamPlaces {
  readonly shared: SharedMarks;
  readonly #names: Int32Array;
  readonly #seqs: Float64Array;
  readonly #claimed: Int32Array;
  readonly #grants: Float64Array;

  constructor(shared: SharedMarks) {
    this.shared = shared;
    this.#names = new Int32Array(shared.names);
    this.#seqs = new Float64Array(shared.seqs);
    this.#claimed = new Int32Array(shared.claimed);
    this.#grants = new Float64Array(shared.grants);
  }

  static ofSize(size: number): StreamMarks {
    const key = new DataView(randomBytes(8).buffer);
    return new StreamMarks({
      key: [key.getInt32(0), key.getInt32(4)],
      names: new SharedArrayBuffer(size * 8),
      seqs: new SharedArrayBuffer(size * 8),
      claimed: new SharedArrayBuffer(Math.ceil(size / 32) * 4),
      grants: new SharedArrayBuffer(size * 8),
    });
  }

  /** Notes that entry `index` is number `seq` of `stream`. */
  place(index: number, stream: string, seq: number): void {
    const { h0, h1 } = halfSipHash(stream, this.shared.key);
    this.#names[2 * index] = h0;
    this.#names[2 * index + 1] = h1;
    this.#seqs[index] = seq + 1;
  }

  grant(index: number, until: number): void {
    this.#grants[index] = until;
  }

  /** Whether entry `index` was placed as number `seq` of `stream`. */
  isAt(index: number, stream: string, seq: number): boolean {
    if (this.#seqs[index] !== seq + 1) return false;
    const { h0, h1 } = halfSipHash(stream, this.shared.key);
    return this.#names[2 * index] === h0 && this.#names[2 * index + 1] === h1;
  }

  /** Whether two placed entries follow each other in one stream. */
  follows(before: number, after: number): boolean {
    return (
      this.#names[2 * before] === this.#names[2 * after] &&
      this.#names[2 * before + 1] === this.#names[2 * after + 1] &&
      (this.#seqs[before] ?? 0) + 1 === this.#seqs[after]
    );
  }

  /** Notes that `index` has a successor; false when it had one already. */
  claim(index: number): boolean {
    const bit = 1 << (index % 32);
    return (Atomics.or(this.#claimed, Math.floor(index / 32), bit) & bit) === 0;
  }

  hasSuccessor(index: number): boolean {
    return ((this.#claimed[Math.floor(index / 32)] ?? 0) & (1 << (index % 32))) !== 0;
  }

  /** How many of the first `size` entries are the last of their stream, but for those that `isDark`. */
  countLast(size: number, isDark: (index: number) => boolean): number {
    let last = 0;
    for (let index = 0; index < size; index++) if (!this.hasSuccessor(index) && !isDark(index)) last++;
    return last;
  }
}

/** HalfSipHash-2-4 with 64-bit output over the UTF-16 code units of a string, two per word. */
function halfSipHash(text: string, key: readonly [number, number]): { h0: number; h1: number } {
  // The four words of the state are variables of one loop: an array of them costs several times as much.
  let v0 = key[0];
  let v1 = key[1] ^ 0xee;
  let v2 = 0x6c796765 ^ key[0];
  let v3 = 0x74656462 ^ key[1];
  let h0 = 0;
  const words = (text.length >> 1) + 1;
  const rounds = 2 * words + 8;
  let word = 0;
  for (let round = 0; round < rounds; round++) {
    if (round < 2 * words && round % 2 === 0) {
      word = wordAt(text, round);
      v3 ^= word;
    } else if (round === 2 * words) {
      v2 ^= 0xee;
    } else if (round === 2 * words + 4) {
      h0 = v1 ^ v3;
      v1 ^= 0xdd;
    }
    v0 = (v0 + v1) | 0;
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
    v0 = (v0 << 16) | (v0 >>> 16);
    v2 = (v2 + v3) | 0;
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
    v2 = (v2 << 16) | (v2 >>> 16);
    if (round < 2 * words && round % 2 === 1) v0 ^= word;
  }
  return { h0, h1: v1 ^ v3 };
}

/** The two units at `at`; behind the last pair what is left, and the length. */
function wordAt(text: string, at: number): number {
  if (at + 1 < text.length) return text.charCodeAt(at) | (text.charCodeAt(at + 1) << 16);
  const rest = at < text.length ? text.charCodeAt(at) : 0;
  return rest | ((text.length & 0xffff) << 16);
}
