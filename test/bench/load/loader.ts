import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import type { HttpLoad, LoadJob, LoadReply, LoadResult, PacedLoad, PacedResult, StreamLoad } from './job.ts';

/** The load process, started once: its code is warm when the first figure is taken. */
export class Loader {
  readonly #child: ChildProcess;

  constructor() {
    this.#child = fork(new URL('./process.ts', import.meta.url), {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
  }

  /** Runs one job. Throws when the load met an answer that it did not expect. */
  run(job: PacedLoad): Promise<PacedResult>;
  run(job: HttpLoad | StreamLoad): Promise<LoadResult>;
  async run(job: LoadJob): Promise<LoadResult | PacedResult> {
    const gone = new AbortController();
    const exited = once(this.#child, 'exit', { signal: gone.signal }).then(
      () => Promise.reject(new Error('the load process ended')),
      () => undefined,
    );
    this.#child.send(job);
    const message = await Promise.race([once(this.#child, 'message'), exited]);
    gone.abort();
    const [reply] = message as [LoadReply];
    if ('error' in reply) throw new Error(`load on ${job.socket}: ${reply.error}`);
    return reply.result;
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const exited = once(this.#child, 'exit');
    this.#child.disconnect();
    await exited;
  }
}
