/** How much of everything one run does. */
export interface Plan {
  mode: 'full' | 'quick';
  rounds: number;
  warmupMs: number;
  durationMs: number;
  /** Entries of the two ledgers that are compared. */
  small: number;
  large: number;
  starts: number;
  verifications: number;
  execMs: number;
  /** Large updates, each imported once alone and once under load. */
  imports: number;
}

export const FULL: Plan = {
  mode: 'full',
  rounds: 7,
  warmupMs: 400,
  durationMs: 2_000,
  small: 1_000,
  large: 1_000_000,
  starts: 5,
  verifications: 3,
  execMs: 3_000,
  imports: 5,
};

/** Everything once, small: that the bench works, not what the figures are. */
export const QUICK: Plan = {
  mode: 'quick',
  rounds: 2,
  warmupMs: 200,
  durationMs: 500,
  small: 1_000,
  large: 20_000,
  starts: 1,
  verifications: 1,
  execMs: 500,
  imports: 1,
};
