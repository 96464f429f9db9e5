import { RE2JS } from '@bufbuild/re2';
import { BoundaryError } from '../formats/boundary-error.ts';

/** A regular expression that runs in time linear in its input (RE2), so that no input can stall the engine. */
export interface Pattern {
  readonly source: string;
  /** Instructions of the compiled program: the factor in the linear time. */
  readonly size: number;
  matchesWhole(text: string): boolean;
  foundIn(text: string): boolean;
}

/** Steps that matching may cost at the longest allowed input: some tens of milliseconds. */
const STEPS_MAX = 1_000_000;

/**
 * Compiles RE2 syntax. `longest` is the length in characters of the longest text that it will be matched against.
 * Throws `BoundaryError` `pattern.malformed`, or `pattern.too_costly` when size times length is out of bounds.
 */
export function compilePattern(source: string, longest: number): Pattern {
  const compiled = compileRe2(source);
  const size = compiled.re2().prog.inst.length;
  if (size * longest > STEPS_MAX) {
    throw new BoundaryError(
      'pattern.too_costly',
      `The pattern compiles to ${size} steps for each of ${longest} characters. Use smaller repeat counts or a smaller max_length.`,
    );
  }
  return {
    source,
    size,
    matchesWhole: (text) => compiled.testExact(text),
    foundIn: (text) => compiled.test(text),
  };
}

function compileRe2(source: string): RE2JS {
  try {
    return RE2JS.compile(source);
  } catch (cause) {
    const detail = cause instanceof Error ? cause.message : 'not a regular expression';
    throw new BoundaryError('pattern.malformed', `RE2 does not read the pattern: ${detail}.`, { cause });
  }
}
