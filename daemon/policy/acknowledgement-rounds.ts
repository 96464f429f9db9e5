import { readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { BoundaryError } from '../formats/boundary-error.ts';
import { errorCode, makeDir } from '../host/durable-file.ts';
import { type TakenAcknowledgements, type TakeOptions, takeAcknowledgements } from './acknowledgements.ts';

/** What is told of a round in which something happened. */
export interface RoundListener {
  taken(report: TakenAcknowledgements): void;
  /** The round ended early; it is tried again. */
  failed(error: unknown): void;
}

export interface RoundsOptions extends Omit<TakeOptions, 'path' | 'medium'> {
  inbox: string;
  listener: RoundListener;
}

const EVERY_MS = 5_000;
const REFUSED = 'refused';
/** Refused ones that are kept for people to look at. */
const KEPT_REFUSED = 100;

/**
 * Takes acknowledgements as they come: out of the inbox every few seconds, and from a medium when asked. What did its work
 * is removed from the inbox; what was refused goes into `acknowledgements/refused`, so that the right one can arrive under
 * its name. One round at a time.
 */
export class AcknowledgementRounds {
  readonly #options: RoundsOptions;
  readonly #inbox: string;
  /** Names that could not be moved: not looked at again before they change. */
  readonly #stuck = new Map<string, string>();
  #last: Promise<unknown> = Promise.resolve();
  #timer: NodeJS.Timeout | null = null;

  constructor(options: RoundsOptions) {
    this.#options = options;
    this.#inbox = join(options.inbox, 'acknowledgements');
  }

  /** Now, and then every five seconds until `stop`. */
  start(): void {
    const tick = async (): Promise<void> => {
      await this.inboxRound();
      if (this.#timer !== null) this.#timer = setTimeout(tick, EVERY_MS).unref();
    };
    this.#timer = setTimeout(tick, 0);
  }

  /** Resolves when the round under way is over. */
  async stop(): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    await this.#last;
  }

  /** One look at the inbox. Never rejects. */
  async inboxRound(): Promise<void> {
    if (!this.#isWaiting()) return;
    try {
      const report = await this.#take(this.#inbox);
      this.#clear([...report.done, ...report.idle]);
      this.#setAside(report.refused.map(({ name }) => name));
      if (report.removed.length + report.refused.length > 0) this.#options.listener.taken(report);
    } catch (error) {
      this.#options.listener.failed(error);
    }
  }

  /** Takes those in `acknowledgements/` on a medium, which is left as it is. Throws those of `takeAcknowledgements`. */
  async fromMedium(path: string): Promise<TakenAcknowledgements> {
    const report = await this.#take(join(path, 'acknowledgements'));
    this.#options.listener.taken(report);
    return report;
  }

  #take(path: string): Promise<TakenAcknowledgements> {
    const { outbox, site, engine } = this.#options;
    const turn = this.#last.then(() => takeAcknowledgements({ path, outbox, site, engine }));
    this.#last = turn.catch(() => {});
    return turn;
  }

  /** Whether anything lies there that was not looked at: cheap, because it is asked all the time. */
  #isWaiting(): boolean {
    try {
      return readdirSync(this.#inbox).some(
        (name) => /^[0-9a-f]{64}\.json$/.test(name) && this.#stuck.get(name) !== this.#stamp(name),
      );
    } catch {
      return false;
    }
  }

  #clear(names: readonly string[]): void {
    for (const name of names) this.#away(name, () => rmSync(join(this.#inbox, name), { force: true }));
  }

  #setAside(names: readonly string[]): void {
    if (names.length === 0) return;
    const aside = join(this.#inbox, REFUSED);
    for (const name of names)
      this.#away(name, () => {
        makeDir(aside, 0o770);
        renameSync(join(this.#inbox, name), join(aside, name));
      });
    forgetOldest(aside);
  }

  /** The inbox is the sync process's too: what may not be moved stays, and is not looked at again as it is. */
  #away(name: string, act: () => void): void {
    const stamp = this.#stamp(name);
    try {
      act();
      this.#stuck.delete(name);
    } catch (error) {
      if (errorCode(error) === null && !(error instanceof BoundaryError)) throw error;
      if (this.#stuck.size >= 10_000) this.#stuck.clear();
      this.#stuck.set(name, stamp);
    }
  }

  #stamp(name: string): string {
    const stat = statSync(join(this.#inbox, name), { throwIfNoEntry: false });
    return stat === undefined ? 'gone' : `${stat.ino} ${stat.size} ${stat.mtimeMs}`;
  }
}

function forgetOldest(dir: string): void {
  try {
    const files = readdirSync(dir).map((name) => ({ name, at: statSync(join(dir, name)).mtimeMs }));
    const old = files.sort((a, b) => b.at - a.at).slice(KEPT_REFUSED);
    for (const { name } of old) rmSync(join(dir, name), { force: true, recursive: true });
  } catch (error) {
    // Tidying up is no reason to fail; the next refusal tries again.
    if (errorCode(error) === null) throw error;
  }
}
