import { BoundaryError } from '../formats/boundary-error.ts';
import { endWith } from './exit.ts';
import { printJson, say } from './render/output.ts';

/**
 * Does the work of a command of which some failures are no mistake of the caller: those named in `codes` are told and end
 * with the exit code given there; every other is thrown.
 */
export async function withVerdicts(
  codes: Readonly<Record<string, number>>,
  options: { json?: boolean },
  work: () => void | Promise<void>,
): Promise<void> {
  try {
    await work();
  } catch (error) {
    const code = error instanceof BoundaryError ? codes[error.code] : undefined;
    if (!(error instanceof BoundaryError) || code === undefined) throw error;
    if (options.json === true) printJson({ error: { code: error.code, message: error.message } });
    say(`holdfast: ${error.message}`);
    endWith(code);
  }
}
