import type { Doubt, Ladder, OutsideSource, OutsideTime } from '../core/time-ladder.ts';
import { decodeEntry, type Entry } from '../formats/entry.ts';
import type { JsonObject } from '../formats/json.ts';
import type { StoredEntry } from '../ledger/ledger.ts';
import type { Batch, EngineState } from './context.ts';
import type { RecordedTime, TimeKeeper, TimeReport } from './time.ts';
import type { Stretch } from './timeline.ts';

/*
 * The time ladder in entries. What is known about the time in a boot stands in the entries of that boot, so that a daemon
 * that is started again goes on from there, and an auditor can follow every step.
 */

/** Stream of `time.uncertain` and `time.restored`. */
export const TIME_STREAM = 'time';
/** Stream of `anchor.cosigned`. */
export const COSIGNATURE_STREAM = 'cosignature';
/** Streams whose entries may hold a word from outside. */
const OUTSIDE_STREAMS = [TIME_STREAM, 'policy', COSIGNATURE_STREAM] as const;

/** Member `clock` of an entry: how the clocks stood when it was made, and what was known then. */
interface ClockRecord {
  boot: string;
  monotonic_ms: number;
  /** What the wall clock should have shown; null when nobody knew. */
  expected: string | null;
  floor: string;
  /** What it was, at least, by the newest word from outside, and how much later it could be. */
  outside?: { at: string; window_ms: number };
}

/** Member `outside_time` of an entry: a word from outside that was taken in. */
interface OutsideRecord {
  source: OutsideSource;
  at: string;
  window_ms: number | null;
}

/** What the ledger knows of the time in one boot. */
export interface TimeHistory {
  known: Pick<Ladder, 'offset' | 'outside'> | null;
  recorded: RecordedTime | null;
  stretches: Stretch[];
}

/** How the clocks stand, as an entry records it. */
export function clockRecord(time: TimeReport): JsonObject {
  const { boot, expected, floor, monotonic, outside } = time;
  const record: JsonObject = {
    boot,
    monotonic_ms: Math.round(monotonic),
    expected: expected === null ? null : iso(expected),
    floor: iso(floor),
  };
  if (outside !== null) {
    const passed = Math.max(0, monotonic - outside.monotonic);
    record.outside = { at: iso(outside.at + passed), window_ms: Math.ceil(outside.window) };
  }
  return record;
}

/**
 * Takes in a verified word from outside with the entry that the caller is about to record; the result is that entry's
 * `data.outside_time`. It counts once the batch is durable.
 */
export function learnWith(batch: Batch, outside: OutsideTime): JsonObject {
  batch.learned.push(outside);
  const { source, at, window } = outside;
  return { source, at: iso(at), window_ms: window === null ? null : Math.ceil(window) };
}

/**
 * The time that a witness signed with a cosignature of the checkpoint of `size`, verified by the caller. Only a checkpoint
 * of this run tells how old the cosignature can be; an older one just says how late it is at least.
 */
export function cosignedTime(time: TimeKeeper, cosigned: { at: number; size: number }): OutsideTime {
  return { source: 'cosignature', at: cosigned.at, window: time.ageOfSize(cosigned.size) };
}

/** What the ledger knows of the time in this boot. */
export function readTimeHistory(
  state: Pick<EngineState, 'ledger' | 'projections'>,
  boot: string,
): TimeHistory {
  const run = state.projections.standing('boot', boot);
  const told = state.ledger.stream(TIME_STREAM);
  const recorded = recordedIn(told.at(-1), boot);
  if (run === null) return { known: null, recorded, stretches: [] };
  const starts = [run.first_idx, run.last_idx].flatMap((index) => storedAt(state, index));
  const inBoot = [...starts, ...told.filter(({ index }) => index > run.first_idx)].sort(byIndex);
  const looks = inBoot.flatMap(({ index, bytes }) => {
    const entry = decodeEntry(bytes);
    const clock = clockOf(entry);
    return clock === null ? [] : [{ index, clock, offset: Date.parse(entry.at) - clock.monotonic_ms }];
  });
  const newest = looks.at(-1)?.clock;
  return {
    known: newest === undefined ? null : { offset: believedOffset(newest), outside: outsideOf(newest) },
    recorded,
    stretches: looks.map(({ index, offset }) => ({ from: index, offset })),
  };
}

/** Words from outside that entries from `from` on hold, in the order of the log: for what they say about the floor. */
export function outsideSince({ ledger }: Pick<EngineState, 'ledger'>, from: number): OutsideTime[] {
  const entries = OUTSIDE_STREAMS.flatMap((stream) => ledger.stream(stream)).filter(
    ({ index }) => index >= from,
  );
  return entries.sort(byIndex).flatMap(({ bytes }) => {
    const record = decodeEntry(bytes).data.outside_time as unknown as OutsideRecord | undefined;
    return record === undefined ? [] : [{ source: record.source, at: Date.parse(record.at), window: null }];
  });
}

/** What the newest entry of the time's own stream says about trust. */
function recordedIn(newest: StoredEntry | undefined, boot: string): RecordedTime | null {
  if (newest === undefined) return null;
  const entry = decodeEntry(newest.bytes);
  const clock = clockOf(entry);
  const doubt = entry.type === 'time.uncertain' ? (entry.data.cause as Doubt) : null;
  if (clock === null || clock.boot !== boot) return { doubt, offset: null, monotonic: 0 };
  return { doubt, offset: Date.parse(entry.at) - clock.monotonic_ms, monotonic: clock.monotonic_ms };
}

function clockOf({ data }: Entry): ClockRecord | null {
  return (data.clock as unknown as ClockRecord | undefined) ?? null;
}

function believedOffset({ expected, monotonic_ms }: ClockRecord): number | null {
  return expected === null ? null : Date.parse(expected) - monotonic_ms;
}

function outsideOf({ outside, monotonic_ms }: ClockRecord): Ladder['outside'] {
  if (outside === undefined) return null;
  return { at: Date.parse(outside.at), window: outside.window_ms, monotonic: monotonic_ms };
}

function storedAt({ ledger }: Pick<EngineState, 'ledger'>, index: number): StoredEntry[] {
  const bytes = ledger.entry(index);
  return bytes === null ? [] : [{ index, bytes }];
}

function byIndex(a: StoredEntry, b: StoredEntry): number {
  return a.index - b.index;
}

function iso(ms: number): string {
  return new Date(Math.floor(ms)).toISOString();
}
