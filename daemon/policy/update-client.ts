import { type Fetcher, Updater } from 'tuf-js';

/** Most bytes and steps that a repository may make a reader take. */
const LIMITS = {
  maxRootRotations: 256,
  rootMaxLength: 512_000,
  timestampMaxLength: 16_384,
  snapshotMaxLength: 1_000_000,
  targetsMaxLength: 4_000_000,
};

export interface ClientOptions {
  /** Holds `root.json` and what else is trusted; verified metadata is written here, plainly: a staging directory. */
  staging: string;
  fetcher: Fetcher;
  metadataBaseUrl: string;
  /** Milliseconds; expiry is judged by this alone. */
  now: number;
  /** Delegated roles that a search for one target may visit beside the top-level one. */
  maxDelegations: number;
  targetDir?: string;
  targetBaseUrl?: string;
}

/**
 * A TUF client (TUF §5) under our limits and our clock. What it verifies lands in `staging` without fsync, so whoever
 * wants to keep it writes it durably afterwards. Throws when `root.json` is missing or not signed by its own keys.
 */
export function openClient({ staging, now, maxDelegations, ...rest }: ClientOptions): Updater {
  const updater = new Updater({
    metadataDir: staging,
    config: { ...LIMITS, maxDelegations },
    ...rest,
  });
  setReferenceTime(updater, now);
  return updater;
}

/**
 * tuf-js has no option for the clock; this sets the reference time that it fixed when it was made (TUF §5.1). Throws
 * when the library no longer keeps it there: then expiry would silently be judged by the machine's clock.
 */
export function setReferenceTime(updater: Updater, now: number): void {
  const trusted: unknown = Reflect.get(updater, 'trustedSet');
  if (
    typeof trusted !== 'object' ||
    trusted === null ||
    !(Reflect.get(trusted, 'referenceTime') instanceof Date)
  ) {
    throw new Error(
      'update: tuf-js keeps its reference time elsewhere; updates cannot be judged by our clock',
    );
  }
  Reflect.set(trusted, 'referenceTime', new Date(now));
}
