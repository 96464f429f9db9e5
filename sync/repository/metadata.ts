import { Metadata, MetaFile, type Root, Snapshot, type TargetFile, Targets, Timestamp } from '@tufjs/models';
import { sha256Hex } from '../../daemon/formats/digest.ts';
import { keyOf, type RoleName, type RoleSigners, signWith } from './keys.ts';
import { buildRoot, type RoleKeys, SPEC_VERSION } from './roles.ts';
import { formatMetadata } from './state.ts';

const DAY_MS = 86_400_000;

/** Days until each role's metadata expires. */
export type Lifetimes = Record<RoleName, number>;

/** Metadata as it goes to disk, with the version that names it. */
export interface SignedFile {
  version: number;
  bytes: Uint8Array;
}

export interface RootOptions {
  version: number;
  /** Keys of each role in the new root. */
  keys: RoleSigners;
  thresholds: Record<RoleName, number>;
  /** Who signs: the new root's keys and, after the first, the old root's too (TUF §5.3.4). */
  signers: RoleSigners['root'];
  /** `dev` stamps a local 1-of-1 publisher; only dev sites accept it, and no rotation takes it off. */
  profile: 'dev' | null;
  now: number;
  lifetimes: Lifetimes;
}

/** A root file. Whoever verifies it wants `thresholds.root` of the new and of the old root's keys. */
export function signRoot({
  version,
  keys,
  thresholds,
  signers,
  profile,
  now,
  lifetimes,
}: RootOptions): SignedFile {
  const role = (name: RoleName): RoleKeys => ({ keys: keys[name].map(keyOf), threshold: thresholds[name] });
  const root = buildRoot({
    version,
    expires: expiry(now, lifetimes.root),
    roles: {
      root: role('root'),
      targets: role('targets'),
      snapshot: role('snapshot'),
      timestamp: role('timestamp'),
    },
    profile,
  });
  return finish(new Metadata(root), signers);
}

/** What the roles below root have in common. */
export interface Signing {
  version: number;
  signers: RoleSigners[RoleName];
  expires: string;
}

/** The list of targets, by name. */
export function signTargets(targets: Record<string, TargetFile>, signing: Signing): SignedFile {
  return finish(new Metadata(new Targets({ ...common(signing), targets })), signing.signers);
}

/** Binds the targets file, and what regions signed, by version, length and digest. */
export function signSnapshot(
  targets: SignedFile,
  signing: Signing,
  regions: Readonly<Record<string, MetaFile>> = {},
): SignedFile {
  const meta = { ...regions, 'targets.json': metaFile(targets) };
  return finish(new Metadata(new Snapshot({ ...common(signing), meta })), signing.signers);
}

/** Binds the snapshot the same way; the shortest-lived file, where readers start. */
export function signTimestamp(snapshot: SignedFile, signing: Signing): SignedFile {
  return finish(
    new Metadata(new Timestamp({ ...common(signing), snapshotMeta: metaFile(snapshot) })),
    signing.signers,
  );
}

/** RFC 3339 UTC without fractions, as TUF writes times. */
export function tufTime(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}

export function expiry(now: number, days: number): string {
  return tufTime(now + days * DAY_MS);
}

function common({ version, expires }: Signing) {
  return { version, specVersion: SPEC_VERSION, expires };
}

/** How one metadata file names another. */
function metaFile({ version, bytes }: SignedFile): MetaFile {
  return new MetaFile({ version, length: bytes.length, hashes: { sha256: sha256Hex(bytes) } });
}

function finish(
  metadata: Metadata<Root | Targets | Snapshot | Timestamp>,
  signers: RoleSigners[RoleName],
): SignedFile {
  signWith(metadata, signers);
  return {
    version: metadata.signed.version,
    bytes: formatMetadata(metadata),
  };
}
