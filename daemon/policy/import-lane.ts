/** Imports that may wait for their turn; whoever comes after them is asked to come back. */
const MOST_WAITING = 3;

/** One import at a time, in the order in which they came. */
export class ImportLane {
  #last: Promise<unknown> = Promise.resolve();
  #open = 0;

  /** Runs the work when it is its turn; null, and nothing is done, when too many wait already. */
  async take<T>(work: () => Promise<T>): Promise<T | null> {
    if (this.#open > MOST_WAITING) return null;
    this.#open += 1;
    const turn = this.#last.then(work);
    // The next one starts whatever became of this one.
    this.#last = turn.catch(() => {});
    try {
      return await turn;
    } finally {
      this.#open -= 1;
    }
  }
}
