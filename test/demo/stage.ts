import { type ChildProcess, spawn } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { type ActionBody, ApiClient, ApiProblem, type DecisionReply } from '../../daemon/api/client.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { type SitePaths, sitePaths } from '../../daemon/host/site.ts';
import { PATIENCE, PROGRAM } from '../program.ts';
import { must } from './narrator.ts';

const ROOT = join(import.meta.dirname, '../..');
const TOOLS = join(import.meta.dirname, 'tools');
export const SITE = 'outpost-7.example';
const GIVE_UP_MS = 20_000 * PATIENCE;

export interface Ran {
  code: number | null;
  stdout: string;
  stderr: string;
  ms: number;
}

/** What the gateway answered, refusals included: then `problem` has the code and the sentence. */
export interface Acted {
  decision: DecisionReply | null;
  outcome: { result: string; detail: JsonObject } | null;
  output: { stdout: string; stderr: string } | null;
  problem: { code: string; detail: string } | null;
  ms: number;
}

/** A whole site in a temporary directory, with its processes and the things that are governed. */
export class Stage {
  readonly dir = mkdtempSync(join(tmpdir(), 'holdfast-demo-'));
  readonly work = join(this.dir, 'things');
  readonly paths: SitePaths = sitePaths(join(this.dir, 'site'));
  readonly requests = this.#client('request');
  readonly redeem = this.#client('redeem');
  readonly operator = this.#client('operator');
  readonly gateway = this.#client('gateway');
  #running = new Map<string, ChildProcess>();

