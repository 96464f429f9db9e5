/** Share of a CPU that the index may take while decisions come. */
const SHARE = 0.1;
/** Entries that the index may lack, however busy the site is: some minutes at most, and half a minute to catch up. */
export const BEHIND_MAX = 1_000_000;
/** How long the ledger's growth is measured for one rate. */
const WINDOW_MS = 250;
/** CPU time of filing one entry, until it was measured: µs. */
const COST_US = 40;
/** Weight of the newest measurement of the cost. */
const WEIGHT = 0.2;

/**
 * Whether the index may follow now. Each decision would cost it a fixed time: where so many are recorded that this came to more
 * than a tenth of a CPU, the CPUs are the decisions', and the index waits until there are fewer, or it lacks too much.
 */
export class Pace {
  #cost = COST_US;
  #perSecond = 0;
  #from: { size: number; at: number } | null = null;

  /** Takes up how many entries the ledger has now; `now` in ms, of a clock that only goes forward. */
  look(size: number, now: number): void {
    this.#from ??= { size, at: now };
    const past = now - this.#from.at;
    if (past < WINDOW_MS) return;
    this.#perSecond = ((size - this.#from.size) * 1_000) / past;
    this.#from = { size, at: now };
  }

  /** Takes up what filing some entries took of the CPU, in µs. */
  filed(entries: number, cpu: number): void {
    if (entries > 0) this.#cost += WEIGHT * (cpu / entries - this.#cost);
  }

  /** Whether an index that lacks `behind` entries may follow. */
  mayFollow(behind: number): boolean {
    return behind >= BEHIND_MAX || this.#perSecond * this.#cost <= SHARE * 1_000_000;
  }
}
