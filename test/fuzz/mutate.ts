import type { Json } from '../../daemon/formats/json.ts';
import type { Random } from '../crash/random.ts';

/** Larger inputs are not made: nothing new is found in them, and every run takes longer. */
export const INPUT_MAX = 256 * 1024;

/** What is somewhere in most formats, and what readers stumble over. */
const WORDS: readonly string[] = [
  ...['\n', '\n\n', '\r\n', ' ', '\0', '\t', '"', '\\', '/', '..', '.', '+', '-', '=', '==', ',', ':', '—'],
  ...['{', '}', '[', ']', '{}', '[]', 'null', 'true', '-0', '1e400', '"__proto__":1,', '"constructor":{}'],
  ...[
    '0',
    '-1',
    '1',
    '00',
    '4294967295',
    '4294967296',
    '9007199254740991',
    '9007199254740992',
    '1e21',
    'NaN',
  ],
  ...[
    '\u{202e}',
    '\u{feff}',
    '\ud83d\ude00',
    '\\ud800',
    '\\u0000',
    '%00',
    'A'.repeat(300),
    '['.repeat(2_000),
  ],
  ...['toString', 'hasOwnProperty', '1970-01-01T00:00:00.000Z', '9999-12-31T23:59:59.999Z', '-----BEGIN '],
];
const NUMBERS = [
  0, 1, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff,
];
const VALUES: readonly Json[] = [
  ...[null, true, false, 0, -0, -1, 1.5, 1e308, Number.MAX_SAFE_INTEGER, '', 'x', '\u0000', '__proto__'],
  ...[[], {}, [[]], [null], { a: 1 }, 'A'.repeat(5_000), 'dec_0', '../../etc/passwd', Array(300).fill(0)],
];

/** Makes new inputs out of known ones, the same ones from the same seed. */
export class Mutator {
  readonly #random: Random;
  readonly #words: readonly Uint8Array[];

  constructor(random: Random, words: readonly string[] = []) {
    this.#random = random;
    this.#words = [...WORDS, ...words].map((word) => Buffer.from(word, 'utf8'));
  }

  /** A new input after one or several of `pool`, which is not empty. */
  next(pool: readonly Uint8Array[]): Uint8Array {
    const base = this.#random.pick(pool);
    if (this.#random.next() < 0.4) {
      const changed = this.#changeJson(base);
      if (changed !== null) return changed;
    }
    let bytes: Buffer = Buffer.from(base);
    const steps = 2 ** this.#random.whole(0, 3);
    for (let step = 0; step < steps; step++) bytes = this.#step(bytes, pool);
    return bytes.subarray(0, INPUT_MAX);
  }

