import { join } from 'node:path';
import { type Bundle, parseBundle } from '../core/bundle.ts';
import { type CompiledBundle, compileBundle, openCheckedBundle } from '../core/compile.ts';
import { type Roster, rosterOf, rosterSteps } from '../core/roster.ts';
import { atOnce } from '../core/steps.ts';
import { type Suspended, underSuspensions } from '../core/suspended.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import { sha256Hex } from '../formats/digest.ts';
import { readBounded } from '../host/durable-file.ts';

const BUNDLE_MAX_BYTES = 1_048_576;

/** A bundle ready to judge, with its roster. */
export interface LoadedPolicy {
  compiled: CompiledBundle;
  roster: Roster;
}

/**
 * The content-addressed store's bundles. Every read checks the digest: throws `BoundaryError` `policy.digest_mismatch` for a
 * file that was changed on disk, and those of `readBounded`.
 */
export class StoredBundles {
  readonly #directory: string;
  readonly #suspended: Suspended;

  /** `suspended`: what does not count at this site, looked at whenever a roster is asked. */
  constructor(policyDirectory: string, suspended: Suspended) {
    this.#directory = join(policyDirectory, 'bundles');
    this.#suspended = suspended;
  }

  /** A bundle that nobody has checked yet. Throws `BundleDefects` too. */
  check(digest: string): LoadedPolicy {
    const { bundle } = parseBundle(this.#bytes(digest));
    return this.#under({ compiled: compileBundle(bundle, digest), roster: rosterOf(bundle) });
  }

  /** A bundle that was checked: its digest says that it is the same. */
  open(digest: string): LoadedPolicy {
    return atOnce(this.opening(digest));
  }

  /** `open` in steps of about a millisecond, for who has others to serve in between. */
  *opening(digest: string): Generator<void, LoadedPolicy> {
    const bytes = this.#bytes(digest);
    yield;
    const bundle = JSON.parse(Buffer.from(bytes).toString('utf8')) as Bundle;
    const roster = yield* rosterSteps(bundle);
    yield;
    return this.#under({ compiled: openCheckedBundle(bundle, digest), roster });
  }

  #under(policy: LoadedPolicy): LoadedPolicy {
    return { ...policy, roster: underSuspensions(policy.roster, this.#suspended) };
  }

  #bytes(digest: string): Uint8Array {
    const bytes = readBounded(join(this.#directory, `${digest}.json`), BUNDLE_MAX_BYTES);
    if (sha256Hex(bytes) === digest) return bytes;
    throw new BoundaryError(
      'policy.digest_mismatch',
      `The stored bundle ${digest} was changed on disk. It is not used; import the policy again.`,
    );
  }
}
