import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

/** A server that the bench started, with what it wrote in case it fails. */
export interface Server {
  process: ChildProcess;
  /** From spawn to the first good answer to its readiness path. */
  startMs: number;
  stop(): Promise<void>;
}

export interface ServerOptions {
  command: string;
  args: string[];
  env?: NodeJS.ProcessEnv;
  socket: string;
  /** Path that answers 200 once the server would serve. */
  readyPath: string;
}

const GIVE_UP_MS = 30_000;
const KILL_AFTER_MS = 15_000;

/** Starts a server and waits until it is ready. Throws with its last output when it is not within 30 s. */
export async function startServer(options: ServerOptions): Promise<Server> {
  const started = performance.now();
  const child = spawn(options.command, options.args, {
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  const keep = (chunk: Buffer): void => {
    output = (output + chunk.toString('utf8')).slice(-4_000);
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  let spawnError: Error | null = null;
  child.on('error', (error) => {
    spawnError = error;
  });
  while (!(await answersOk(options.socket, options.readyPath))) {
    const late = performance.now() - started > GIVE_UP_MS;
    if (spawnError !== null || child.exitCode !== null || child.signalCode !== null || late) {
      child.kill('SIGKILL');
      throw new Error(`${options.command} ${options.args.join(' ')} did not become ready:\n${output}`);
    }
    await sleep(2);
  }
  return { process: child, startMs: performance.now() - started, stop: () => stop(child) };
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  const kill = setTimeout(() => child.kill('SIGKILL'), KILL_AFTER_MS);
  await exited;
  clearTimeout(kill);
}

function answersOk(socketPath: string, path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const asked = request({ socketPath, path, agent: false }, (response) => {
      response.resume();
      response.on('end', () => resolve(response.statusCode === 200));
      response.on('error', () => resolve(false));
    });
    asked.on('error', () => resolve(false));
    asked.end();
  });
}

/** Resident memory of a process in MB (10^6 bytes), from the kernel: now, and at its highest. */
export function residentMemory(pid: number): { now: number; peak: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const read = (name: string): number =>
    (Number(new RegExp(`^${name}:\\s+([0-9]+) kB`, 'm').exec(status)?.[1] ?? Number.NaN) * 1_024) / 1e6;
  return { now: read('VmRSS'), peak: read('VmHWM') };
}

/** CPU time that each thread of a process has used, in µs, by thread id; with the thread's name. */
export function threadTimes(pid: number): Map<string, number> {
  const times = new Map<string, number>();
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const name = readFileSync(`/proc/${pid}/task/${thread}/comm`, 'utf8').trim();
    const [onCpu = '0'] = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ');
    times.set(`${thread} ${name}`, Number(onCpu) / 1_000);
  }
  return times;
}
