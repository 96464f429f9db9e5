import { type ChildProcess, spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { ApiClient, type DecisionReply } from '../daemon/api/client.ts';
import type { JsonObject } from '../daemon/formats/json.ts';
import { currentLog, type LogKey } from '../daemon/formats/log-keys.ts';
import { readLineage } from '../daemon/host/log-lineage.ts';
import { type SitePaths, sitePaths } from '../daemon/host/site.ts';
import { PROGRAM } from './program.ts';
import { ROOT } from './structure/sources.ts';

/* A whole site in a temporary directory, as a library: real files, real processes, clients, and always an end. */

export const SITE = 'outpost-7.example';
export const ORIGIN = `${SITE}/ledger`;
const GIVE_UP_MS = 120_000;
const REPLY_MS = 60_000;

/** How a command of ours ended. */
export interface Ran {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

export interface RoleOptions {
  /** Put before the command, such as `strace` with its options; it must leave the command its process id (`strace -D`). */
  wrap?: readonly string[];
  env?: Readonly<Record<string, string>>;
  /** Resolve as soon as the process is started. */
  unready?: boolean;
}

/** A running daemon or gateway. */
export interface Role {
  readonly pid: number;
  readonly ended: Promise<Ran>;
  /** What it wrote to stderr so far: its log. */
  log(): string;
  /** Sends a signal (by default the one that nobody can catch) and waits for the end. */
  kill(signal?: NodeJS.Signals): Promise<Ran>;
}

const children = new Set<ChildProcess>();
// Vitest may end a worker without its hooks: nothing may outlive it.
process.once('exit', () => {
  for (const child of children) child.kill('SIGKILL');
});

export type Socket = 'request' | 'redeem' | 'operator' | 'gateway';

export class World {
  /** Everything lies under it: site, tools' directory, copies. Short, because socket paths must fit in 107 bytes. */
  readonly root: string;
  readonly dir: string;
  readonly paths: SitePaths;
  /** Where the tools of the policy leave their marks. */
  readonly work: string;
  readonly #clients = new Map<string, ApiClient>();
  #copies = 0;

  private constructor() {
    this.root = mkdtempSync(join(tmpdir(), 'hf-'));
    this.dir = join(this.root, 'site');
    this.paths = sitePaths(this.dir);
    this.work = join(this.root, 'work');
  }

  /** Makes a dev site with a policy directory, in which `WORK` stands for the world's own directory. */
  static async make(policy = join(ROOT, 'test/crash/policy')): Promise<World> {
    const world = new World();
    try {
      world.#makeTools();
      const source = join(world.root, 'policy');
      cpSync(policy, source, { recursive: true });
      for (const name of readdirSync(source).filter((name) => name.endsWith('.yaml'))) {
        const file = join(source, name);
        writeFileSync(file, readFileSync(file, 'utf8').replaceAll(/\bWORK\b/g, world.work));
      }
      const made = await world.holdfast(
        'init',
        '--site',
        SITE,
        '--profile',
        'dev',
        '--policy',
        source,
        '--json',
      );
      if (made.code !== 0) throw new Error(`init: ${made.stderr}`);
      return world;
    } catch (error) {
      await world.close();
      throw error;
    }
  }

  /** Shell scripts: `>>` appends in one write, so that no two runs can hide each other's line. */
  #makeTools(): void {
    mkdirSync(this.work);
    const tool = (name: string, body: string) =>
      writeFileSync(join(this.work, name), `#!/bin/sh\n${body}\n`, { mode: 0o755 });
    tool('mark', 'echo "ran $2" >> "$1"');
    tool('slow-mark', 'echo "ran $2" >> "$1"; sleep "$3"; echo "ended $2" >> "$1"');
    writeFileSync(join(this.work, 'marks'), '');
  }

  /** Every line that a tool has written, in order. */
  marks(): string[] {
    return readFileSync(join(this.work, 'marks'), 'utf8').split('\n').slice(0, -1);
  }

  /** The client of a socket; one for all, and made anew after the site was moved. */
  client(socket: Socket): ApiClient {
    const known = this.#clients.get(socket);
    if (known !== undefined) return known;
    const made = this.newClient(socket);
    this.#clients.set(socket, made);
    return made;
  }

  /** A client of its own, to be closed by the caller. */
  newClient(socket: Socket, timeoutMs = REPLY_MS): ApiClient {
    return new ApiClient({ socketPath: this.socket(socket), timeoutMs });
  }

  socket(socket: Socket): string {
    return join(this.paths.run, `${socket}.sock`);
  }

  /** Public keys of the site's ledger, each with its sizes. */
  trust(): { origin: string; vkeys: LogKey[] } {
    const { origin, keys } = currentLog(readLineage(this.paths.trust));
    return { origin, vkeys: keys };
  }

  /** Runs one command of ours to its end, as an operator would. */
  holdfast(...args: string[]): Promise<Ran> {
    return start([...PROGRAM, ...args], this.#environment()).ended;
  }

  /** The same on a machine that is set up otherwise: with another clock, say. */
  holdfastWith(env: Readonly<Record<string, string>>, ...args: string[]): Promise<Ran> {
    return start([...PROGRAM, ...args], { ...this.#environment(), ...env }).ended;
  }

  async json(...args: string[]): Promise<JsonObject & { code: number | null }> {
    const ran = await this.holdfast(...args, '--json');
    return { ...(JSON.parse(ran.stdout) as JsonObject), code: ran.code };
  }

  daemon(options: RoleOptions = {}): Promise<Role> {
    return this.#role('daemon', options);
  }

  gateway(options: RoleOptions = {}): Promise<Role> {
    return this.#role('gateway', options);
  }

  /** Starts a role and waits until it would serve; throws with its log when it ends before. */
  async #role(role: 'daemon' | 'gateway', options: RoleOptions): Promise<Role> {
    const command = [...(options.wrap ?? []), ...PROGRAM, role, '--dir', this.dir];
    const running = start(command, { ...this.#environment(), ...options.env });
    if (options.unready === true) return running;
    let over: Ran | null = null;
    void running.ended.then((ran) => {
      over = ran;
    });
    const client = this.newClient(role === 'daemon' ? 'request' : 'gateway', 2_000);
    try {
      await until(`the ${role} to be ready`, async () => {
        if (over !== null) throw new Error(`the ${role} ended before it was ready:\n${running.log()}`);
        return (await client.ready().catch(() => null))?.ready === true;
      });
    } catch (error) {
      await running.kill();
      throw error;
    } finally {
      client.close();
    }
    return running;
  }

  #environment(): NodeJS.ProcessEnv {
    return { ...process.env, HOLDFAST_DIR: this.dir, NO_COLOR: '1', NODE_OPTIONS: '' };
  }

  /** Has somebody sign about a decision and submit it, with the command that they would use. */
  sign(decision: DecisionReply, verb: 'approve' | 'reconcile', person = 'warden'): Promise<Ran> {
    const key = ['--key', join(this.paths.publisher, 'people', person), '--yes', '--json'];
    const { decision_id: id } = decision;
    if (verb === 'approve') return this.holdfast('approvals', 'sign', id, '--reason', 'looked at it', ...key);
    return this.holdfast('decision', 'reconcile', id, '--result', 'failed', '--note', 'looked at it', ...key);
  }

  /** A copy of the whole site directory, sockets left out. What runs keeps on writing to the original alone. */
  copySite(): SitePaths {
    const copy = join(this.root, `copy-${this.#copies++}`);
    cpSync(this.dir, copy, { recursive: true, filter: (path) => !path.endsWith('.sock') });
    return sitePaths(copy);
  }

  /** Ends everything that was started here and removes the directory. */
  async close(): Promise<void> {
    for (const client of this.#clients.values()) client.close();
    const mine = () => processesNaming(this.root);
    for (const pid of mine()) process.kill(pid, 'SIGKILL');
    await until('everything to end', async () => mine().length === 0);
    rmSync(this.root, { recursive: true, force: true });
  }
}

/** A request as an agent would post it. */
export function ask(actionClass: string, mark: string, payload: JsonObject = {}) {
  return {
    action: { class: actionClass, intent: 'test a fault', target: { type: 'mark', id: mark }, payload },
    context: {
      actor: { id: 'agent:ops-1', role: 'agent' },
      environment: 'production',
      request_source: 'test',
    },
  };
}

/** Asks until it holds. Throws with `what` after two minutes, which no working machine needs. */
export async function until(what: string, holds: () => Promise<boolean>, everyMs = 10): Promise<void> {
  const deadline = performance.now() + GIVE_UP_MS;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`waited in vain for ${what}`);
    await pause(everyMs);
  }
}

function start(command: readonly string[], env: NodeJS.ProcessEnv): Role {
  const [program = '', ...args] = command;
  const child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  children.add(child);
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      output[name] += text;
    });
  }
  const ended = new Promise<Ran>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => {
      children.delete(child);
      const end = () => resolve({ code, signal, ...output });
      child.once('close', end);
      // Whatever inherited the pipes must not keep the end from being seen. Twice, so that after a standstill of this
      // process what waits in the pipes is read first.
      setTimeout(() => setTimeout(end, 100).unref(), 1_000).unref();
    });
  });
  const kill = (signal: NodeJS.Signals = 'SIGKILL'): Promise<Ran> => {
    child.kill(signal);
    return ended;
  };
  return { pid: child.pid ?? 0, ended, log: () => output.stderr, kill };
}

/** Processes with this very directory in their arguments: nobody else's can have it. */
function processesNaming(directory: string): number[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.map(Number).filter((pid) => {
    try {
      const dead = /^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
      return !dead && pid !== process.pid && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(directory);
    } catch {
      return false;
    }
  });
}
