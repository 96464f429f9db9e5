const EVERY_MS = 5_000;

/** What is looked at every few seconds and, beside that, when asked: one turn after the other, in the order of asking. */
export class Rounds {
  readonly #look: () => Promise<void>;
  #last: Promise<unknown> = Promise.resolve();
  #timer: NodeJS.Timeout | null = null;

  /** `look` takes its own turns, and never rejects. */
  constructor(look: () => Promise<void>) {
    this.#look = look;
  }

  /** Now, and then every five seconds until `stop`. */
  start(): void {
    const tick = async (): Promise<void> => {
      await this.#look();
      if (this.#timer !== null) this.#timer = setTimeout(tick, EVERY_MS).unref();
    };
    this.#timer = setTimeout(tick, 0);
  }

  /** Resolves when the turn under way is over. */
  async stop(): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    await this.#last;
  }

  /** Does something when all before it is done, however that ended. */
  turn<T>(task: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(task);
    this.#last = turn.catch(() => {});
    return turn;
  }
}
