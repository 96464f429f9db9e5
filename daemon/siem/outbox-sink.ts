import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { sha256Hex } from '../formats/digest.ts';
import type { FeedFormat } from '../host/config/siem.ts';
import { makeDir, writeDurable } from '../host/durable-file.ts';
import { EXTENSIONS, type Line } from './line.ts';
import { further, type Position } from './position.ts';
import type { Backlog, Sink } from './sink.ts';

export interface OutboxSinkOptions {
  /** `outbox/siem`; made when it is missing. */
  dir: string;
  format: FeedFormat;
  batch_ms: number;
  batch_bytes: number;
  budget_bytes: number;
}

/** In the outbox, which sync may read. */
const MODE = 0o640;
const DIR_MODE = 0o750;

/**
 * Puts events into the outbox in files named `LOG-FIRST-LAST`, each whole or not there. The daemon removes them when
 * headquarters has acknowledged them; until then they count against the budget, and beyond it the feed waits.
 */
export class OutboxSink implements Sink {
  readonly #options: OutboxSinkOptions;
  #waiting: Line[] = [];
  #bytes = 0;
  /** Since when the oldest waits. */
  #since: number | null = null;
  #settled: Position | null = null;

  constructor(options: OutboxSinkOptions) {
    this.#options = options;
  }

  /** A file may have been finished right before the note of it was: its name tells. */
  resume(origin: string, written: Position | null): Position | null {
    makeDir(this.#options.dir, DIR_MODE);
    const tag = logTag(origin);
    const ends = readdirSync(this.#options.dir)
      .map((name) => /^([0-9a-f]{8})-\d{12}-(\d{12})\./.exec(name))
      .flatMap((match) => (match !== null && match[1] === tag ? [Number(match[2]) + 1] : []));
    const found = ends.length === 0 ? null : { origin, next: Math.max(...ends) };
    this.#settled =
      written !== null && written.origin !== origin ? (found ?? written) : further(written, found);
    return this.#settled;
  }

  take(origin: string, lines: readonly Line[]): number {
    const { batch_bytes, budget_bytes } = this.#options;
    let room = budget_bytes - this.backlog().bytes;
    let taken = 0;
    for (const line of lines) {
      if (line.bytes.length > room) break;
      if (this.#bytes + line.bytes.length > batch_bytes) this.#write(origin);
      this.#waiting.push(line);
      this.#bytes += line.bytes.length;
      room -= line.bytes.length;
      taken++;
    }
    return taken;
  }

  settle(origin: string, now: number): Position | null {
    if (this.#waiting.length > 0) {
      this.#since ??= now;
      // A clock that was set back must not hold events up.
      const waited = Math.abs(now - this.#since);
      if (waited >= this.#options.batch_ms || this.#bytes >= this.#options.batch_bytes) this.#write(origin);
    }
    return this.#settled;
  }

  backlog(): Backlog {
    const { dir, budget_bytes } = this.#options;
    const files = existsSync(dir) ? readdirSync(dir) : [];
    const written = files.reduce(
      (sum, name) => sum + (statSync(join(dir, name), { throwIfNoEntry: false })?.size ?? 0),
      0,
    );
    return { bytes: written + this.#bytes, budget: budget_bytes };
  }

  #write(origin: string): void {
    const [first] = this.#waiting;
    const last = this.#waiting.at(-1);
    if (first === undefined || last === undefined) return;
    const { dir, format } = this.#options;
    const name = `${logTag(origin)}-${padded(first.index)}-${padded(last.index)}.${EXTENSIONS[format]}`;
    writeDurable(join(dir, name), Buffer.concat(this.#waiting.map(({ bytes }) => bytes)), MODE);
    this.#settled = { origin, next: last.index + 1 };
    this.#waiting = [];
    this.#bytes = 0;
    this.#since = null;
  }
}

/** Short for the log's origin, in file names. */
function logTag(origin: string): string {
  return sha256Hex(Buffer.from(origin, 'utf8')).slice(0, 8);
}

function padded(index: number): string {
  return String(index).padStart(12, '0');
}
