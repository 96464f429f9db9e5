import type { Bundle } from '../core/bundle.ts';
import type { CompiledBundle } from '../core/compile.ts';
import type { FreshnessStep } from '../core/freshness.ts';
import { PRODUCTION } from '../core/minimum.ts';
import { hasIdentity } from '../core/peer.ts';
import type { PolicyName } from '../core/shadow.ts';
import type { Suspended } from '../core/suspended.ts';
import { AnchorAge } from './anchor-age.ts';
import { PolicyAge } from './policy-age.ts';
import { Preparations, type Readiness } from './preparations.ts';
import { type LoadedPolicy, StoredBundles } from './stored-bundles.ts';

/** Bundles that are kept ready although no environment runs them any more: decisions may be pinned to them. */
const OLD_BUNDLES = 4;

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
  /** Where it waited before: its name, its `policy.held` entry, and the signatures that released it. */
  hold?: { id: string; held: number; acts: number[] };
  /** The update whose place it took without changing anything that the site runs: only what is signed anew about it. */
  renews?: string;
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
  effective_at?: string;
  profile?: string;
  environments: Record<string, PinnedBundle & { path: string; shadow?: ShadowPin }>;
}

/** A bundle in shadow, and the classes that it is asked about; absent: all. */
type ShadowPin = PinnedBundle & { path: string; classes?: string[] };

/** A bundle in shadow: judged beside the one in force, never enforced. */
export interface ShadowPolicy {
  name: PolicyName;
  /** Null: every class. */
  classes: ReadonlySet<string> | null;
  compiled: CompiledBundle | null;
  /** Why it could not be loaded; null when it was. */
  failure: unknown;
}

/**
 * The bundles that decisions run under: the active one of each environment, and any that a past decision is pinned to.
 *
 * A bundle is checked in every respect before it is put in force: here, or beforehand in another thread, so that nobody
 * has to wait for it. What was in force once was checked then, and its digest says that it is the same.
 */
export class Policies {
  readonly #suspended: Suspended;
  readonly #store: StoredBundles;
  readonly #loaded = new Map<string, LoadedPolicy>();
  readonly #preparations: Preparations;
  #applied: AppliedPolicy | null = null;
  #failures = new Map<string, string>();
  readonly #shadows = new Map<string, ShadowPolicy>();
  #inForce: readonly LoadedPolicy[] = [];
  #identities = 0;
  /** How old what is in force has become. */
  readonly age = new PolicyAge();
  /** How long ago the site's history was last made known elsewhere. */
  readonly anchoring = new AnchorAge();

  /** `suspended`: what does not count at this site, looked at whenever a roster is asked. */
  constructor(policyDirectory: string, suspended: Suspended = new Set()) {
    this.#suspended = suspended;
    this.#store = new StoredBundles(policyDirectory, suspended);
    this.#preparations = new Preparations(this.#store, this.#loaded);
  }

  get applied(): AppliedPolicy | null {
    return this.#applied;
  }

  /** Environments whose bundle could not be loaded, with the reason; they deny. */
  get failures(): ReadonlyMap<string, string> {
    return this.#failures;
  }

  /** Whether something of the update in force could not be loaded, to run or to be in shadow. */
  get isIncomplete(): boolean {
    return this.#failures.size > 0 || [...this.#shadows.values()].some(({ compiled }) => compiled === null);
  }

