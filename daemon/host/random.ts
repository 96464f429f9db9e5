import { randomFillSync } from 'node:crypto';

/** `n` bytes of the system's randomness. */
export function randomBytes(n: number): Uint8Array {
  return randomFillSync(new Uint8Array(n));
}

/** Random bits for identifiers are drawn in bulk: one system call serves many decisions. Never used for secrets. */
const pool = new Uint8Array(2_048);
let poolUsed = pool.length;
/** 48-bit milliseconds and 12-bit counter of the newest UUID, so that order of making is order of sorting. */
let lastMs = 0;
let counter = 0;

/**
 * A UUIDv7 (RFC 9562 §5.7), lower case with hyphens. Within one process later calls sort after earlier ones, also within
 * one millisecond and when `nowMs` goes back (RFC 9562 §6.2, method 1: counter in rand_a).
 */
export function uuidv7(nowMs: number): string {
  const random = takeRandom(10);
  if (nowMs > lastMs) {
    lastMs = Math.floor(nowMs);
    // Top bit clear: at least 2,048 more fit into this millisecond.
    counter = (((random[8] ?? 0) << 8) | (random[9] ?? 0)) & 0x7ff;
  } else if (++counter > 0xfff) {
    lastMs += 1;
    counter = 0;
  }
  const time = lastMs.toString(16).padStart(12, '0');
  const variant = (0x80 | ((random[0] ?? 0) & 0x3f)).toString(16);
  const tail = Buffer.from(random.buffer, random.byteOffset + 1, 7).toString('hex');
  return `${time.slice(0, 8)}-${time.slice(8)}-7${counter.toString(16).padStart(3, '0')}-${variant}${tail.slice(0, 2)}-${tail.slice(2)}`;
}

function takeRandom(n: number): Uint8Array {
  if (poolUsed + n > pool.length) {
    randomFillSync(pool);
    poolUsed = 0;
  }
  poolUsed += n;
  return pool.subarray(poolUsed - n, poolUsed);
}
