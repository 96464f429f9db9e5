import {
  closeSync,
  existsSync,
  ftruncateSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  statSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { FeedFormat } from '../host/config/siem.ts';
import { appendDurable, syncDir } from '../host/durable-file.ts';
import { eventOfLine, type Line } from './line.ts';
import { further, type Position } from './position.ts';
import type { Backlog, Sink } from './sink.ts';

export interface FileSinkOptions {
  path: string;
  format: FeedFormat;
  rotate_bytes: number;
  budget_bytes: number;
}

/** No event's line is as long as this. */
const TAIL_BYTES = 262_144;
const MODE = 0o640;

/**
 * Appends to a file that a collector follows. A file that has grown enough is renamed to `NAME.FIRST-LAST`, by the
 * indices of its events, and is the collector's to remove: that is what makes room again. Nothing is ever dropped.
 */
export class FileSink implements Sink {
  readonly #options: FileSinkOptions;
  /** First and next index of the file that is written, and of which log; null while it is empty. */
  #open: { first: number; next: number; origin: string } | null = null;
  #settled: Position | null = null;

  constructor(options: FileSinkOptions) {
    this.#options = options;
  }

  /** What the last whole line tells counts more than any note; half a line is cut off, since a crash left it. */
  resume(_origin: string, written: Position | null): Position | null {
    const { path, format } = this.#options;
    const ends = existsSync(path) ? endsOf(path) : null;
    const first = ends === null ? null : eventOfLine(format, ends.first);
    const last = ends === null ? null : eventOfLine(format, ends.last);
    if (last !== null) {
      const begins = first?.origin === last.origin ? first.index : last.index;
      this.#open = { first: begins, next: last.index + 1, origin: last.origin };
    }
    this.#settled = further(written, last === null ? null : { origin: last.origin, next: last.index + 1 });
    return this.#settled;
  }

  take(origin: string, lines: readonly Line[]): number {
    const { path, rotate_bytes } = this.#options;
    if (this.#open !== null && (this.#open.origin !== origin || sizeOf(path) >= rotate_bytes))
      this.#putAside();
    const room = this.#options.budget_bytes - this.backlog().bytes;
    const taken = fitting(lines, Math.min(room, Math.max(rotate_bytes - sizeOf(path), 1)), room);
    const [first] = taken;
    const last = taken.at(-1);
    if (first === undefined || last === undefined) return 0;
    const begun = this.#open !== null && existsSync(path) ? this.#open.first : first.index;
    appendDurable(path, Buffer.concat(taken.map(({ bytes }) => bytes)), MODE);
    this.#open = { first: begun, next: last.index + 1, origin };
    this.#settled = { origin, next: last.index + 1 };
    return taken.length;
  }

  settle(): Position | null {
    return this.#settled;
  }

  backlog(): Backlog {
    const { path, budget_bytes } = this.#options;
    const name = basename(path);
    const ours = readdirSync(dirname(path)).filter((file) => file === name || file.startsWith(`${name}.`));
    const bytes = ours.reduce((sum, file) => sum + sizeOf(join(dirname(path), file)), 0);
    return { bytes, budget: budget_bytes };
  }

  #putAside(): void {
    const { path } = this.#options;
    if (this.#open === null) return;
    const { first, next } = this.#open;
    this.#open = null;
    // Somebody else may have moved it away already, as log rotation does.
    if (!existsSync(path)) return;
    renameSync(path, freeName(`${path}.${padded(first)}-${padded(next - 1)}`));
    syncDir(dirname(path));
  }
}

/** As many lines as fit, and at least one where there is room for it at all. */
function fitting(lines: readonly Line[], wanted: number, room: number): Line[] {
  const taken: Line[] = [];
  let bytes = 0;
  for (const line of lines) {
    const more = bytes + line.bytes.length;
    if (more > room || (taken.length > 0 && more > wanted)) break;
    taken.push(line);
    bytes = more;
  }
  return taken;
}

/** First and last whole line of a file, both null-safe texts; what follows the last line end is cut off. */
function endsOf(path: string): { first: string; last: string } {
  const fd = openSync(path, 'r+');
  try {
    const { size } = statSync(path);
    const head = readAt(fd, 0, Math.min(size, TAIL_BYTES));
    const from = Math.max(0, size - TAIL_BYTES);
    const tail = readAt(fd, from, size - from);
    const end = tail.lastIndexOf(0x0a);
    if (from + end + 1 < size) ftruncateSync(fd, from + end + 1);
    const lines = tail.subarray(0, Math.max(end, 0)).toString('utf8').split('\n');
    return { first: head.toString('utf8').split('\n', 1)[0] ?? '', last: lines.at(-1) ?? '' };
  } finally {
    closeSync(fd);
  }
}

function readAt(fd: number, position: number, length: number): Buffer {
  const buffer = Buffer.alloc(length);
  let done = 0;
  while (done < length) {
    const read = readSync(fd, buffer, done, length - done, position + done);
    if (read === 0) break;
    done += read;
  }
  return buffer.subarray(0, done);
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

/** Indices start anew with another log, so a name can be taken. */
function freeName(path: string): string {
  for (let n = 1, name = path; ; n++, name = `${path}.${n}`) if (!existsSync(name)) return name;
}

function padded(index: number): string {
  return String(index).padStart(12, '0');
}
