import { BoundaryError } from '../formats/boundary-error.ts';
import { nearest } from '../formats/spelling.ts';

/** Every variable of ours that the program reads. */
const OURS: readonly string[] = [
  'HOLDFAST_ACTOR',
  'HOLDFAST_DEBUG',
  'HOLDFAST_DIR',
  'HOLDFAST_LOG',
  'HOLDFAST_NATIVE_DIR',
  'HOLDFAST_TLS_CERT',
  'HOLDFAST_TLS_KEY',
  'HOLDFAST_UNSIGNED',
];
/** Variables that scripts of installation, packaging and tests read, and the program does not. */
const OF_OTHERS: readonly string[] = [
  'HOLDFAST_PACKAGED',
  'HOLDFAST_PATIENCE',
  'HOLDFAST_PROGRAM',
  'HOLDFAST_PURGE',
  'HOLDFAST_RELEASE_KEY',
  'HOLDFAST_RELEASE_PUBLIC_KEY',
  'HOLDFAST_TEST_SECRET',
  'HOLDFAST_UPGRADE',
];

/**
 * A misspelt setting must not vanish, wherever it stands: throws `BoundaryError` `environment.unknown` for a variable
 * `HOLDFAST_…` that nothing of ours reads. Its value is not repeated.
 */
export function assertKnownVariables(environ: Readonly<Record<string, string | undefined>>): void {
  const stray = Object.keys(environ).find(
    (name) => name.startsWith('HOLDFAST_') && !OURS.includes(name) && !OF_OTHERS.includes(name),
  );
  if (stray === undefined) return;
  const shown = stray.slice(0, 64);
  const near = nearest(shown, OURS);
  throw new BoundaryError(
    'environment.unknown',
    `The environment variable ${JSON.stringify(shown)} is none of holdfast's${near === null ? '' : `: did you mean ${near}?`} Nothing was started. Take it out of the unit, or put it right.`,
    { at: shown },
  );
}
