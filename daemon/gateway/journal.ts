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

interface Waiting {
  record: JournalRecord;
  done: () => void;
  failed: (error: unknown) => void;
}

/**
 * What this gateway has run: append-only JSON lines, each fsynced before its promise resolves. A permit with a `started`
 * line never runs again, whatever the engine says. Lines of one moment share one fsync.
 *
 * Rewritten (atomically) only when opened: closed permits beyond `REMEMBERED` give way to a floor, up to which every
 * permit counts as used (permit ids grow with time).
 */
export class Journal {
  #file: FileHandle;
  #state: JournalState;
  /** Permits that a running enforcement holds and that have no line yet. */
  #claimed = new Set<string>();
  #waiting: Waiting[] = [];
  #writing: Promise<void> | null = null;
  #broken: BoundaryError | null = null;

  private constructor(file: FileHandle, state: JournalState) {
    this.#file = file;
    this.#state = state;
  }

  /**
   * Opens the journal at `path`, making it if it is missing (a gateway's first start). Throws `journal.damaged` when a
   * line other than a torn last one does not parse: then nothing may run.
   */
  static async open(path: string, remembered = REMEMBERED): Promise<Journal> {
    const bytes = existsSync(path) ? await readBounded(path, JOURNAL_MAX_BYTES) : new Uint8Array();
    const { state, text } = compact(readJournal(bytes), remembered);
    await writeDurable(path, Buffer.from(text), 0o600);
    return new Journal(
      await open(path, constants.O_WRONLY | constants.O_APPEND | constants.O_NOFOLLOW),
      state,
    );
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
        await this.#file.appendFile(batch.map((item) => lineOf(item.record)).join(''));
        await this.#file.datasync();
      } catch (cause) {
        // After a failed fsync the page cache may lie: the file is not written again until a restart has read it.
        this.#broken = new BoundaryError('journal.unwritable', 'the gateway journal could not be written', {
          cause,
        });
        for (const item of [...batch, ...this.#waiting.splice(0)]) item.failed(this.#broken);
        break;
      }
      for (const item of batch) this.#committed(item);
    }
    this.#writing = null;
  }

  #committed(item: Waiting): void {
    apply(this.#state, item.record, 0);
    this.#claimed.delete(item.record.permit);
    item.done();
  }
}
