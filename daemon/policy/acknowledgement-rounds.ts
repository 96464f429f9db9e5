import { join } from 'node:path';
import { type TakenAcknowledgements, type TakeOptions, takeAcknowledgements } from './acknowledgements.ts';
import { InboxFolder } from './inbox-folder.ts';
import { Rounds } from './rounds.ts';

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

const NAME = /^[0-9a-f]{64}\.json$/;

/**
 * Takes acknowledgements as they come: out of the inbox every few seconds, and from a medium when asked. What did its work
 * is removed from the inbox; what was refused goes into `acknowledgements/refused`, so that the right one can arrive under
 * its name. One round at a time.
 */
export class AcknowledgementRounds {
  readonly #options: RoundsOptions;
  readonly #inbox: InboxFolder;
  readonly #rounds = new Rounds(() => this.inboxRound());

  constructor(options: RoundsOptions) {
    this.#options = options;
    this.#inbox = new InboxFolder(join(options.inbox, 'acknowledgements'), NAME);
  }

  /** Now, and then every few seconds until `stop`. */
  start(): void {
    this.#rounds.start();
  }

  /** Resolves when what is under way is over. */
  stop(): Promise<void> {
    return this.#rounds.stop();
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
    return this.#rounds.turn(() => takeAcknowledgements({ path, outbox, site, engine }));
  }
}
