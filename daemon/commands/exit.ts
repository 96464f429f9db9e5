/** Exit codes of every command (contract: "Exit codes"). Verification has its own, 10 to 14 (`ledger/verify.ts`). */
export const EXIT = {
  done: 0,
  bug: 1,
  usage: 2,
  refused: 3,
  pending: 4,
  unavailable: 5,
  unknownOutcome: 6,
  tampered: 10,
  torn: 11,
  uncovered: 12,
  unknownKey: 13,
  rolledBack: 14,
} as const;

/** Sets the code that the process ends with once everything is written. */
export function endWith(code: number): void {
  process.exitCode = code;
}
