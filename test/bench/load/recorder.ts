import { percentile } from '../statistics.ts';
import type { HttpLoad, LoadResult, StreamLoad } from './job.ts';

/** Counts and times the answers of one load. The measured time starts after the warm-up. */
export class Recorder {
  readonly #job: HttpLoad | StreamLoad;
  readonly #start: number;
  readonly #end: number;
  readonly #samples: string[] = [];
  #latencies = new Float64Array(1 << 16);
  #answers = 0;
  #nextSampleAt: number;

  constructor(job: HttpLoad | StreamLoad) {
    this.#job = job;
    this.#start = performance.now() + job.warmupMs;
    this.#end = this.#start + job.durationMs;
    this.#nextSampleAt = this.#start;
  }

  /** Takes one good answer that was asked for at `sentAt` and complete `now`. Returns whether to go on asking. */
  answer(sentAt: number, now: number, body: () => string): boolean {
    if (now < this.#start) return true;
    if (now >= this.#end) return false;
    if (this.#answers === this.#latencies.length) this.#grow();
    this.#latencies[this.#answers++] = now - sentAt;
    if (now >= this.#nextSampleAt && this.#job.samples > 0) {
      this.#samples.push(body());
      this.#nextSampleAt += this.#job.durationMs / this.#job.samples;
    }
    return true;
  }

  result(): LoadResult {
    const sorted = this.#latencies.slice(0, this.#answers).sort();
    return {
      answers: this.#answers,
      perSecond: this.#answers / (this.#job.durationMs / 1_000),
      p50: percentile(sorted, 50),
      p95: percentile(sorted, 95),
      p99: percentile(sorted, 99),
      samples: this.#samples,
    };
  }

  #grow(): void {
    const larger = new Float64Array(this.#latencies.length * 2);
    larger.set(this.#latencies);
    this.#latencies = larger;
  }
}
