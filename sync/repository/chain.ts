import {
  Metadata,
  type MetadataKind,
  MetaFile,
  type Root,
  Signature,
  Snapshot,
  type Targets,
  Timestamp,
} from '@tufjs/models';
import { BoundaryError } from '../../daemon/formats/boundary-error.ts';
import { sha256Hex, toHex } from '../../daemon/formats/digest.ts';
import type { NoteSigner } from '../../daemon/formats/signed-note.ts';
import { keyOf } from './keys.ts';
import { expiry, type Lifetimes } from './metadata.ts';
import { keyName, rolesOf, SPEC_VERSION } from './roles.ts';
import { formatMetadata, type RepositoryState } from './state.ts';

/** One of the two files that the online keys sign. */
interface ChainFile<T extends Snapshot | Timestamp> {
  version: number;
  metadata: Metadata<T>;
  bytes: Uint8Array;
}

/** Snapshot and timestamp: what leads readers to everything else. */
export interface Chain {
  snapshot: ChainFile<Snapshot>;
  timestamp: ChainFile<Timestamp>;
}

/** The chain that readers follow now. */
export function currentChain({ snapshot, timestamp }: RepositoryState): Chain {
  return { snapshot: fileOf(snapshot), timestamp: fileOf(timestamp) };
}

/**
 * The next snapshot and timestamp over these files, signed by every key of `signers` that the new root or the one so far
 * (for readers that have not seen the new one) knows. Throws BoundaryError `chain.not_signed` when too few of the new
 * root's are there.
 */
export function signChain(options: {
  root: Metadata<Root>;
  /** The new list; null when the one in force stays, as its file is. */
  targets: Metadata<Targets> | null;
  /** Regions with a new list. */
  regions: ReadonlyMap<string, Metadata<Targets>>;
  before: Chain | null;
  signers: readonly NoteSigner[];
  lifetimes: Lifetimes;
  now: number;
}): Chain {
  const { root, targets, regions, before, signers, lifetimes, now } = options;
  // What was listed once stays listed, also a region that was dissolved: readers refuse a gap as a rollback (TUF §5.5.5).
  const meta = { ...before?.snapshot.metadata.signed.meta };
  for (const [name, region] of regions) meta[`${name}.json`] = metaOf(region);
  if (targets !== null) meta['targets.json'] = metaOf(targets);
  const snapshot = sign(
    new Snapshot({
      version: (before?.snapshot.version ?? 0) + 1,
      specVersion: SPEC_VERSION,
      expires: expiry(now, lifetimes.snapshot),
      meta,
    }),
    signers,
  );
  assertSigned(root, 'snapshot', snapshot.metadata);
  return {
    snapshot,
    timestamp: signTimestamp({ root, snapshot: metaOf(snapshot.metadata), before, signers, lifetimes, now }),
  };
}

/** A new timestamp over a snapshot that is there. Throws BoundaryError `chain.not_signed`. */
export function signTimestamp(options: {
  root: Metadata<Root>;
  /** How the timestamp names it. */
  snapshot: MetaFile;
  before: Chain | null;
  signers: readonly NoteSigner[];
  lifetimes: Lifetimes;
  now: number;
}): Chain['timestamp'] {
  const { root, snapshot, before, signers, lifetimes, now } = options;
  const timestamp = sign(
    new Timestamp({
      version: (before?.timestamp.version ?? 0) + 1,
      specVersion: SPEC_VERSION,
      expires: expiry(now, lifetimes.timestamp),
      snapshotMeta: snapshot,
    }),
    signers,
  );
  assertSigned(root, 'timestamp', timestamp.metadata);
  return timestamp;
}

function sign<T extends Snapshot | Timestamp>(signed: T, signers: readonly NoteSigner[]): ChainFile<T> {
  const metadata = new Metadata(signed);
  for (const signer of signers)
    metadata.sign((bytes) => new Signature({ keyID: keyOf(signer).keyID, sig: toHex(signer.sign(bytes)) }));
  return fileOf(metadata);
}

function fileOf<T extends Snapshot | Timestamp>(metadata: Metadata<T>): ChainFile<T> {
  return { version: metadata.signed.version, metadata, bytes: formatMetadata(metadata) };
}

function metaOf(metadata: Metadata<Targets> | Metadata<Snapshot>): MetaFile {
  const bytes = formatMetadata(metadata);
  return new MetaFile({
    version: metadata.signed.version,
    length: bytes.length,
    hashes: { sha256: sha256Hex(bytes) },
  });
}

function assertSigned(
  root: Metadata<Root>,
  role: `${MetadataKind.Snapshot}` | `${MetadataKind.Timestamp}`,
  metadata: Metadata<Snapshot> | Metadata<Timestamp>,
): void {
  try {
    root.verifyDelegate(role, metadata);
  } catch (cause) {
    const { keys, threshold } = rolesOf(root.signed)[role];
    throw new BoundaryError(
      'chain.not_signed',
      `The ${role} needs ${threshold} of these keys: ${keys.map(keyName).join(', ')}; nothing was published. Name the online key with --key.`,
      { cause },
    );
  }
}
