import type { Json } from '../formats/json.ts';
import { notAccepted } from './update-failure.ts';

/**
 * Most members of any object or list in metadata. tuf-js copies all that it has for each one more that it reads, before it
 * looks at any signature: a file of a few hundred kilobytes could keep it busy for minutes.
 */
const MEMBERS_MAX = 3_000;
const DEPTH_MAX = 32;

/** Throws BoundaryError `update.endless_metadata`. What is no JSON is left to whoever reads it. */
export function assertReadable(name: string, bytes: Uint8Array): void {
  let value: Json;
  try {
    value = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8')) as Json;
  } catch {
    return;
  }
  if (isWithin(value, DEPTH_MAX)) return;
  throw notAccepted(
    'update.endless_metadata',
    `${name} lists more than ${MEMBERS_MAX} things, or nests deeper than ${DEPTH_MAX} levels, which no repository for a site does. If it is headquarters' own, old bundles must be taken off its list there (holdfast repo prune)`,
    undefined,
    name,
  );
}

function isWithin(value: Json, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return true;
  const members = Object.values(value);
  return depth > 0 && members.length <= MEMBERS_MAX && members.every((member) => isWithin(member, depth - 1));
}
