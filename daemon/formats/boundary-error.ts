/**
 * Malformed or untrusted input, rejected at a boundary (socket, file, medium, bundle, token).
 *
 * `code` is stable and machine-readable (`checkpoint.origin_mismatch`, `json.duplicate_key`); `message` says what was
 * found and what was expected, and never holds a payload value. `at` names the place: a JSON pointer, a file, a line.
 *
 * An expected, coded "no" of the engine is not an error: that is a `Refusal` value (`core/refusal.ts`). Anything else
 * that is thrown is a bug of ours.
 */
export class BoundaryError extends Error {
  override readonly name = 'BoundaryError';
  readonly code: string;
  readonly at: string | undefined;

  constructor(code: string, message: string, options: { at?: string; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.at = options.at;
  }
}
