import type { TimeTrust } from '../formats/entry.ts';

/*
 * The time ladder (design: "Time without NTP"): how far a site that nobody sets the clock for may believe its own. Pure:
 * looks at the clocks go in, a verdict comes out. Milliseconds everywhere: `wall` and `at` since 1970, `monotonic` since
 * the machine was started.
 */

/** How far the wall clock may be off before somebody must have set it, or its battery must have died. */
export const TOLERANCE_MS = 2 * 60_000;
/** An outside time that is known this well makes the clock a trusted one. */
const TRUSTED_WINDOW_MS = 10 * 60_000;
/** A newly signed policy explains a clock that was set to at most this much after its issue time. */
const POLICY_WINDOW_MS = 24 * 3_600_000;
/** A clock that is back must stay so this long: else one that flaps would fill the ledger. */
export const SETTLE_MS = 5_000;
/** Share of the time by which the wall clock may creep away unnoticed: leap seconds, small steps of a time daemon. */
const CREEP = 20e-6;
/** How wrong the monotonic clock's own pace may be: what was known exactly is known less well every day. */
const DRIFT = 100e-6;
const FORGOTTEN_MS = 24 * 3_600_000;

/** Why the clock cannot be believed. */
export type Doubt =
  /** It stands before a time that has certainly passed. */
  | 'behind_floor'
  /** It was set while the machine ran, and nothing says that this was right. */
  | 'jumped'
  /** It is not what somebody who may state the time says it is. */
  | 'contradicted';

/** What makes the clock believable: what was there at start, that somebody set it (back) right, or word from outside. */
export type Grounds = 'boot' | 'clock_set' | 'clock_returned' | 'kernel' | OutsideSource;

/** Who can say what time it is: a person's signature, a witness's, or that of whoever signs policy. */
export type OutsideSource = 'statement' | 'cosignature' | 'policy';

/** A verified word from outside. */
export interface OutsideTime {
  source: OutsideSource;
  /** What time it was when that was signed. */
  at: number;
  /** How much later it can be by now, by the monotonic clock since it was asked for; null when nobody knows. */
  window: number | null;
}

/** One look at the clocks. */
export interface Look {
  wall: number;
  monotonic: number;
  /** The kernel says so, and policy believes it. */
  synchronized: boolean;
}

/** A time that was known at a monotonic instant. */
interface Known {
  at: number;
  monotonic: number;
}

/** What is known about the time in this boot. Never changed, only replaced. */
export interface Ladder {
  /** It is not earlier than this. */
  readonly floor: Known;
  /** Wall minus monotonic clock, as far as that is believed; null while no clock of this boot could be. */
  readonly offset: number | null;
  readonly grounds: Grounds;
  /** The newest word from outside that says what time it is, not just what it is at least. */
  readonly outside: (Known & { window: number }) | null;
  /** Null: the clock can be believed. */
  readonly doubt: Doubt | null;
  /** Since when a doubted clock stands right again; monotonic. */
  readonly back_since: number | null;
  /** Of the newest look. */
  readonly monotonic: number;
}

/** At the start of a run, before anything is known of this boot. `floor`: it has certainly been that late already. */
export function startLadder(floor: number, monotonic: number): Ladder {
  return {
    floor: { at: floor, monotonic },
    offset: null,
    grounds: 'boot',
    outside: null,
    doubt: null,
    back_since: null,
    monotonic,
  };
}

/** The earliest that it can be at a monotonic instant. It rises as the monotonic clock does, never with the wall clock. */
export function floorAt({ floor }: Ladder, monotonic: number): number {
  return floor.at + Math.max(0, monotonic - floor.monotonic);
}