  #client(socket: string): ApiClient {
    return new ApiClient({ socketPath: join(this.paths.run, `${socket}.sock`), timeoutMs: GIVE_UP_MS });
  }

  /** The starter policy with this machine's tools in place of the site's. */
  writePolicy(): string {
    const policy = join(this.dir, 'policy');
    cpSync(join(ROOT, 'policies/field-site'), policy, { recursive: true });
    const tools = readFileSync(join(import.meta.dirname, 'tools.yaml'), 'utf8')
      .replaceAll(/\bNODE\b/g, process.execPath)
      .replaceAll(/\bTOOLS\b/g, TOOLS)
      .replaceAll(/\bWORK\b/g, this.work);
    writeFileSync(join(policy, 'tools.yaml'), tools);
    // Step 11 asks as fast as the machine can; a site would not let one agent do so.
    const limits = join(policy, 'limits.yaml');
    const many = readFileSync(limits, 'utf8').replace(
      /^requests_per_second: .*$/m,
      'requests_per_second: 1000000',
    );
    writeFileSync(limits, many);
    return policy;
  }

  makeThings(): void {
    for (const name of ['telemetry', 'services', 'incoming', 'firmware']) {
      mkdirSync(join(this.work, name), { recursive: true });
    }
  }

  /** Runs one command of ours to its end, as an operator would type it. */
  async holdfast(...args: string[]): Promise<Ran> {
    const started = performance.now();
    const [program, ...words] = PROGRAM;
    const child = spawn(program, [...words, ...args], {
      env: { ...process.env, HOLDFAST_DIR: this.paths.root, NO_COLOR: '1' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const texts = [child.stdout, child.stderr].map(async (stream) => {
      let text = '';
      for await (const chunk of stream.setEncoding('utf8')) text += chunk;
      return text;
    });
    const code = await new Promise<number | null>((done, fail) => {
      child.once('error', fail);
      child.once('close', done);
    });
    const [stdout = '', stderr = ''] = await Promise.all(texts);
    return { code, stdout, stderr, ms: performance.now() - started };
  }

  /** Starts a role of the site and waits until it would serve. Returns the milliseconds from start to ready. */
  async start(role: 'daemon' | 'gateway'): Promise<number> {
    const started = performance.now();
    this.#spawn(role, [...PROGRAM, role, '--dir', this.paths.root]);
    const client = role === 'daemon' ? this.requests : this.gateway;
    await this.until(
      `the ${role} to be ready`,
      async () => (await client.ready().catch(() => null))?.ready === true,
    );
    return performance.now() - started;
  }

  /** Starts one of the services that the site's tools talk to. */
  async startService(name: string, script: string, args: string[], sign: string): Promise<void> {
    this.#spawn(name, [process.execPath, join(TOOLS, script), ...args]);
    await this.until(`${name} to start`, async () => existsSync(sign));
  }

  #spawn(name: string, [program = '', ...args]: readonly string[]): void {
    const log = openSync(join(this.dir, `${name}.log`), 'a');
    const child = spawn(program, args, { stdio: ['ignore', 'ignore', log] });
    this.#running.set(name, child);
  }

  pid(name: string): number {
    return this.#running.get(name)?.pid ?? 0;
  }

  async end(name: string, signal: NodeJS.Signals): Promise<void> {
    const child = this.#running.get(name);
    this.#running.delete(name);
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((done) => child.once('exit', done));
    child.kill(signal);
    await ended;
  }

  /** Waits until something holds; fails the run when it does not in time. */
  async until(what: string, holds: () => Promise<boolean>): Promise<void> {
    const deadline = performance.now() + GIVE_UP_MS;
    while (!(await holds())) {
      must(performance.now() < deadline, `waited ${GIVE_UP_MS / 1_000} s for ${what}`);
      await pause(10);
    }
  }

  /** Ends the siren, which sounds until then. It goes to the service itself: nobody governs that. */
  async silence(): Promise<void> {
    const reply = Promise.withResolvers<void>();
    const path = join(this.work, 'network.sock');
    request({ socketPath: path, path: '/silence', method: 'POST', agent: false }, (answer) =>
      answer.resume().once('end', reply.resolve),
    )
      .once('error', reply.reject)
      .end();
    await reply.promise;
  }

  /** Has the gateway act; a refusal is an answer here. */
  async act(body: ActionBody): Promise<Acted> {
    const started = performance.now();
    const reply = await this.gateway.action(body).catch((error: unknown) => {
      if (error instanceof ApiProblem) return error.body;
      throw error;
    });
    const {
      decision = null,
      outcome = null,
      output = null,
      code,
      detail,
    } = reply as unknown as Partial<Acted> & { code?: string; detail?: string };
    const problem = code === undefined ? null : { code, detail: detail ?? '' };
    return { decision, outcome, output, problem, ms: performance.now() - started };
  }

  /** Signs an approval as one of the site's people, with the command that they would use. */
  async approve(
    id: string,
    person: string,
    reason: string,
  ): Promise<Ran & { decision: DecisionReply | null }> {
    const key = join(this.paths.publisher, 'people', person);
    const ran = await this.holdfast(
      'approvals',
      'sign',
      id,
      '--key',
      key,
      '--reason',
      reason,
      '--yes',
      '--json',
    );
    return { ...ran, decision: ran.code === 0 ? (JSON.parse(ran.stdout) as DecisionReply) : null };
  }

  /** Files of the site and logs of its processes in which `secret` stands in plain sight. The people's own keys are not searched. */
  whereIs(secret: string): string[] {
    const needle = Buffer.from(secret);
    const places = [this.paths.state, this.paths.gateway, this.paths.outbox, this.paths.run];
    const logs = ['daemon.log', 'gateway.log'].map((name) => join(this.dir, name));
    return [...places.flatMap(filesBelow), ...logs].filter((path) => contentOf(path).includes(needle));
  }

  /** The ends of the logs of our processes, for a failure's report. */
  lastWords(): [name: string, text: string][] {
    const logs = readdirSync(this.dir).filter((name) => name.endsWith('.log'));
    return logs.map((name) => [name, readFileSync(join(this.dir, name), 'utf8').slice(-2_000)]);
  }

  /** Ends everything that was started, the restarted services too, and removes the directory. Returns what would not go. */
  async clear(): Promise<string[]> {
    for (const client of [this.requests, this.redeem, this.operator, this.gateway]) client.close();
    for (const name of [...this.#running.keys()])
      await this.end(name, name === 'daemon' || name === 'gateway' ? 'SIGTERM' : 'SIGKILL');
    for (const { pid } of this.#ours()) process.kill(pid, 'SIGKILL');
    for (let i = 0; i < 600 && this.#ours().length > 0; i++) await pause(50);
    const left = this.#ours().map(({ pid, command }) => `${pid}: ${command}`);
    rmSync(this.dir, { recursive: true, force: true });
    return left;
  }

  /** Processes that name this very directory in their arguments: nobody else's can. */
  #ours(): { pid: number; command: string }[] {
    const pids = readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(Number);
    return pids.flatMap((pid) => {
      try {
        const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
        const gone = /^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
        return command.includes(this.dir) && !gone && pid !== process.pid ? [{ pid, command }] : [];
      } catch {
        return [];
      }
    });
  }
}

/** Every file below a directory in which others are at work: one that is gone by now is none. */
function filesBelow(dir: string): string[] {
  const entries = unlessGone(() => readdirSync(dir, { withFileTypes: true })) ?? [];
  return entries.flatMap((entry) => {
    const path = join(dir, entry.name);
    if (entry.isDirectory()) return filesBelow(path);
    return entry.isFile() ? [path] : [];
  });
}

const contentOf = (path: string): Buffer => unlessGone(() => readFileSync(path)) ?? Buffer.alloc(0);

function unlessGone<T>(read: () => T): T | null {
  try {
    return read();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}
