import { join } from 'node:path';
import { type Bundle, parseBundle } from '../core/bundle.ts';
import { type CompiledBundle, compileBundle } from '../core/compile.ts';
import type { FreshnessStep } from '../core/freshness.ts';
import { type Roster, rosterOf } from '../core/roster.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import { readBounded } from '../host/durable-file.ts';
import { PolicyAge } from './policy-age.ts';

const BUNDLE_MAX_BYTES = 1_048_576;

/** `data` of the newest `policy.applied` entry: what is in force is what the ledger says, never what lies on disk. */
export interface AppliedPolicy {
  update_id: string;
  source: string;
  who: string;
  repository: { root: number; timestamp: number; snapshot: number; targets: number };
  site_target: SiteTarget;
  environments: Record<string, PinnedBundle>;
  /** How many recent decisions it would have changed, by kind; null when nobody counted. */
  flips?: { decisions: number; unchanged: number; withheld: number; counts: Record<string, number> } | null;
}

export interface PinnedBundle {
  name: string;
  version: number;
  digest: string;
}

/** The TUF target `sites/<site>.json`: which bundle each environment of this site runs. */
export interface SiteTarget {
  site: string;
  serial: number;
  issued_at: string;
  profile?: string;
  environments: Record<string, PinnedBundle & { path: string }>;
}

/** A bundle ready to judge, with its roster. */
export interface LoadedPolicy {
  compiled: CompiledBundle;
  roster: Roster;
}

/**
 * The bundles that decisions run under: the active one of each environment, and any that a past decision is pinned to.
 * Reads the content-addressed store; every load checks the digest, so a file changed on disk is noticed and not used.
 */
export class Policies {
  readonly #directory: string;
  readonly #loaded = new Map<string, LoadedPolicy>();
  #applied: AppliedPolicy | null = null;
  #failures = new Map<string, string>();
  /** How old what is in force has become. */
  readonly age = new PolicyAge();

  constructor(policyDirectory: string) {
    this.#directory = join(policyDirectory, 'bundles');
  }

  get applied(): AppliedPolicy | null {
    return this.#applied;
  }

  /** Environments whose bundle could not be loaded, with the reason; they deny. */
  get failures(): ReadonlyMap<string, string> {
    return this.#failures;
  }

  /**
   * Puts a recorded policy in force; `steps` are those of its age that are on record. Never throws: an environment whose
   * bundle does not load simply has no policy.
   */
  activate(applied: AppliedPolicy | null, steps: ReadonlyMap<string, FreshnessStep> = new Map()): void {
    this.#applied = applied;
    this.#failures = new Map();
    const bundles = new Map<string, Bundle>();
    for (const [environment, { digest }] of Object.entries(applied?.environments ?? {})) {
      try {
        bundles.set(environment, this.load(digest).compiled.bundle);
      } catch (error) {
        this.#failures.set(environment, error instanceof Error ? error.message : String(error));
      }
    }
    this.age.follow(bundles, applied?.site_target.issued_at ?? null, steps);
  }

  /** The policy in force for an environment; null when none is, which denies. */
  active(environment: string): LoadedPolicy | null {
    const pinned = this.#applied?.environments[environment];
    return pinned === undefined ? null : (this.#loaded.get(pinned.digest) ?? null);
  }

  /** Any policy in force, to say what an unknown environment may be; null when there is none. */
  anyActive(): LoadedPolicy | null {
    for (const environment of Object.keys(this.#applied?.environments ?? {})) {
      const policy = this.active(environment);
      if (policy !== null) return policy;
    }
    return null;
  }

  /** The bundle with this digest, however old. Throws `BoundaryError` when it is missing, changed or defective. */
  load(digest: string): LoadedPolicy {
    const known = this.#loaded.get(digest);
    if (known !== undefined) return known;
    const bytes = readBounded(join(this.#directory, `${digest}.json`), BUNDLE_MAX_BYTES);
    const parsed = parseBundle(bytes);
    if (parsed.digest !== digest) {
      throw new BoundaryError(
        'policy.digest_mismatch',
        `The stored bundle ${digest} was changed on disk. It is not used; import the policy again.`,
      );
    }
    const policy = { compiled: compileBundle(parsed.bundle, digest), roster: rosterOf(parsed.bundle) };
    this.#loaded.set(digest, policy);
    return policy;
  }
}
