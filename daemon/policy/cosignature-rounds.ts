import { join } from 'node:path';
import { BoundaryError } from '../formats/boundary-error.ts';
import { COSIGNED_MAX_BYTES, COSIGNED_NAME } from '../formats/cosignature.ts';
import { readBounded } from '../host/durable-file.ts';
import { type CosignedOptions, isForLater, type TakenCosignatures, takeCosigned } from './cosignatures.ts';
import { InboxFolder } from './inbox-folder.ts';

export interface CosignatureListener {
  taken(name: string, report: TakenCosignatures): void;
  refused(name: string, error: BoundaryError): void;
  /** The round ended early; it is tried again. */
  failed(error: unknown): void;
}

export interface CosignatureRoundsOptions extends CosignedOptions {
  inbox: string;
  listener: CosignatureListener;
}

const EVERY_MS = 5_000;
/** Looked at in one round; whoever writes more than that waits. */
const PER_ROUND = 32;

/**
 * Takes cosigned checkpoints as they come: out of `inbox/cosignatures` every few seconds, and one by one when asked. What
 * was recorded, or known before, is removed; what was refused lies in `cosignatures/refused` then. One at a time.
 */
export class CosignatureRounds {
  readonly #options: CosignatureRoundsOptions;
  readonly #inbox: InboxFolder;
  #last: Promise<unknown> = Promise.resolve();
  #timer: NodeJS.Timeout | null = null;

  constructor(options: CosignatureRoundsOptions) {
    this.#options = options;
    this.#inbox = new InboxFolder(join(options.inbox, 'cosignatures'), COSIGNED_NAME);
  }

  /** Now, and then every five seconds until `stop`. */
  start(): void {
    const tick = async (): Promise<void> => {
      await this.inboxRound();
      if (this.#timer !== null) this.#timer = setTimeout(tick, EVERY_MS).unref();
    };
    this.#timer = setTimeout(tick, 0);
  }

  /** Resolves when what is under way is over. */
  async stop(): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    await this.#last;
  }

  /** One look at the inbox. Never rejects. */
  async inboxRound(): Promise<void> {
    for (const name of this.#inbox.waiting().slice(0, PER_ROUND)) {
      try {
        const report = await this.take(readBounded(join(this.#inbox.path, name), COSIGNED_MAX_BYTES));
        this.#inbox.clear([name]);
        this.#options.listener.taken(name, report);
      } catch (error) {
        if (!(error instanceof BoundaryError)) {
          this.#options.listener.failed(error);
          return;
        }
        if (isForLater(error)) return;
        this.#inbox.setAside([name]);
        this.#options.listener.refused(name, error);
      }
    }
  }

  /** Takes one. Throws those of `takeCosigned`. */
  take(note: string | Uint8Array): Promise<TakenCosignatures> {
    const turn = this.#last.then(() => takeCosigned(note, this.#options));
    this.#last = turn.catch(() => {});
    return turn;
  }
}
