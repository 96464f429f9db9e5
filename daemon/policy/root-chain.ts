import { Metadata, MetadataKind, type Root } from '@tufjs/models';
import { BoundaryError } from '../formats/boundary-error.ts';
import { fromHex } from '../formats/digest.ts';
import type { Countersigners } from '../formats/trust-envelope.ts';
import { readRoot } from './update-root.ts';

/** Signed member of a key: its holder's name, for people only. */
const NAME_MEMBER = 'x-holdfast-name';

/**
 * Follows roots from the one that is believed to the newest of those given, each signed by enough of the keys of the one
 * before it (TUF §5.3.4, §5.3.5). Whether they have expired does not matter: what was signed under them is judged, not
 * whether it is the newest. Throws BoundaryError `trust.bad_root` with `at` = the position in the list.
 */
export function followRoots(files: readonly Uint8Array[]): Root {
  let trusted: Metadata<Root> | null = null;
  for (const [position, bytes] of files.entries()) {
    const next = parsed(bytes, position);
    if (trusted !== null) assertFollows(trusted, next, position);
    trusted = next;
  }
  if (trusted === null) throw new Error('roots: none were given');
  return trusted.signed;
}

/** Whose countersignatures count under a root: the targets role's, its threshold. */
export function countersignersOf(root: Root): Countersigners {
  const role = root.roles.targets;
  const keys = (role?.keyIDs ?? []).flatMap((id) => {
    const key = root.keys[id];
    const hex = key?.keyVal.public;
    if (key === undefined || hex === undefined) return [];
    const name = key.unrecognizedFields?.[NAME_MEMBER];
    return [{ id, name: typeof name === 'string' ? name : `key ${id.slice(0, 8)}`, publicKey: fromHex(hex) }];
  });
  return { keys, threshold: role?.threshold ?? 1 };
}

function parsed(bytes: Uint8Array, position: number): Metadata<Root> {
  try {
    readRoot(bytes);
    return Metadata.fromJSON(MetadataKind.Root, JSON.parse(Buffer.from(bytes).toString('utf8')));
  } catch (cause) {
    throw badRoot(position, 'is malformed, or not signed by its own keys', cause);
  }
}

function assertFollows(trusted: Metadata<Root>, next: Metadata<Root>, position: number): void {
  const expected = trusted.signed.version + 1;
  if (next.signed.version !== expected)
    throw badRoot(position, `has version ${next.signed.version}, and version ${expected} comes next`);
  try {
    trusted.verifyDelegate(MetadataKind.Root, next);
  } catch (cause) {
    throw badRoot(position, 'is not signed by enough of the keys of the one before it', cause);
  }
}

function badRoot(position: number, what: string, cause?: unknown): BoundaryError {
  return new BoundaryError(
    'trust.bad_root',
    `Root number ${position + 1} of those given ${what}. Nothing was checked; get the roots from headquarters, oldest first.`,
    { at: '--root', cause },
  );
}
