import { BoundaryError } from '../../daemon/formats/boundary-error.ts';

/** Code of the BoundaryError that an action throws; `accepted` when it throws none. */
export function codeOf(action: () => unknown): string {
  try {
    action();
    return 'accepted';
  } catch (error) {
    if (error instanceof BoundaryError) return error.code;
    throw error;
  }
}
