import type { PolicyUpdate } from '../api/client.ts';
import { type Bundle, parseBundle } from '../core/bundle.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import { fromBase64 } from '../formats/digest.ts';
import { type VerifiedUpdate, verifyUpdate } from '../policy/verify-update.ts';
import type { SeenRoots } from './seen-roots.ts';
import type { GatewayTrust } from './trust.ts';

const MAX_BUNDLES = 16;
const MAX_FILES = 1_024;
const MAX_UPDATE_BYTES = 16 * 1024 * 1024;

interface VerifiedBundle {
  bundle: Bundle;
  /** Environments that the site's signed target gives it. */
  environments: Set<string>;
}

/**
 * Bundles by digest, each verified by this process under its own pinned root: the engine delivers the signed repository
 * files, it does not vouch for them. Verified bundles are kept in memory; failures are not.
 */
export class BundleCache {
  #fetch: (digest: string, environment: string) => Promise<PolicyUpdate>;
  #trust: GatewayTrust;
  #now: () => number;
  #roots: Pick<SeenRoots, 'note'>;
  #known = new Map<string, VerifiedBundle>();
  #newest: { id: string; bundles: readonly Bundle[] } | null = null;

  constructor(options: {
    fetch: (digest: string, environment: string) => Promise<PolicyUpdate>;
    trust: GatewayTrust;
    roots: Pick<SeenRoots, 'note'>;
    now: () => number;
  }) {
    this.#fetch = options.fetch;
    this.#trust = options.trust;
    this.#now = options.now;
    this.#roots = options.roots;
  }

  /**
   * The bundle with this digest, when the site's signed policy gives it to `environment`. Throws BoundaryError
   * `update.*` or `bundle.*` when that cannot be verified, and what `fetch` throws.
   */
  async get(digest: string, environment: string): Promise<Bundle> {
    const known = this.#known.get(digest);
    if (known?.environments.has(environment) === true) return known.bundle;
    const loaded = await this.#load(digest, environment);
    // Several publications may have given the same bundle to different environments; each was verified and stays true.
    for (const name of known?.environments ?? []) loaded.environments.add(name);
    this.#keep(digest, loaded);
    if (loaded.environments.has(environment)) return loaded.bundle;
    throw new BoundaryError(
      'update.environment',
      `The site's signed policy does not give ${environment} the bundle that the permit names.`,
    );
  }

  /** The bundles that an update brings to this site, each verified like any other. Throws as `get` does. */
  async allOf(update: PolicyUpdate): Promise<readonly Bundle[]> {
    if (this.#newest?.id === update.update_id) return this.#newest.bundles;
    const verified = await this.#verify(update);
    const digests = new Set(Object.values(verified.siteTarget.environments).map(({ digest }) => digest));
    const bundles = [...digests].flatMap((digest) => {
      const bytes = verified.bundles.get(digest);
      return bytes === undefined ? [] : [parseBundle(bytes).bundle];
    });
    this.#newest = { id: update.update_id, bundles };
    return bundles;
  }

  #keep(digest: string, verified: VerifiedBundle): void {
    this.#known.set(digest, verified);
    const oldest = this.#known.keys().next().value;
    if (this.#known.size > MAX_BUNDLES && oldest !== undefined) this.#known.delete(oldest);
  }

  async #load(digest: string, environment: string): Promise<VerifiedBundle> {
    const verified = await this.#verify(await this.#fetch(digest, environment));
    const bytes = verified.bundles.get(digest);
    if (bytes === undefined) {
      throw new BoundaryError(
        'update.bundle_missing',
        'The signed update does not hold the bundle of the permit.',
      );
    }
    const pins = Object.entries(verified.siteTarget.environments).filter(([, pin]) => pin.digest === digest);
    return { bundle: parseBundle(bytes).bundle, environments: new Set(pins.map(([name]) => name)) };
  }

  async #verify(update: PolicyUpdate): Promise<VerifiedUpdate> {
    const { site, root, profile } = this.#trust;
    // The engine has judged the update's age when it applied it; here only its signatures and content count.
    const verified = await verifyUpdate({
      files: decode(update.files),
      trustedRoot: root,
      site,
      now: this.#now(),
      expiry: 'ignore',
    });
    if ((verified.profile === 'dev') !== (profile === 'dev')) {
      throw new BoundaryError('update.profile', `The update's publisher is not one for a ${profile} site.`);
    }
    this.#roots.note(verified.files);
    return verified;
  }
}

function decode(files: Record<string, string>): Map<string, Uint8Array> {
  const entries = Object.entries(files);
  const decoded = new Map(entries.slice(0, MAX_FILES).map(([name, content]) => [name, fromBase64(content)]));
  const total = [...decoded.values()].reduce((sum, bytes) => sum + bytes.length, 0);
  if (entries.length > MAX_FILES || total > MAX_UPDATE_BYTES) {
    throw new BoundaryError('update.files', 'The update holds too many or too large files.');
  }
  return decoded;
}
