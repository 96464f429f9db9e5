import { join } from 'node:path';
import type { TakenCosignatures } from '../core/anchor-report.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import { COSIGNED_MAX_BYTES, COSIGNED_NAME } from '../formats/cosignature.ts';
import { readBounded } from '../host/durable-file.ts';
import { type CosignedOptions, isForLater, takeCosigned } from './cosignatures.ts';
import { InboxFolder } from './inbox-folder.ts';
import { Rounds } from './rounds.ts';

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

/** Looked at in one round; whoever writes more than that waits. */
const PER_ROUND = 32;

/**
 * Takes cosigned checkpoints as they come: out of `inbox/cosignatures` every few seconds, and one by one when asked. What
 * was recorded, or known before, is removed; what was refused lies in `cosignatures/refused` then. One at a time.
 */
export class CosignatureRounds {
  readonly #options: CosignatureRoundsOptions;
  readonly #inbox: InboxFolder;
  readonly #rounds = new Rounds(() => this.inboxRound());

  constructor(options: CosignatureRoundsOptions) {
    this.#options = options;
    this.#inbox = new InboxFolder(join(options.inbox, 'cosignatures'), COSIGNED_NAME);
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
    return this.#rounds.turn(() => takeCosigned(note, this.#options));
  }
}
