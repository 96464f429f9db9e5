import { securityEvent } from '../core/siem-event.ts';
import type { SecurityEvent } from '../formats/security-event.ts';
import type { FeedFormat } from '../host/config/siem.ts';
import { type Line, printEvent } from './line.ts';
import { type Position, readPosition, writePosition } from './position.ts';
import type { Backlog, Sink } from './sink.ts';

/** Where a feed reads from. Only committed entries; archived ones too. */
export interface FeedSource {
  origin: string;
  size(): number;
  entries(from: number, limit: number): readonly { index: number; bytes: Uint8Array }[];
}

export interface FeedOptions {
  source: FeedSource;
  sink: Sink;
  format: FeedFormat;
  /** File in which the position is kept. */
  position: string;
  from: 'start' | 'now';
}

/** How a feed is doing. */
export interface FeedState extends Backlog {
  /** First event that is not yet durable with the sink. */
  next: number;
  /** Entries that are committed and not there yet. */
  behind: number;
  /** Whether the budget is used up. */
  full: boolean;
}

/** Entries printed in one step; others get a turn between steps. */
const PAGE = 256;

/**
 * One feed: entries in order from where it stood, each printed once. What is not durable with the sink is printed again
 * after a crash, to the same bytes.
 */
export class Feed {
  readonly #options: FeedOptions;
  /** Next entry to print. */
  #next: number;
  #written: Position | null;
  #full = false;
  /** Whether the mark of a feed's beginning is still to be made. */
  #unmarked: boolean;

  constructor(options: FeedOptions) {
    this.#options = options;
    const { source, sink, position, from } = options;
    const resumed = sink.resume(source.origin, readPosition(position));
    this.#written = resumed;
    this.#unmarked = resumed?.origin !== source.origin;
    // Another log (after a restore) begins at its own first entry; so does a feed without a past, unless told otherwise.
    if (resumed?.origin === source.origin) this.#next = Math.min(resumed.next, source.size());
    else this.#next = resumed === null && from === 'now' ? source.size() : 0;
  }

  /** One step; true when there is more to do at once. Throws the system's errors: the step is made again later. */
  step(now: number): boolean {
    const { source, sink, format } = this.#options;
    const size = source.size();
    const page = this.#next < size ? source.entries(this.#next, Math.min(PAGE, size - this.#next)) : [];
    const lines = page.map(({ index, bytes }) => this.#print(index, bytes, format));
    const taken = sink.take(source.origin, lines);
    this.#next += taken;
    this.#unmarked &&= taken === 0;
    this.#full = taken < lines.length && taken === 0;
    this.#remember(sink.settle(source.origin, now));
    return taken > 0 && this.#next < size;
  }

  state(): FeedState {
    const { source, sink } = this.#options;
    const next = this.#written?.origin === source.origin ? this.#written.next : this.#next;
    return { next, behind: source.size() - next, full: this.#full, ...sink.backlog() };
  }

  #print(index: number, bytes: Uint8Array, format: FeedFormat): Line {
    const event = securityEvent(this.#options.source.origin, index, bytes);
    const first = this.#unmarked && index === this.#next;
    return { index, bytes: Buffer.from(`${printEvent(format, first ? begun(event) : event)}\n`, 'utf8') };
  }

  #remember(settled: Position | null): void {
    const old = this.#written;
    if (settled === null || (old?.origin === settled.origin && old.next === settled.next)) return;
    writePosition(this.#options.position, settled);
    this.#written = settled;
  }
}

/** The mark of a feed that begins: who has events of this log from before may get them again. */
function begun(event: SecurityEvent): SecurityEvent {
  return { ...event, message: `[feed begins at entry ${event.index}] ${event.message}` };
}
