import { join } from 'node:path';
import { type TakenAcknowledgements, type TakeOptions, takeAcknowledgements } from './acknowledgements.ts';
import { InboxFolder } from './inbox-folder.ts';

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
const NAME = /^[0-9a-f]{64}\.json$/;

/**
 * Takes acknowledgements as they come: out of the inbox every few seconds, and from a medium when asked. What did its work
 * is removed from the inbox; what was refused goes into `acknowledgements/refused`, so that the right one can arrive under
 * its name. One round at a time.
 */
export class AcknowledgementRounds {
  readonly #options: RoundsOptions;
  readonly #inbox: InboxFolder;
  #last: Promise<unknown> = Promise.resolve();
  #timer: NodeJS.Timeout | null = null;

  constructor(options: RoundsOptions) {
    this.#options = options;
    this.#inbox = new InboxFolder(join(options.inbox, 'acknowledgements'), NAME);
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
    if (this.#inbox.waiting().length === 0) return;
    try {
      const report = await this.#take(this.#inbox.path);
      this.#inbox.clear([...report.done, ...report.idle]);
      this.#inbox.setAside(report.refused.map(({ name }) => name));
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
}
