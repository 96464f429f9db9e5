import type { Measured } from './arms.ts';
import type { LoadResult } from './load/job.ts';
import type { Loader } from './load/loader.ts';
import type { Plan } from './plan.ts';
import type { Question } from './questions.ts';
import { ALLOWED, DECISIONS_PATH, STREAM_PATH, socketOf, trustOf, verifyAnswer } from './site.ts';

/** Answers of one load that are verified in full. */
const SAMPLES = 20;

/** Loads on a running site of ours. Sampled answers are verified in full once the clock has stopped. */
export class SiteLoad {
  readonly #loader: Loader;
  readonly #trust: ReturnType<typeof trustOf>;
  readonly #job: {
    socket: string;
    bodies: string[];
    expect: string;
    warmupMs: number;
    durationMs: number;
    samples: number;
  };
  #verified = 0;
  #bytes = 0;

  constructor(options: { plan: Plan; loader: Loader; questions: readonly Question[]; dir: string }) {
    const { plan, loader, questions, dir } = options;
    this.#loader = loader;
    this.#trust = trustOf(dir);
    this.#job = {
      socket: socketOf(dir, 'request'),
      bodies: questions.map((question) => JSON.stringify(question)),
      expect: ALLOWED,
      warmupMs: plan.warmupMs,
      durationMs: plan.durationMs,
      samples: SAMPLES,
    };
  }

  /** How many answers were verified in full. */
  get verified(): number {
    return this.#verified;
  }

  /** Mean size of the entries in them. */
  get entryBytes(): number {
    return Math.round(this.#bytes / this.#verified);
  }

  async http(connections: number): Promise<Measured> {
    return this.#check(
      await this.#loader.run({ ...this.#job, kind: 'http', path: DECISIONS_PATH, connections }),
    );
  }

  async stream(window: number): Promise<Measured> {
    const job = {
      ...this.#job,
      kind: 'stream',
      path: STREAM_PATH,
      method: 'decisions.create',
      window,
    } as const;
    return this.#check(await this.#loader.run(job));
  }

  #check(result: LoadResult): Measured {
    for (const sample of result.samples) {
      this.#bytes += verifyAnswer(sample, this.#trust).entryBytes;
      this.#verified += 1;
    }
    return result;
  }
}
