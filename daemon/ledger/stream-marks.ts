import { randomBytes } from '../host/random.ts';

/** What the verification of a range asks and tells about places in streams. */
export interface StreamPlaces {
  place(index: number, stream: string, seq: number): void;
  follows(before: number, after: number): boolean;
  claim(index: number): boolean;
}

/** The arrays behind `StreamMarks`, as they travel to worker threads. */
export interface SharedMarks {
  key: readonly [number, number];
  names: SharedArrayBuffer;
  seqs: SharedArrayBuffer;
  claimed: SharedArrayBuffer;
}

/**
 * What verification remembers of every entry, shared by its threads, some 16 bytes each: a keyed hash of the stream's name, the
 * number in the stream, and whether another entry has named it as its predecessor.
 *
 * The hash is HalfSipHash-2-4 (Aumasson, Bernstein) under a key drawn for this run, so that nobody can have prepared
 * names that collide.
 */
export class StreamMarks implements StreamPlaces {
  readonly shared: SharedMarks;
  readonly #names: Int32Array;
  readonly #seqs: Float64Array;
  readonly #claimed: Int32Array;

  constructor(shared: SharedMarks) {
    this.shared = shared;
    this.#names = new Int32Array(shared.names);
    this.#seqs = new Float64Array(shared.seqs);
    this.#claimed = new Int32Array(shared.claimed);
  }

  static ofSize(size: number): StreamMarks {
    const key = new DataView(randomBytes(8).buffer);
    return new StreamMarks({
      key: [key.getInt32(0), key.getInt32(4)],
      names: new SharedArrayBuffer(size * 8),
      seqs: new SharedArrayBuffer(size * 8),
      claimed: new SharedArrayBuffer(Math.ceil(size / 32) * 4),
    });
  }

  /** Notes that entry `index` is number `seq` of `stream`. */
  place(index: number, stream: string, seq: number): void {
    const { h0, h1 } = halfSipHash(stream, this.shared.key);
    this.#names[2 * index] = h0;
    this.#names[2 * index + 1] = h1;
    this.#seqs[index] = seq + 1;
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
  const state = Int32Array.of(key[0], key[1] ^ 0xee, 0x6c796765 ^ key[0], 0x74656462 ^ key[1]);
  const whole = text.length - (text.length % 2);
  for (let at = 0; at < whole; at += 2) absorb(state, text.charCodeAt(at) | (text.charCodeAt(at + 1) << 16));
  const rest = whole < text.length ? text.charCodeAt(whole) : 0;
  absorb(state, rest | ((text.length & 0xffff) << 16));
  state[2] = (state[2] as number) ^ 0xee;
  for (let round = 0; round < 4; round++) sipRound(state);
  const h0 = (state[1] as number) ^ (state[3] as number);
  state[1] = (state[1] as number) ^ 0xdd;
  for (let round = 0; round < 4; round++) sipRound(state);
  return { h0, h1: (state[1] as number) ^ (state[3] as number) };
}

function absorb(state: Int32Array, word: number): void {
  state[3] = (state[3] as number) ^ word;
  sipRound(state);
  sipRound(state);
  state[0] = (state[0] as number) ^ word;
}

function sipRound(state: Int32Array): void {
  let v0 = state[0] as number;
  let v1 = state[1] as number;
  let v2 = state[2] as number;
  let v3 = state[3] as number;
  v0 = (v0 + v1) | 0;
  v1 = rotate(v1, 5) ^ v0;
  v0 = rotate(v0, 16);
  v2 = (v2 + v3) | 0;
  v3 = rotate(v3, 8) ^ v2;
  v0 = (v0 + v3) | 0;
  v3 = rotate(v3, 7) ^ v0;
  v2 = (v2 + v1) | 0;
  v1 = rotate(v1, 13) ^ v2;
  v2 = rotate(v2, 16);
  state[0] = v0;
  state[1] = v1;
  state[2] = v2;
  state[3] = v3;
}

function rotate(word: number, by: number): number {
  return (word << by) | (word >>> (32 - by));
}
