import type { PolicyUpdate } from '../api/client.ts';
import { type Bundle, parseBundle } from '../core/bundle.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import { fromBase64 } from '../formats/digest.ts';
import { verifyUpdate } from '../policy/verify-update.ts';
import type { GatewayTrust } from './trust.ts';

const MAX_BUNDLES = 16;
const MAX_FILES = 1_024;
const MAX_UPDATE_BYTES = 16 * 1024 * 1024;

/** A bundle that this gateway has verified itself, and the environments that the site's signed target gives it. */
export interface TrustedBundle {
  bundle: Bundle;
  digest: string;
  environments: ReadonlySet<string>;
}

/**
 * Bundles by digest, each verified by this process under its own pinned root: the engine delivers the signed repository
 * files, it does not vouch for them. Verified bundles are kept in memory; failures are not.
 */
export class BundleCache {
  #fetch: (digest: string) => Promise<PolicyUpdate>;
  #trust: GatewayTrust;
  #now: () => number;
  #known = new Map<string, Promise<TrustedBundle>>();

  constructor(options: {
    fetch: (digest: string) => Promise<PolicyUpdate>;
    trust: GatewayTrust;
    now: () => number;
  }) {
    this.#fetch = options.fetch;
    this.#trust = options.trust;
    this.#now = options.now;
  }

  /**
   * The bundle with this digest. Throws BoundaryError `update.*` or `bundle.*` when it cannot be verified, and what
   * `fetch` throws.
   */
  get(digest: string): Promise<TrustedBundle> {
    const known = this.#known.get(digest);
    if (known !== undefined) return known;
    const loading = this.#load(digest);
    this.#known.set(digest, loading);
    loading.catch(() => this.#known.delete(digest));
    const oldest = this.#known.keys().next().value;
    if (this.#known.size > MAX_BUNDLES && oldest !== undefined) this.#known.delete(oldest);
    return loading;
  }

  async #load(digest: string): Promise<TrustedBundle> {
    const update = await this.#fetch(digest);
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
    const bytes = verified.bundles.get(digest);
    if (bytes === undefined) {
      throw new BoundaryError(
        'update.bundle_missing',
        'The signed update does not hold the bundle of the permit.',
      );
    }
    const pins = Object.entries(verified.siteTarget.environments).filter(([, pin]) => pin.digest === digest);
    return { bundle: parseBundle(bytes).bundle, digest, environments: new Set(pins.map(([name]) => name)) };
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
