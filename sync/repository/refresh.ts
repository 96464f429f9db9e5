import { join } from 'node:path';
import { BoundaryError } from '../../daemon/formats/boundary-error.ts';
import type { NoteSigner } from '../../daemon/formats/signed-note.ts';
import { writeDurable } from '../../daemon/host/durable-file.ts';
import { currentChain, signChain, signTimestamp } from './chain.ts';
import { expiry } from './metadata.ts';
import { repositoryDir } from './publisher.ts';
import { readSettings } from './settings.ts';
import { readState } from './state.ts';

/** What a refresh renewed. */
export interface Refreshed {
  versions: { snapshot: number; timestamp: number };
  /** RFC 3339 UTC of the new files. */
  expires: { snapshot: string; timestamp: string };
}

/**
 * Says again, with the online keys, that what is published is the newest there is: a new timestamp, and a new snapshot
 * when the one there would not outlive it. Targets, roots and regions stay as they are. Throws BoundaryError
 * `chain.not_signed`, `refresh.expired` when people must sign again first.
 */
export function refresh(
  dir: string,
  { signers, now }: { signers: readonly NoteSigner[]; now: number },
): Refreshed {
  const { lifetimes } = readSettings(dir);
  const repository = repositoryDir(dir);
  const state = readState(repository);
  assertAlive('root', state.root.signed.expires, now);
  assertAlive('targets', state.targets.signed.expires, now);
  const before = currentChain(state);
  const write = (name: string, bytes: Uint8Array): void =>
    writeDurable(join(repository, 'metadata', name), bytes, 0o644);
  if (state.snapshot.signed.expires > expiry(now, lifetimes.timestamp)) {
    const timestamp = signTimestamp({
      root: state.root,
      snapshot: state.timestamp.signed.snapshotMeta,
      before,
      signers,
      lifetimes,
      now,
    });
    write('timestamp.json', timestamp.bytes);
    return {
      versions: { snapshot: state.snapshot.signed.version, timestamp: timestamp.version },
      expires: {
        snapshot: state.snapshot.signed.expires,
        timestamp: timestamp.metadata.signed.expires,
      },
    };
  }
  const chain = signChain({
    root: state.root,
    targets: null,
    regions: new Map(),
    before,
    signers,
    lifetimes,
    now,
  });
  write(`${chain.snapshot.version}.snapshot.json`, chain.snapshot.bytes);
  // The point of no return: readers start at the timestamp.
  write('timestamp.json', chain.timestamp.bytes);
  return {
    versions: { snapshot: chain.snapshot.version, timestamp: chain.timestamp.version },
    expires: {
      snapshot: chain.snapshot.metadata.signed.expires,
      timestamp: chain.timestamp.metadata.signed.expires,
    },
  };
}

function assertAlive(role: string, expires: string, now: number): void {
  if (Date.parse(expires) > now) return;
  throw new BoundaryError(
    'refresh.expired',
    `The ${role} file expired at ${expires}; no refresh makes it valid again, so nothing was published. Sign it again: "repo renew ${role}".`,
  );
}