  #step(bytes: Buffer, pool: readonly Uint8Array[]): Buffer {
    const random = this.#random;
    const at = random.whole(0, bytes.length);
    const end = Math.min(bytes.length, at + random.pick([1, 2, 4, 8, 32, 64, 512, 4096]));
    switch (random.whole(0, 9)) {
      case 0:
        return flip(bytes, at, 1 << random.whole(0, 7));
      case 1:
        return flip(bytes, at, random.whole(1, 255));
      case 2:
        return splice(bytes, at, end, Buffer.alloc(0));
      case 3:
        return splice(bytes, at, at, bytes.subarray(at, end));
      case 4:
        return splice(bytes, at, random.pick([at, end]), random.pick(this.#words));
      case 5:
        return splice(bytes, at, end, this.#piece(pool));
      case 6:
        return this.#number(bytes, at);
      case 7:
        return bytes.subarray(0, at);
      case 8:
        return this.#lines(bytes);
      default:
        return splice(
          bytes,
          at,
          at,
          Buffer.alloc(random.pick([1, 7, 63, 64, 65, 4096]), random.whole(0, 255)),
        );
    }
  }

  /** Some of another input. */
  #piece(pool: readonly Uint8Array[]): Uint8Array {
    const other = this.#random.pick(pool);
    const from = this.#random.whole(0, other.length);
    return other.subarray(from, from + this.#random.pick([4, 32, 256, 4096]));
  }

  /** A number of 1, 2 or 4 bytes at the limits of what fits, in either order of bytes. */
  #number(bytes: Buffer, at: number): Buffer {
    const value = this.#random.pick(NUMBERS);
    const four = Buffer.alloc(4);
    if (this.#random.next() < 0.5) four.writeUInt32BE(value);
    else four.writeUInt32LE(value);
    const width = this.#random.pick([1, 2, 4]);
    return splice(bytes, at, Math.min(bytes.length, at + width), four.subarray(0, width));
  }

  /** One line away, twice, or in another's place. */
  #lines(bytes: Buffer): Buffer {
    const lines = bytes.toString('latin1').split('\n');
    const at = this.#random.whole(0, lines.length - 1);
    const to = this.#random.whole(0, lines.length - 1);
    const [line = ''] = lines.splice(at, this.#random.whole(0, 1));
    if (this.#random.next() < 0.7)
      lines.splice(to, 0, ...Array<string>(this.#random.pick([1, 1, 2, 70])).fill(line));
    return Buffer.from(lines.join('\n'), 'latin1');
  }

  /** The same document with another value somewhere; null for what is no JSON object or list. */
  #changeJson(bytes: Uint8Array): Uint8Array | null {
    if (bytes[0] !== 0x7b && bytes[0] !== 0x5b) return null;
    let value: Json;
    try {
      value = JSON.parse(Buffer.from(bytes).toString('utf8')) as Json;
    } catch {
      return null;
    }
    const places = placesIn(value).slice(0, 5_000);
    for (let step = this.#random.whole(1, 2); step > 0; step--)
      this.#changeAt(this.#random.pick(places), places);
    return Buffer.from(JSON.stringify(value), 'utf8').subarray(0, INPUT_MAX);
  }

  #changeAt({ holder, key }: Place, places: readonly Place[]): void {
    const random = this.#random;
    const old = Reflect.get(holder, key) as Json;
    const donor = random.pick(places);
    const way = random.whole(0, 4);
    if (way === 0) put(holder, key, random.pick(VALUES));
    else if (way === 1) remove(holder, key);
    else if (way === 2) put(holder, key, structuredClone(Reflect.get(donor.holder, donor.key) as Json));
    else if (way === 3) add(holder, key, structuredClone(old));
    else put(holder, key, this.#changeText(old));
  }

  #changeText(value: Json): Json {
    if (typeof value === 'number') return value + this.#random.pick([-1, 1, 0.5, 2 ** 32]);
    if (typeof value !== 'string') return JSON.stringify(value) ?? null;
    const at = this.#random.whole(0, value.length);
    const word = Buffer.from(this.#random.pick(this.#words)).toString('utf8');
    return value.slice(0, at) + word + value.slice(this.#random.pick([at, at + 1, at + word.length]));
  }
}

interface Place {
  holder: object;
  key: string | number;
}

/** Every value inside a document, by what holds it. */
function placesIn(value: Json): Place[] {
  const root = { value };
  const found: Place[] = [];
  const open: object[] = [root];
  for (let holder = open.pop(); holder !== undefined; holder = open.pop())
    for (const [key, inner] of Object.entries(holder)) {
      if (holder !== root) found.push({ holder, key });
      if (typeof inner === 'object' && inner !== null) open.push(inner);
    }
  return found.length === 0 ? [{ holder: {}, key: 'a' }] : found;
}

function remove(holder: object, key: string | number): void {
  if (Array.isArray(holder)) holder.splice(Number(key), 1);
  else Reflect.deleteProperty(holder, key);
}

function add(holder: object, key: string | number, value: Json): void {
  put(holder, Array.isArray(holder) ? holder.length : `${String(key)}x`, value);
}

function put(holder: object, key: string | number, value: Json): void {
  Object.defineProperty(holder, key, { value, enumerable: true, writable: true, configurable: true });
}

function flip(bytes: Buffer, at: number, mask: number): Buffer {
  const changed = Buffer.from(bytes);
  if (at < changed.length) changed[at] = (changed[at] ?? 0) ^ mask;
  return changed;
}

function splice(bytes: Buffer, start: number, end: number, put: Uint8Array): Buffer {
  return Buffer.concat([bytes.subarray(0, start), put, bytes.subarray(end)]).subarray(0, INPUT_MAX);
}
