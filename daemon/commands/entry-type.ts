import { BoundaryError } from '../formats/boundary-error.ts';
import { ENTRY_TYPES } from '../formats/entry.ts';

/** Throws BoundaryError `entry.unknown_type`: a misspelt type would look like "there are none". */
export function assertType(type: string | undefined): void {
  if (type === undefined || Object.hasOwn(ENTRY_TYPES, type)) return;
  throw new BoundaryError(
    'entry.unknown_type',
    `${JSON.stringify(type.slice(0, 80))} is no type of entry; nothing was read. There are: ${Object.keys(ENTRY_TYPES).sort().join(', ')}.`,
  );
}