  /**
   * Puts a recorded policy in force; `steps` are those of its age that are on record. Never throws: an environment whose
   * bundle does not load, or has defects, simply has no policy.
   */
  activate(applied: AppliedPolicy | null, steps: ReadonlyMap<string, FreshnessStep> = new Map()): void {
    this.#applied = applied;
    this.#failures = new Map();
    const bundles = new Map<string, Bundle>();
    for (const [environment, { digest }] of Object.entries(applied?.environments ?? {})) {
      try {
        bundles.set(environment, this.admit(digest, false).compiled.bundle);
      } catch (error) {
        this.#failures.set(environment, error instanceof Error ? error.message : String(error));
      }
    }
    this.#followShadows(applied);
    this.#forgetOld();
    this.#preparations.clear();
    this.#inForce = [
      ...new Set([...bundles.keys()].flatMap((environment) => this.active(environment) ?? [])),
    ];
    this.#identities = identitiesIn(bundles.values());
    this.anchoring.follow(bundles);
    this.age.follow(bundles, applied?.site_target.issued_at ?? null, steps);
  }

  /** What cannot be loaded into shadow is told by every decision that it should have judged, and changes nothing else. */
  #followShadows(applied: AppliedPolicy | null): void {
    this.#shadows.clear();
    for (const [environment, { shadow }] of Object.entries(applied?.site_target.environments ?? {})) {
      if (shadow === undefined) continue;
      const { name, version, digest, classes } = shadow;
      const about = {
        name: { digest, version: `${name}@${version}` },
        classes: classes === undefined ? null : new Set(classes),
      };
      try {
        const { compiled } = this.admit(digest, true);
        this.#shadows.set(environment, { ...about, compiled, failure: null });
      } catch (failure) {
        this.#shadows.set(environment, { ...about, compiled: null, failure });
      }
    }
  }

  /** What an environment has in shadow; undefined when nothing is. */
  shadowIn(environment: string): ShadowPolicy | undefined {
    return this.#shadows.get(environment);
  }

  /** What is in shadow for a request of this class; undefined, nearly always, when nothing is. */
  shadowFor(environment: string, actionClass: string | null): ShadowPolicy | undefined {
    if (this.#shadows.size === 0) return undefined;
    const shadow = this.#shadows.get(environment);
    if (shadow === undefined || shadow.classes === null) return shadow;
    return actionClass !== null && shadow.classes.has(actionClass) ? shadow : undefined;
  }

  /** What nobody runs is not kept for ever; it is read again when it is asked for. */
  #forgetOld(): void {
    const active = new Set(Object.values(this.#applied?.environments ?? {}).map(({ digest }) => digest));
    for (const { name } of this.#shadows.values()) active.add(name.digest);
    const old = [...this.#loaded.keys()].filter((digest) => !active.has(digest));
    for (const digest of old.slice(0, Math.max(0, old.length - OLD_BUNDLES))) this.#loaded.delete(digest);
  }

  /** The policy in force for an environment; null when none is, which denies. */
  active(environment: string): LoadedPolicy | null {
    const pinned = this.#applied?.environments[environment];
    return pinned === undefined ? null : (this.#loaded.get(pinned.digest) ?? null);
  }

  /** Whether a principal is suspended at this site. */
  isSuspended(id: string): boolean {
    return this.#suspended.has(id);
  }

  /** How many principals of the bundles in force have an identity of their own. */
  get identities(): number {
    return this.#identities;
  }

  /** Every policy in force, each once. */
  inForce(): readonly LoadedPolicy[] {
    return this.#inForce;
  }

  /** The policy that speaks for the site as a whole: production's, or any where there is no production. */
  forSite(): LoadedPolicy | null {
    return this.active(PRODUCTION) ?? this.anyActive();
  }

  /** Any policy in force, to say what an unknown environment may be; null when there is none. */
  anyActive(): LoadedPolicy | null {
    for (const environment of Object.keys(this.#applied?.environments ?? {})) {
      const policy = this.active(environment);
      if (policy !== null) return policy;
    }
    return null;
  }

  /** A step towards having a bundle ready to be put in force (`Preparations.step`). */
  prepare(digest: string): Readiness {
    return this.#preparations.step(digest);
  }

  /**
   * The bundle with this digest, to be put in force; `checked` says that `compileBundle` found no defect in it elsewhere.
   * Throws `BoundaryError` when it is missing, changed or defective.
   */
  admit(digest: string, checked: boolean): LoadedPolicy {
    const known = this.#loaded.get(digest);
    if (known !== undefined) return known;
    const policy = checked
      ? (this.#preparations.opened(digest) ?? this.#store.open(digest))
      : this.#store.check(digest);
    this.#loaded.set(digest, policy);
    return policy;
  }

  /** The bundle with this digest that was in force once. Throws `BoundaryError` when it is missing or changed. */
  load(digest: string): LoadedPolicy {
    const known = this.#loaded.get(digest);
    if (known !== undefined) return known;
    const policy = this.#store.open(digest);
    this.#loaded.set(digest, policy);
    this.#forgetOld();
    return policy;
  }
}

function identitiesIn(bundles: Iterable<Bundle>): number {
  const known = new Set<string>();
  for (const { principals } of bundles) {
    for (const [id, principal] of Object.entries(principals)) if (hasIdentity(principal)) known.add(id);
  }
  return known.size;
}
