import { join } from 'node:path';
import { type Key, type Metadata, type Root, Signature, type Targets } from '@tufjs/models';
import { BoundaryError } from '../../daemon/formats/boundary-error.ts';
import { canonicalText } from '../../daemon/formats/canonical-json.ts';
import { toHex } from '../../daemon/formats/digest.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import type { NoteSigner } from '../../daemon/formats/signed-note.ts';
import { writeDurable } from '../../daemon/host/durable-file.ts';
import { keyOf } from './keys.ts';
import { type RoleKeys, regionsOf, rolesOf } from './roles.ts';
import { type StagedFile, type Staging, stagedFiles } from './staging.ts';
import { formatMetadata } from './state.ts';

/** Whose signatures a file needs, and whose it has. */
export interface Requirement {
  /** In words: "targets", "root so far", "the new root". */
  by: string;
  threshold: number;
  keys: readonly Key[];
  signed: readonly Key[];
}

/** A file to be signed and how far it is. */
export interface Progress extends StagedFile {
  /** All of them must be met; a new root has two, the keys so far and its own (TUF §5.3.4). */
  requirements: readonly Requirement[];
  complete: boolean;
}

/** How far each file of a staging area is. Throws BoundaryError `staging.incomplete` when nothing says who may sign. */
export function progressOf(staging: Staging): Progress[] {
  return stagedFiles(staging).map((file) => {
    const requirements = requirementsOf(staging, file).map(([by, { keys, threshold }]) => ({
      by,
      threshold,
      keys,
      signed: keys.filter((key) => hasSigned(key, file.metadata)),
    }));
    return { ...file, requirements, complete: requirements.every(isMet) };
  });
}

/** Whether enough have signed. */
export function isMet({ signed, threshold }: Requirement): boolean {
  return signed.length >= threshold;
}

/** Who signed a file by itself, among `keys`. */
export function signersOf(metadata: Metadata<Root> | Metadata<Targets>, keys: readonly Key[]): Key[] {
  return keys.filter((key) => hasSigned(key, metadata));
}

/**
 * Signs every file of a staging area (or only `only`) that the key may sign and has not signed, in place and durably.
 * Returns the names of these files. Throws BoundaryError `sign.not_a_signer` when the key counts for none.
 */
export function signStaged(staging: Staging, signer: NoteSigner, only: string | null = null): string[] {
  const id = keyOf(signer).keyID;
  const mine = signableBy(staging, id, only);
  if (mine.length === 0)
    throw new BoundaryError(
      'sign.not_a_signer',
      `The key of ${signer.name} signs nothing of what is staged; nothing was signed. "repo show" tells whose signatures are wanted.`,
    );
  for (const { metadata, file } of mine) {
    metadata.sign((bytes) => new Signature({ keyID: id, sig: toHex(signer.sign(bytes)) }));
    writeDurable(join(staging.dir, file), formatMetadata(metadata), 0o644);
  }
  return mine.map(({ file }) => file);
}

/** The files that a key may sign and has not signed. */
export function signableBy(staging: Staging, keyId: string, only: string | null = null): Progress[] {
  return progressOf(staging)
    .filter(({ file }) => only === null || file === only)
    .filter(({ requirements, metadata }) =>
      requirements.some(({ keys }) => keys.some((key) => key.keyID === keyId && !hasSigned(key, metadata))),
    );
}

/**
 * Brings the signatures of another copy of the staging area into this one, durably; only good ones by keys that count.
 * Returns how many were new. Throws BoundaryError `merge.differs` when the copies do not hold the same files: a signature
 * is for exact bytes.
 */
export function mergeSignatures(into: Staging, from: Staging): number {
  const theirs = new Map(stagedFiles(from).map((file) => [file.file, file.metadata]));
  let added = 0;
  for (const { file, metadata, requirements } of progressOf(into)) {
    const other = theirs.get(file);
    if (other === undefined) continue;
    if (signedText(other) !== signedText(metadata)) throw differs(from, file);
    const keys = requirements.flatMap((requirement) => requirement.keys);
    const fresh = Object.entries(other.signatures).filter(
      ([id]) =>
        !signersOf(metadata, keys).some(({ keyID }) => keyID === id) &&
        signersOf(other, keys).some(({ keyID }) => keyID === id),
    );
    for (const [id, signature] of fresh) metadata.signatures[id] = signature;
    if (fresh.length > 0) writeDurable(join(into.dir, file), formatMetadata(metadata), 0o644);
    added += fresh.length;
  }
  if (!stagedFiles(into).some(({ file }) => theirs.has(file))) throw differs(from, 'none of the files');
  return added;
}

/**
 * Holds what the staging area says about the present against its own signatures: a signer compares with that, so it must
 * have been signed once, and what is staged must be the next version of it. Throws BoundaryError `staging.untrue`.
 */
export function assertBefore(staging: Staging): void {
  const { root, targets, regions } = staging.before;
  try {
    root?.verifyDelegate('root', root);
    if (targets !== null) root?.verifyDelegate('targets', targets);
    const delegated = (targets === null ? [] : regionsOf(targets.signed)).map(({ name }) => name);
    for (const [name, region] of regions) if (delegated.includes(name)) targets?.verifyDelegate(name, region);
  } catch (cause) {
    throw untrue('what it says is in force now was never signed by those who may', cause);
  }
  for (const { role, metadata } of stagedFiles(staging)) {
    const before = role === 'root' ? root : role === 'targets' ? targets : regions.get(role);
    const expected = before === null || before === undefined ? null : before.signed.version + 1;
    if (expected !== null && metadata.signed.version !== expected)
      throw untrue(`${role} version ${metadata.signed.version} does not follow version ${expected - 1}`);
  }
}

function untrue(why: string, cause?: unknown): BoundaryError {
  return new BoundaryError(
    'staging.untrue',
    `The staging area contradicts itself: ${why}. Nothing was signed; ask whoever made it.`,
    { cause },
  );
}

/** What exactly is signed, for comparing copies. */
export function signedText({ signed }: Metadata<Root> | Metadata<Targets>): string {
  return canonicalText(signed.toJSON() as JsonObject);
}

function requirementsOf(staging: Staging, { role, metadata }: StagedFile): (readonly [string, RoleKeys])[] {
  const { before } = staging;
  const root = staging.root ?? before.root;
  if (role === 'root') {
    const own = rolesOf(metadata.signed as Root).root;
    return before.root === null
      ? [['root', own]]
      : [
          ['root so far', rolesOf(before.root.signed).root],
          ['the new root', own],
        ];
  }
  if (role === 'targets' && root !== null) return [['targets', rolesOf(root.signed).targets]];
  const targets = staging.targets ?? before.targets;
  const region = targets === null ? undefined : regionsOf(targets.signed).find(({ name }) => name === role);
  if (region !== undefined) return [[role, region]];
  throw new BoundaryError(
    'staging.incomplete',
    `Nothing in ${staging.dir} says who signs ${role}; nothing was done. Get the whole staging area from whoever made it.`,
    { at: staging.dir },
  );
}

function hasSigned(key: Key, metadata: Metadata<Root> | Metadata<Targets>): boolean {
  try {
    key.verifySignature(metadata);
    return true;
  } catch {
    return false;
  }
}

function differs({ dir }: Staging, what: string): BoundaryError {
  return new BoundaryError(
    'merge.differs',
    `${dir} does not hold what is staged here (${what}); no signature was taken. It was made from another staging area, or changed since.`,
    { at: dir },
  );
}
