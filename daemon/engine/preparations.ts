import type { LoadedPolicy, StoredBundles } from './stored-bundles.ts';

/** Bundles that may be made ready at a time: for each environment that a site may have, one in force and one in shadow. */
const PREPARED_MAX = 64;
/** Rules that one step of preparation makes ready: less than a millisecond. */
const RULES_PER_STEP = 3;

/**
 * How far a bundle is on its way: being read, fit to be put in force (no decision waits for it longer than for the rules
 * of its own class), or with every rule made ready.
 */
export type Readiness = 'read' | 'open' | 'ready';

interface Preparation {
  /** Null until it is `open`. */
  policy: LoadedPolicy | null;
  /** At its end it is `ready`. */
  steps: Iterator<Readiness, undefined>;
}

/** Bundles on their way to being in force, made ready between decisions so that nobody has to wait for it (docs/decisions/0024). */
export class Preparations {
  readonly #store: StoredBundles;
  readonly #loaded: ReadonlyMap<string, LoadedPolicy>;
  readonly #begun = new Map<string, Preparation>();

  /** `loaded`: bundles that were read already, for their rosters say; their rules are made ready. */
  constructor(store: StoredBundles, loaded: ReadonlyMap<string, LoadedPolicy>) {
    this.#store = store;
    this.#loaded = loaded;
  }

  /**
   * One step: reading, the roster, the rules for all classes, then the others, each in pieces. Returns how far the bundle is;
   * `open` is far enough to put it in force, and what is asked for before it is `ready` is made so then. Throws
   * `BoundaryError` when it is missing, was changed, or is found to be defective on the way.
   */
  step(digest: string): Readiness {
    try {
      return this.#of(digest).steps.next().value ?? 'ready';
    } catch (error) {
      this.#begun.delete(digest);
      throw error;
    }
  }

  /** The bundle, if it is `open` by now. */
  opened(digest: string): LoadedPolicy | null {
    return this.#begun.get(digest)?.policy ?? null;
  }

  /** The rest of what is in force is made ready when a request needs it. */
  clear(): void {
    this.#begun.clear();
  }

  #of(digest: string): Preparation {
    const known = this.#begun.get(digest);
    if (known !== undefined) return known;
    const [oldest] = this.#begun.keys();
    if (oldest !== undefined && this.#begun.size >= PREPARED_MAX) this.#begun.delete(oldest);
    const made: Preparation = {
      policy: null,
      steps: this.#steps(digest, (policy) => {
        made.policy = policy;
      }),
    };
    this.#begun.set(digest, made);
    return made;
  }

  *#steps(digest: string, onOpen: (policy: LoadedPolicy) => void): Generator<Readiness, undefined> {
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
    const steps = this.#store.opening(digest);
    for (;;) {
      const { done, value } = steps.next();
      if (done === true) return value;
      yield 'read';
    }
  }
}
