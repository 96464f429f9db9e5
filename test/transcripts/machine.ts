import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ApiClient } from '../../daemon/api/client.ts';
import { PROGRAM } from '../program.ts';
import { ROOT } from '../structure/sources.ts';
import { words } from './transcript.ts';

export interface Ran {
  code: number;
  /** stdout, then stderr. */
  output: string;
}

/** A working directory with the program in it: runs commands, keeps roles in the background, cleans up. */
export class Machine {
  readonly dir = mkdtempSync(join(tmpdir(), 'holdfast-transcript-'));
  #days = 0;
  readonly #settings: Record<string, string> = {};
  readonly #roles = new Map<string, { child: ChildProcess; ended: Promise<number>; log: () => string }>();

  /** Runs one command line to its end. */
  async run(line: string, input: readonly string[] = []): Promise<Ran> {
    const { child, output, ended } = this.#spawn(line);
    // A command that reads nothing may be gone before it is written to.
    child.stdin?.on('error', () => {});
    child.stdin?.end(input.map((text) => `${text}\n`).join(''));
    const code = await ended;
    return { code, output: output() };
  }

  /** Starts `holdfast daemon` or `holdfast gateway`; resolves when its socket answers. */
  async start(line: string): Promise<void> {
    const { child, output, ended } = this.#spawn(line);
    this.#roles.set(line, { child, ended, log: output });
    const socket = line.includes('gateway') ? 'gateway.sock' : 'request.sock';
    const client = new ApiClient({ socketPath: join(this.dir, '.holdfast/run', socket), timeoutMs: 10_000 });
    let alive = true;
    void ended.then(() => (alive = false));
    while (alive) {
      const ready = await client.ready().then(
        () => true,
        () => false,
      );
      if (ready) return client.close();
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`${line} ended before it was ready:\n${output()}`);
  }

  /** Ends a role that `start` started; resolves with its exit code. */
  async stop(line: string, signal: NodeJS.Signals): Promise<number> {
    const role = this.#roles.get(line);
    if (role === undefined) throw new Error(`${line} was not started`);
    this.#roles.delete(line);
    role.child.kill(signal);
    return role.ended;
  }

  /** Takes `NAME=value …` into the environment of every process from now on. */
  set(assignments: string): void {
    for (const word of words(assignments)) {
      const at = word.indexOf('=');
      this.#settings[word.slice(0, at)] = word.slice(at + 1);
    }
  }

  /** From now on every process runs so many days later, in another boot of the machine. */
  later(days: number): void {
    if (this.#roles.size > 0) throw new Error('a machine that is off runs nothing: stop the roles first');
    this.#days += days;
  }

  /** Ends everything that still runs and removes the directory. */
  async close(): Promise<void> {
    for (const line of [...this.#roles.keys()]) await this.stop(line, 'SIGKILL');
    rmSync(this.dir, { recursive: true, force: true });
  }

  #spawn(line: string): { child: ChildProcess; output: () => string; ended: Promise<number> } {
    const [name = '', ...args] = words(line);
    const [program, all] = name === 'holdfast' ? [PROGRAM[0], [...PROGRAM.slice(1), ...args]] : [name, args];
    const { PATH = '/usr/bin:/bin' } = process.env;
    const preload = `--import=${pathToFileURL(join(ROOT, 'test/transcripts/later-clock.mjs')).href}`;
    const clock = this.#days === 0 ? {} : { NODE_OPTIONS: preload, TRANSCRIPT_DAYS: String(this.#days) };
    const env = { PATH, HOME: this.dir, LANG: 'C.UTF-8', NO_COLOR: '1', ...clock, ...this.#settings };
    const child = spawn(program, all, { cwd: this.dir, env, stdio: ['pipe', 'pipe', 'pipe'] });
    const streams: [string, string] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text: string) => (streams[0] += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (streams[1] += text));
    const ended = new Promise<number>((resolve, reject) => {
      child.on('error', reject);
      child.on('close', (code) => resolve(code ?? 128));
    });
    return { child, output: () => streams.join(''), ended };
  }
}
