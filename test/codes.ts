import { BoundaryError } from '../daemon/formats/boundary-error.ts';

/** Code of the BoundaryError that an action throws; `accepted` when it throws none. Any other error goes on. */
export function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    return codeOrThrow(error);
  }
  return 'accepted';
}

/** As codeOf, of what is under way. */
export async function codeOfLater(attempt: Promise<unknown>): Promise<string> {
  return attempt.then(() => 'accepted', codeOrThrow);
}

function codeOrThrow(error: unknown): string {
  if (error instanceof BoundaryError) return error.code;
  throw error;
}
