/** Entries that the index may lack, however busy the site is: half a minute to catch up. */
export const BEHIND_MAX = 1_000_000;
/** Share of a CPU that following would take: up to here the site counts as at rest, and the index may take all it wants … */
const REST = 0.01;
/** … and up to here it takes a tenth of a CPU and keeps up. Above, decisions need the CPUs. */
const BUSY = 0.05;
const SHARE = 0.1;
/** How long the ledger's growth is measured for one rate. */
const WINDOW_MS = 250;
/** CPU time of filing one entry, until it was measured: µs. */
const COST_US = 40;
/** Weight of the newest measurement of the cost. */
const WEIGHT = 0.2;

/**
 * How fast the index may follow. Each decision costs it a fixed time, so what it would take is known from the rate at which entries
 * come: little, and it may have it; more than a twentieth of a CPU, and it waits until there are fewer, or it lacks too many.
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

  /** Whether an index that lacks `behind` entries may follow. */
  mayFollow(behind: number): boolean {
    return behind >= BEHIND_MAX || this.#needed() <= BUSY;
  }

  /** Takes up what filing some entries took of the CPU, in µs; returns how many ms to leave to others now. */
  filed(entries: number, cpu: number, behind: number): number {
    if (entries > 0) this.#cost += WEIGHT * (cpu / entries - this.#cost);
    if (behind >= BEHIND_MAX || this.#needed() <= REST) return 0;
    return (cpu / 1_000) * (1 / SHARE - 1);
  }

  /** Share of a CPU that it takes to keep up. */
  #needed(): number {
    return (this.#perSecond * this.#cost) / 1_000_000;
  }
}
