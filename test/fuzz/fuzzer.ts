import { isDeepStrictEqual } from 'node:util';
import { BoundaryError } from '../../daemon/formats/boundary-error.ts';
import { Random } from '../crash/random.ts';
import { Mutator } from './mutate.ts';
import { bytesOf, type Target } from './target.ts';

/*
 * Throws changed inputs at one reader. An input that is refused at a place where none was refused before is kept and
 * changed further: the place that an error comes from stands in for the branches that were taken.
 */

/** CPU time that one input of at most `INPUT_MAX` bytes may take. */
export const CPU_MS = 3_000;
/** Memory of the whole process. */
const RSS_MAX = 3 * 1024 ** 3;
const POOL_MAX = 400;
const KEPT_MAX_BYTES = 64 * 1024;
/** Words for people; a reader that quotes its input at length is one that floods a log. */
const MESSAGE_MAX = 8_192;

/** An input that a reader did wrong. */
export interface Finding {
  target: string;
  what: string;
  input: Uint8Array;
}

export interface Outcome {
  /** Null for a bug: then `bug` says which. */
  place: string | null;
  bug?: string;
}

/** Runs one input. `place` tells apart where readers say no; the same one for all that is accepted. */
export async function tryInput(target: Target, input: Uint8Array): Promise<Outcome> {
  const started = process.threadCpuUsage();
  const outcome = await judge(target, input);
  const { user, system } = process.threadCpuUsage(started);
  const ms = (user + system) / 1_000;
  const most = target.cpuMs ?? CPU_MS;
  return ms > most ? { place: null, bug: `takes more than ${most} ms of CPU time` } : outcome;
}

async function judge(target: Target, input: Uint8Array): Promise<Outcome> {
  // Readers get memory of their own: what they keep, or change, must not be the fuzzer's.
  const given = Uint8Array.from(input);
  try {
    const value = target.read(given);
    const read = value instanceof Promise ? await value : value;
    const bug = target.write === undefined ? null : await wrongAgain(target, target.write, read);
    return bug === null ? { place: `accepted ${target.tell?.(read as never) ?? ''}` } : { place: null, bug };
  } catch (error) {
    if (!(error instanceof BoundaryError)) return { place: null, bug: wordsOf(error) };
    if (error.message.length > MESSAGE_MAX)
      return { place: null, bug: `${error.code} quotes the input at length` };
    return { place: placeOf(error) };
  }
}

/** What is read is printed, and read again: the same. */
async function wrongAgain(
  target: Target,
  write: NonNullable<Target['write']>,
  value: unknown,
): Promise<string | null> {
  let again: unknown;
  try {
    again = await target.read(Uint8Array.from(bytesOf(await write(value as never))));
  } catch (error) {
    return `refuses what it read and printed: ${wordsOf(error)}`;
  }
  return isDeepStrictEqual(again, value) ? null : 'reads something else from what it printed';
}

function wordsOf(error: unknown): string {
  if (!(error instanceof Error)) return `throws ${String(error)}`;
  const frame = /\(?([^\s(]+:\d+):\d+\)?/.exec(
    error.stack?.split('\n').find((line) => /^\s+at /.test(line)) ?? '',
  );
  return `throws ${error.name}: ${error.message.slice(0, 300)} (${frame?.[1]?.split('/').slice(-2).join('/') ?? '?'})`;
}

/** Code, whereabouts in the document, and the innermost places of ours, for the error and for what it stems from. */
function placeOf(error: unknown): string {
  if (!(error instanceof Error)) return typeof error;
  const frames = error.stack?.split('\n').filter((line) => /^\s+at /.test(line)) ?? [];
  const own = error instanceof BoundaryError ? `${error.code} ${whereabouts(error.at)}` : error.name;
  const cause = error.cause === undefined ? [] : [placeOf(error.cause)];
  return [own, ...frames.slice(0, 3), ...cause].join('|');
}

/** Members by name, places in lists all alike, and nothing deeper than two levels. */
function whereabouts(at = ''): string {
  return at.replace(/\d+/g, 'n').split('/').slice(0, 3).join('/').slice(0, 60);
}

export interface Progress {
  runs: number;
  places: number;
}

export interface FuzzOptions {
  seed: number;
  /** Asked before each input. */
  goOn(runs: number): boolean;
  /** Told of each input before it is run: who watches can say what a reader hangs on. */
  before(input: Uint8Array): void;
  found(finding: Finding): void;
}

/** Fuzzes one target; each bug is reported once, by its words, with the smallest input found. */
export async function fuzz(target: Target, { seed, goOn, before, found }: FuzzOptions): Promise<Progress> {
  const random = new Random(seed);
  const mutator = new Mutator(random, target.words);
  const pool = [...target.seeds];
  const seen = new Set<string>();
  const bugs = new Set<string>();
  let runs = 0;
  const run = async (input: Uint8Array): Promise<void> => {
    before(input);
    const { place, bug } = await tryInput(target, input);
    if (bug !== undefined && !bugs.has(bug)) {
      bugs.add(bug);
      found({ target: target.name, what: bug, input: await smaller(target, input, bug, before) });
    }
    if (place === null || seen.has(place)) return;
    seen.add(place);
    if (pool.length < POOL_MAX && input.length <= KEPT_MAX_BYTES) pool.push(Uint8Array.from(input));
  };
  for (const one of target.seeds) await run(one);
  for (; goOn(runs) && bugs.size < 20; runs++) {
    await run(mutator.next(pool));
    if (runs % 256 === 0 && process.memoryUsage.rss() > RSS_MAX && !bugs.has('memory')) {
      bugs.add('memory');
      found({ target: target.name, what: 'uses more memory than there should be', input: new Uint8Array() });
    }
  }
  return { runs, places: seen.size };
}

/** The same bug with fewer bytes, as far as leaving some out shows it. */
async function smaller(
  target: Target,
  input: Uint8Array,
  bug: string,
  before: (input: Uint8Array) => void,
): Promise<Uint8Array> {
  let best = input;
  let tries = bug.startsWith('takes') ? 20 : 1_500;
  for (let size = Math.ceil(best.length / 2); size >= 1; size = Math.floor(size / 2)) {
    for (let at = 0; at < best.length && tries > 0; tries--) {
      const shorter = Buffer.concat([best.subarray(0, at), best.subarray(at + size)]);
      before(shorter);
      if ((await tryInput(target, shorter)).bug === bug) best = shorter;
      else at += size;
    }
  }
  return best;
}
