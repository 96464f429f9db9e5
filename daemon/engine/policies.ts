import { join } from 'node:path';
import { type Bundle, parseBundle } from '../core/bundle.ts';
import { type CompiledBundle, compileBundle, openCheckedBundle } from '../core/compile.ts';
import type { FreshnessStep } from '../core/freshness.ts';
import { PRODUCTION } from '../core/minimum.ts';
import { hasIdentity } from '../core/peer.ts';
import { type Roster, rosterOf, rosterSteps } from '../core/roster.ts';
import type { PolicyName } from '../core/shadow.ts';
import { type Suspended, underSuspensions } from '../core/suspended.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import { sha256Hex } from '../formats/digest.ts';
import { readBounded } from '../host/durable-file.ts';
import { AnchorAge } from './anchor-age.ts';
import { PolicyAge } from './policy-age.ts';

const BUNDLE_MAX_BYTES = 1_048_576;
/** Bundles that are kept ready although no environment runs them any more: decisions may be pinned to them. */
const OLD_BUNDLES = 4;
/** Bundles that may be made ready at a time: for each environment that a site may have, one in force and one in shadow. */
const PREPARED_MAX = 64;
/** Rules that one step of preparation makes ready: less than a millisecond. */
const RULES_PER_STEP = 3;

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

/** A bundle ready to judge, with its roster. */
export interface LoadedPolicy {
  compiled: CompiledBundle;
  roster: Roster;
}

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
 * How far a bundle is on its way: being read, fit to be put in force (no decision waits for it longer than for the rules
 * of its own class), or with every rule made ready.
 */
export type Readiness = 'read' | 'open' | 'ready';

/** A bundle on its way to being in force. */
interface Preparation {
  /** Null until it is `open`. */
  policy: LoadedPolicy | null;
  /** At its end it is `ready`. */
  steps: Iterator<Readiness, undefined>;
}

/**
 * The bundles that decisions run under: the active one of each environment, and any that a past decision is pinned to.
 * Reads the content-addressed store; every load checks the digest, so a file changed on disk is noticed and not used.
 *
 * A bundle is checked in every respect before it is put in force: here, or beforehand in another thread, so that nobody
 * has to wait for it. What was in force once was checked then, and its digest says that it is the same.
 */
export class Policies {
  readonly #directory: string;
  readonly #suspended: Suspended;
  readonly #loaded = new Map<string, LoadedPolicy>();
  readonly #preparing = new Map<string, Preparation>();
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
    this.#directory = join(policyDirectory, 'bundles');
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
    // The rest of what is in force is made ready when a request needs it.
    this.#preparing.clear();
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

  /**
   * A step towards having a bundle ready: reading, the roster, the rules for all classes, then the others, each in pieces.
   * Returns how far it is; `open` is far enough for `admit`, and what is asked for before it is `ready` is made so then. Throws `BoundaryError`
   * when it is missing, was changed, or is found to be defective on the way.
   */
  prepare(digest: string): Readiness {
    try {
      return this.#preparation(digest).steps.next().value ?? 'ready';
    } catch (error) {
      this.#preparing.delete(digest);
      throw error;
    }
  }

  #preparation(digest: string): Preparation {
    const known = this.#preparing.get(digest);
    if (known !== undefined) return known;
    const [oldest] = this.#preparing.keys();
    if (oldest !== undefined && this.#preparing.size >= PREPARED_MAX) this.#preparing.delete(oldest);
    const made: Preparation = {
      policy: null,
      steps: this.#steps(digest, (policy) => {
        made.policy = policy;
      }),
    };
    this.#preparing.set(digest, made);
    return made;
  }

  *#steps(digest: string, onOpen: (policy: LoadedPolicy) => void): Generator<Readiness, undefined> {
    // One that was only read, for its roster say, has no rules ready yet.
    const policy = this.#loaded.get(digest) ?? (yield* this.#reading(digest));
    const rules = policy.compiled.prepare();
    let rule = rules.next();
    for (let n = 1; rule.value === 'general'; n++, rule = rules.next())
      if (n % RULES_PER_STEP === 0) yield 'read';
    onOpen(policy);
    yield 'open';
    for (let n = 1; rule.done !== true; n++, rule = rules.next()) if (n % RULES_PER_STEP === 0) yield 'open';
    return undefined;
  }

  *#reading(digest: string): Generator<Readiness, LoadedPolicy> {
    const bytes = this.#bytes(digest);
    yield 'read';
    const bundle = parsed(bytes);
    const members = rosterSteps(bundle);
    let member = members.next();
    for (; member.done !== true; member = members.next()) yield 'read';
    yield 'read';
    return this.#under({ compiled: openCheckedBundle(bundle, digest), roster: member.value });
  }

  /**
   * The bundle with this digest, to be put in force; `checked` says that `compileBundle` found no defect in it elsewhere.
   * Throws `BoundaryError` when it is missing, changed or defective.
   */
  admit(digest: string, checked: boolean): LoadedPolicy {
    const known = this.#loaded.get(digest);
    if (known !== undefined) return known;
    const policy = checked ? this.#prepared(digest) : this.#under(compiled(this.#bytes(digest), digest));
    this.#loaded.set(digest, policy);
    return policy;
  }

  #prepared(digest: string): LoadedPolicy {
    return this.#preparing.get(digest)?.policy ?? this.#under(opened(this.#read(digest), digest));
  }

  /** The bundle with this digest that was in force once. Throws `BoundaryError` when it is missing or changed. */
  load(digest: string): LoadedPolicy {
    const known = this.#loaded.get(digest);
    if (known !== undefined) return known;
    const policy = this.#under(opened(this.#read(digest), digest));
    this.#loaded.set(digest, policy);
    this.#forgetOld();
    return policy;
  }

  #under(policy: LoadedPolicy): LoadedPolicy {
    return { ...policy, roster: underSuspensions(policy.roster, this.#suspended) };
  }

  #read(digest: string): Bundle {
    return parsed(this.#bytes(digest));
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

/** Bytes whose digest says what they are. */
function parsed(bytes: Uint8Array): Bundle {
  return JSON.parse(Buffer.from(bytes).toString('utf8')) as Bundle;
}

/** A bundle that nobody has checked yet. */
function compiled(bytes: Uint8Array, digest: string): LoadedPolicy {
  const { bundle } = parseBundle(bytes);
  return { compiled: compileBundle(bundle, digest), roster: rosterOf(bundle) };
}

/** A bundle that was checked: its digest says that it is the same. */
function opened(bundle: Bundle, digest: string): LoadedPolicy {
  return { compiled: openCheckedBundle(bundle, digest), roster: rosterOf(bundle) };
}

function identitiesIn(bundles: Iterable<Bundle>): number {
  const known = new Set<string>();
  for (const { principals } of bundles) {
    for (const [id, principal] of Object.entries(principals)) if (hasIdentity(principal)) known.add(id);
  }
  return known.size;
}