/** Looks at the clocks and judges them. */
export function assess(ladder: Ladder, look: Look): Ladder {
  const { wall, monotonic, synchronized } = look;
  const outside = stillKnown(ladder.outside, monotonic);
  const now: Ladder = { ...ladder, outside, offset: provenOffset(ladder, outside, monotonic), monotonic };
  const agrees = outside === null || within(outside, wall, monotonic);
  if (wall + TOLERANCE_MS < floorAt(ladder, monotonic)) return doubted(now, 'behind_floor');
  if (now.offset === null) {
    if (!agrees) return doubted(now, 'contradicted');
    return believed(now, wall - monotonic, ladder.doubt === null ? ladder.grounds : 'clock_set');
  }
  const moved = wall - monotonic - now.offset;
  if (Math.abs(moved) > TOLERANCE_MS) {
    return synchronized && agrees ? believed(now, wall - monotonic, 'kernel') : doubted(now, 'jumped');
  }
  if (ladder.doubt !== null && !hasSettled(ladder, monotonic)) {
    return { ...now, back_since: ladder.back_since ?? monotonic };
  }
  const room = Math.max(0, monotonic - ladder.monotonic) * CREEP;
  const offset = now.offset + Math.min(Math.max(moved, -room), room);
  return believed(now, offset, ladder.doubt === null ? ladder.grounds : 'clock_returned');
}

/** How far the clock of an assessed ladder can be believed. */
export function trustOf({ doubt, outside, monotonic }: Ladder, synchronized: boolean): TimeTrust {
  if (doubt !== null) return 'uncertain';
  const narrow = outside !== null && widthOf(outside, monotonic) <= TRUSTED_WINDOW_MS;
  return narrow || synchronized ? 'trusted' : 'floor';
}

/**
 * Takes in a verified word from outside. It raises the floor; that of a person who may state the time also lowers it. A
 * clock that agrees with it is believed, whatever it did before. To be assessed again afterwards.
 */
export function learn(ladder: Ladder, { source, at, window }: OutsideTime, look: Look): Ladder {
  const { wall, monotonic } = look;
  const known = { at, monotonic };
  const moves = source === 'statement' || at > floorAt(ladder, monotonic);
  const raised = moves ? { ...ladder, floor: known } : ladder;
  const offset = wall - monotonic;
  if (window === null) {
    const explained = wall >= at - TOLERANCE_MS && wall <= at + POLICY_WINDOW_MS;
    return ladder.doubt === 'jumped' && explained ? believed(raised, offset, source) : raised;
  }
  const better = ladder.outside === null || window <= widthOf(ladder.outside, monotonic);
  const outside = better || source === 'statement' ? { ...known, window } : ladder.outside;
  const told = { ...raised, outside };
  return within({ ...known, window }, wall, monotonic) ? believed(told, offset, source) : told;
}

function doubted(ladder: Ladder, doubt: Doubt): Ladder {
  return { ...ladder, doubt, back_since: null };
}

function believed(ladder: Ladder, offset: number, grounds: Grounds): Ladder {
  return { ...ladder, offset, grounds, doubt: null, back_since: null };
}

function hasSettled({ back_since }: Ladder, monotonic: number): boolean {
  return back_since !== null && monotonic - back_since >= SETTLE_MS;
}

/** The offset that was believed, unless it would now put the clock before the floor or outside of what was said. */
function provenOffset(ladder: Ladder, outside: Ladder['outside'], monotonic: number): number | null {
  const { offset } = ladder;
  if (offset === null) return null;
  const shown = monotonic + offset;
  if (shown + TOLERANCE_MS < floorAt(ladder, monotonic)) return null;
  return outside === null || within(outside, shown, monotonic) ? offset : null;
}

/** Whether an instant can be now, by a word from outside. */
function within(outside: Known & { window: number }, wall: number, monotonic: number): boolean {
  const earliest = outside.at + Math.max(0, monotonic - outside.monotonic);
  return wall >= earliest - TOLERANCE_MS && wall <= earliest + widthOf(outside, monotonic) + TOLERANCE_MS;
}

function widthOf({ window, monotonic: since }: Known & { window: number }, monotonic: number): number {
  return window + Math.max(0, monotonic - since) * DRIFT;
}

function stillKnown(outside: Ladder['outside'], monotonic: number): Ladder['outside'] {
  return outside !== null && widthOf(outside, monotonic) <= FORGOTTEN_MS ? outside : null;
}
