import { constants, existsSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { BoundaryError } from '../formats/boundary-error.ts';
import { readBounded, writeDurable } from '../host/durable-file.ts';
import {
  apply,
  compact,
  type JournalRecord,
  type JournalState,
  lineOf,
  type OpenRun,
  readJournal,
  type SeenTree,
} from './journal-format.ts';

export type { OpenRun, SeenTree } from './journal-format.ts';

const JOURNAL_MAX_BYTES = 256 * 1024 * 1024;

/** Closed permits that are remembered by id; older ones are covered by the floor. */
const REMEMBERED = 100_000;

/** Size at which the journal is rewritten while it is in use. It must never outgrow what can be opened again. */
const REWRITE_AT_BYTES = 64 * 1024 * 1024;

interface Waiting {
  record: JournalRecord;
  done: () => void;
  failed: (error: unknown) => void;
}

/**
 * What this gateway has run: append-only JSON lines, each fsynced before its promise resolves. A permit with a `started`
 * line never runs again, whatever the engine says. Lines of one moment share one fsync.
 *
 * Rewritten (atomically) when opened and when it has grown: closed permits beyond `REMEMBERED` give way to a floor, up to which every
 * permit counts as used (permit ids grow with time).
 */
export class Journal {
  readonly #path: string;
  readonly #limits: JournalLimits;
  #file: FileHandle;
  #bytes: number;
  #state: JournalState;
  /** Permits that a running enforcement holds and that have no line yet. */
  #claimed = new Set<string>();
  #waiting: Waiting[] = [];
  #writing: Promise<void> | null = null;
  #broken: BoundaryError | null = null;

  private constructor(path: string, limits: JournalLimits, opened: Rewritten) {
    this.#path = path;
    this.#limits = limits;
    this.#file = opened.file;
    this.#bytes = opened.bytes;
    this.#state = opened.state;
  }

  /**
   * Opens the journal at `path`, making it if it is missing (a gateway's first start). Throws `journal.damaged` when a
   * line other than a torn last one does not parse: then nothing may run.
   */
  static async open(
    path: string,
    remembered = REMEMBERED,
    rewriteAtBytes = REWRITE_AT_BYTES,
  ): Promise<Journal> {
    const bytes = existsSync(path) ? readBounded(path, JOURNAL_MAX_BYTES) : new Uint8Array();
    const limits = { remembered, rewriteAtBytes };
    return new Journal(path, limits, await rewrite(path, readJournal(bytes), remembered));
  }

  /** Takes a permit before anything is awaited, so that two requests cannot both have it. */
  claim(permitId: string): 'claimed' | 'used' | 'too_old' {
    const { open: running, closed, floor } = this.#state;
    if (running.has(permitId) || closed.has(permitId) || this.#claimed.has(permitId)) return 'used';
    if (permitId <= floor) return 'too_old';
    this.#claimed.add(permitId);
    return 'claimed';
  }

  /** Gives a claim back: the permit was not redeemed, so it may be tried again. */
  release(permitId: string): void {
    this.#claimed.delete(permitId);
  }

  /** Newest tree under which something was started here. */
  get tree(): SeenTree | null {
    return this.#state.tree;
  }

  /** Runs whose outcome the engine has not acknowledged. */
  openRuns(): OpenRun[] {
    return [...this.#state.open.values()];
  }

  /** Durable before the tool is started. After a crash the run is `unknown`. */
  started(run: { permit: string; decision: string; at: string; tree: SeenTree }): Promise<void> {
    return this.#append({ event: 'started', ...run });
  }

  /** How it ended (or that it never began), durable before it is reported, so that a crash in between loses nothing. */
  ended(end: Omit<Extract<JournalRecord, { event: 'ended' }>, 'event'>): Promise<void> {
    return this.#append({ event: 'ended', ...end });
  }

  /** The engine has acknowledged the outcome. */
  reported(permit: string, at: string): Promise<void> {
    return this.#append({ event: 'reported', permit, at });
  }

  async close(): Promise<void> {
    await this.#writing;
    await this.#file.close();
  }

  #append(record: JournalRecord): Promise<void> {
    if (this.#broken !== null) return Promise.reject(this.#broken);
    return new Promise((done, failed) => {
      this.#waiting.push({ record, done, failed });
      this.#writing ??= this.#drain();
    });
  }

  async #drain(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0);
      try {
        const lines = Buffer.from(batch.map((item) => lineOf(item.record)).join(''));
        await this.#file.appendFile(lines);
        await this.#file.datasync();
        this.#bytes += lines.length;
      } catch (cause) {
        this.#break(cause, batch);
        break;
      }
      for (const item of batch) this.#committed(item);
      if (this.#bytes >= this.#limits.rewriteAtBytes) await this.#rewrite();
    }
    this.#writing = null;
  }

  async #rewrite(): Promise<void> {
    try {
      const { file, bytes, state } = await rewrite(this.#path, this.#state, this.#limits.remembered);
      await this.#file.close();
      this.#file = file;
      this.#bytes = bytes;
      this.#state = state;
    } catch (cause) {
      this.#break(cause, []);
    }
  }

  /** After a failed fsync the page cache may lie: the file is not written again until a restart has read it. */
  #break(cause: unknown, batch: readonly Waiting[]): void {
    this.#broken = new BoundaryError('journal.unwritable', 'the gateway journal could not be written', {
      cause,
    });
    for (const item of [...batch, ...this.#waiting.splice(0)]) item.failed(this.#broken);
  }

  #committed(item: Waiting): void {
    apply(this.#state, item.record, 0);
    this.#claimed.delete(item.record.permit);
    item.done();
  }
}

interface JournalLimits {
  remembered: number;
  rewriteAtBytes: number;
}

interface Rewritten {
  file: FileHandle;
  bytes: number;
  state: JournalState;
}

/** Puts the shortest journal with the same meaning in the place of the old one, and opens it for appending. */
async function rewrite(path: string, old: JournalState, remembered: number): Promise<Rewritten> {
  const { state, text } = compact(old, remembered);
  const bytes = Buffer.from(text);
  writeDurable(path, bytes, 0o600);
  const file = await open(path, constants.O_WRONLY | constants.O_APPEND | constants.O_NOFOLLOW);
  return { file, bytes: bytes.length, state };
}
