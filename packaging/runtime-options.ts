/**
 * Options of the runtime that ships: the executables carry them, tests and bench give them to the sources. One helper
 * thread instead of four: those compile and collect garbage at the rank that everybody has, and on two processors they
 * take both from who answers (docs/decisions/0024).
 */
export const RUNTIME_OPTIONS: readonly string[] = ['--v8-pool-size=1'];
