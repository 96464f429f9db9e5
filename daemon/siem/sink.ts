import type { Line } from './line.ts';
import type { Position } from './position.ts';

/** What lies with a sink, uncollected. */
export interface Backlog {
  bytes: number;
  budget: number;
}

/**
 * Where a feed's lines go. Lines come in the order of the log, each once; a sink that has no room takes none, and is
 * offered the same ones again later. What it took is durable before `position` says so.
 */
export interface Sink {
  /** What is known of where the feed stood before this process: by the sink's own files as well as by `written`. */
  resume(origin: string, written: Position | null): Position | null;
  /** Takes as many of the lines as there is room for, and returns how many. Throws the system's errors. */
  take(origin: string, lines: readonly Line[]): number;
  /** Gives out what has waited long enough; `now` in ms. Returns the position up to which all is durable, null for none yet. */
  settle(origin: string, now: number): Position | null;
  backlog(): Backlog;
}
