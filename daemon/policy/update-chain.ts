import { Metadata, MetadataKind, type MetaFile } from '@tufjs/models';
import { sha256Hex } from '../formats/digest.ts';
import { notAccepted } from './update-failure.ts';

/** Verified metadata by the name of its file without the version. */
export interface ChainBytes {
  timestamp: Uint8Array;
  snapshot: Uint8Array;
  targets: Uint8Array;
  region: { name: string; bytes: Uint8Array } | null;
}

/**
 * Each file must be the one that the file before it names. A TUF client goes on with files that it trusts already when their
 * versions are those named (TUF §5.5.1), whatever their digests are; then what it ends with is of two repositories, and
 * nobody who starts from the root could verify it again. Throws BoundaryError `update.damaged`.
 */
export function assertOneRepository({ timestamp, snapshot, targets, region }: ChainBytes): void {
  const { snapshotMeta } = Metadata.fromJSON(MetadataKind.Timestamp, parse(timestamp)).signed;
  const { meta } = Metadata.fromJSON(MetadataKind.Snapshot, parse(snapshot)).signed;
  const links: (readonly [string, MetaFile | undefined, Uint8Array])[] = [
    ['snapshot', snapshotMeta, snapshot],
    ['targets', meta['targets.json'], targets],
    ...(region === null ? [] : [[region.name, meta[`${region.name}.json`], region.bytes] as const]),
  ];
  for (const [role, named, bytes] of links)
    if (named === undefined || !isThis(named, bytes))
      throw notAccepted(
        'update.damaged',
        `its ${role} file is another one than this site has accepted under the same version, so two repositories were mixed, or one was made twice. Copy the whole repository again; if it stays so, tell the publisher`,
        undefined,
        role,
      );
}

/** Length and digest are optional in metadata (TUF §4.4); versions were compared already. */
function isThis({ length, hashes }: MetaFile, bytes: Uint8Array): boolean {
  const digest = hashes?.sha256;
  return (
    (length === undefined || length === bytes.length) && (digest === undefined || digest === sha256Hex(bytes))
  );
}

function parse(bytes: Uint8Array): Parameters<typeof Metadata.fromJSON>[1] {
  return JSON.parse(Buffer.from(bytes).toString('utf8')) as Parameters<typeof Metadata.fromJSON>[1];
}
