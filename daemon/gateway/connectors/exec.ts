import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process';
import type { ExecCall } from '../../formats/permit.ts';
import { inheritedDescriptors } from './inherited.ts';
import { notStarted, type RunResult, STREAM_HARD_LIMIT, StreamCapture, type ToolRun } from './run.ts';

export interface ExecOptions {
  /** `PATH` of the tool; with `LANG` its whole environment. */
  path: string;
  /** Ends the run early, as a timeout would (the gateway is stopping). */
  signal?: AbortSignal;
}

/** From SIGTERM to SIGKILL, from SIGKILL to giving up, and for pipes that a stray process still holds, in ms. */
const TERM_GRACE_MS = 2_000;
const KILL_GRACE_MS = 5_000;
const DRAIN_GRACE_MS = 500;

/**
 * Runs a resolved `exec` call once: an argv array without a shell, a clean environment, `/` as directory, its own session
 * and process group, stdin as one JSON object and then closed. Whatever is left of the process group when the program
 * ends, or when its time is up, is killed. Never throws: a program that could not be started is `failed`, one that
 * could not be stopped is `unknown`.
 */
export async function runExec(call: ExecCall, options: ExecOptions): Promise<ToolRun> {
  const [program, ...args] = call.argv;
  if (program === undefined || !program.startsWith('/')) return notStarted('program is not an absolute path');
  if (options.signal?.aborted === true) return notStarted('gateway is stopping');
  let child: ChildProcess;
  try {
    child = spawn(program, args, {
      cwd: '/',
      env: { LANG: 'C.UTF-8', PATH: options.path },
      stdio: descriptors(call),
      detached: true,
      shell: false,
    });
  } catch (error) {
    return notStarted(errorCode(error));
  }
  if (child.pid === undefined) {
    return new Promise((resolve) => child.once('error', (error) => resolve(notStarted(errorCode(error)))));
  }
  return new RunningTool(child, child.pid, call, options).ended();
}

/** The three standard streams, and nothing of what this process inherited itself. */
function descriptors(call: ExecCall): StdioOptions {
  const stdio: Exclude<StdioOptions, string> = [call.stdin === null ? 'ignore' : 'pipe', 'pipe', 'pipe'];
  for (const [descriptor, devNull] of inheritedDescriptors()) {
    while (stdio.length < descriptor) stdio.push('ignore');
    stdio[descriptor] = devNull;
  }
  return stdio;
}

/** What stopped the program, when it did not end by itself. */
type Interruption = 'timeout' | 'output_limit' | 'gateway_stopping';

class RunningTool {
  #child: ChildProcess;
  #group: number;
  #started = performance.now();
  #stdout: StreamCapture;
  #stderr: StreamCapture;
  #interrupted: Interruption | null = null;
  #exited = false;
  #timers: NodeJS.Timeout[] = [];
  #settle: (run: ToolRun) => void = () => {};
  #ended: Promise<ToolRun>;

  constructor(child: ChildProcess, group: number, call: ExecCall, options: ExecOptions) {
    this.#child = child;
    this.#group = group;
    this.#stdout = new StreamCapture(call.output_limit_bytes);
    this.#stderr = new StreamCapture(call.output_limit_bytes);
    const stop = () => this.#interrupt('gateway_stopping');
    options.signal?.addEventListener('abort', stop, { once: true });
    this.#ended = new Promise((resolve) => {
      this.#settle = (run) => {
        for (const timer of this.#timers) clearTimeout(timer);
        options.signal?.removeEventListener('abort', stop);
        resolve(run);
      };
    });
    this.#after(call.timeout_ms, () => this.#interrupt('timeout'));
    this.#watch();
    this.#feed(call);
  }

  ended(): Promise<ToolRun> {
    return this.#ended;
  }

  #after(milliseconds: number, action: () => void): void {
    this.#timers.push(setTimeout(action, milliseconds));
  }

  #watch(): void {
    const child = this.#child;
    const listen = (capture: StreamCapture) => (chunk: Uint8Array) => {
      capture.push(chunk);
      if (capture.bytes > STREAM_HARD_LIMIT) this.#interrupt('output_limit');
    };
    child.stdout?.on('data', listen(this.#stdout));
    child.stderr?.on('data', listen(this.#stderr));
    // A started child reports only failed kills here; those are answered by the timers.
    child.on('error', () => {});
    child.once('exit', () => {
      this.#exited = true;
      this.#killGroup('SIGKILL');
      this.#after(DRAIN_GRACE_MS, () => {
        child.stdout?.destroy();
        child.stderr?.destroy();
      });
    });
    child.once('close', (code, signal) => this.#finish(code, signal));
  }

  #feed(call: ExecCall): void {
    const stdin = this.#child.stdin;
    if (stdin === null || call.stdin === null) return;
    // A program may end without reading its input; how it ended says what that meant.
    stdin.on('error', () => {});
    stdin.end(JSON.stringify(call.stdin));
  }

  #interrupt(why: Interruption): void {
    // Once the leader is reaped, its number may belong to someone else: the group is never signalled again.
    if (this.#exited || this.#interrupted !== null) return;
    this.#interrupted = why;
    this.#killGroup(why === 'output_limit' ? 'SIGKILL' : 'SIGTERM');
    this.#after(TERM_GRACE_MS, () => {
      if (!this.#exited) this.#killGroup('SIGKILL');
    });
    this.#after(TERM_GRACE_MS + KILL_GRACE_MS, () => this.#giveUp());
  }

  /** The group may be gone already, or hold processes of another uid that are not ours to kill. */
  #killGroup(signal: NodeJS.Signals): void {
    try {
      process.kill(-this.#group, signal);
    } catch (error) {
      if (errorCode(error) !== 'ESRCH' && errorCode(error) !== 'EPERM') throw error;
    }
  }

  #giveUp(): void {
    this.#child.unref();
    this.#child.stdout?.destroy();
    this.#child.stderr?.destroy();
    this.#settle(this.#report('unknown', { reason: `${this.#interrupted}: still running after SIGKILL` }));
  }

  #finish(code: number | null, signal: NodeJS.Signals | null): void {
    const result: RunResult = code === 0 && this.#interrupted === null ? 'succeeded' : 'failed';
    this.#settle(
      this.#report(result, {
        ...(code === null ? {} : { exit_code: code }),
        ...(signal === null ? {} : { signal }),
        ...(this.#interrupted === null ? {} : { reason: this.#interrupted }),
      }),
    );
  }

  #report(result: RunResult, end: ToolRun['detail']): ToolRun {
    const detail = {
      ...end,
      duration_ms: Math.round(performance.now() - this.#started),
      stdout_digest: this.#stdout.digest(),
      stdout_bytes: this.#stdout.bytes,
      stderr_digest: this.#stderr.digest(),
      stderr_bytes: this.#stderr.bytes,
    };
    const truncated = this.#stdout.truncated || this.#stderr.truncated;
    return {
      result,
      detail,
      output: { stdout: this.#stdout.kept(), stderr: this.#stderr.kept(), truncated },
    };
  }
}

/** System error codes only: a message could repeat argv. */
function errorCode(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : 'spawn failed';
}
