import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { composeEngine } from '../../daemon/engine/compose.ts';
import { Engine } from '../../daemon/engine/engine.ts';
import type { EngineCall } from '../../daemon/engine/protocol.ts';
import { type VerifiedPermit, verifyPermit } from '../../daemon/formats/permit.ts';
import { type LogTrust, parsePolicy } from '../../daemon/formats/tlog-policy.ts';
import { parseProof } from '../../daemon/formats/tlog-proof.ts';
import { sitePaths } from '../../daemon/host/site.ts';
import { RUNTIME_OPTIONS } from '../../packaging/runtime-options.ts';
import { type Server, startServer } from './processes.ts';
import type { Question } from './questions.ts';

const MAIN = join(import.meta.dirname, '../../daemon/main.ts');
const POLICY = join(import.meta.dirname, 'policy');
/** In the bundle's `metadata.sites`. */
export const ORIGIN = 'bench.example';
const GROW_BATCH = 1_000;
const OUTPUT_MAX = 64 * 1_024 * 1_024;

const execute = promisify(execFile);

export const DECISIONS_PATH = '/v1/decisions';
export const STREAM_PATH = '/v1/stream';
/** In every answer that allows: a decision that was not allowed has no permit object. */
export const ALLOWED = '"permit":{';

/** Runs one command of ours to its end, as an operator would. Returns its stdout; throws with its stderr. */
export async function runCommand(args: string[]): Promise<string> {
  const { stdout } = await execute(process.execPath, [...RUNTIME_OPTIONS, MAIN, ...args], {
    maxBuffer: OUTPUT_MAX,
  });
  return stdout;
}

/** Makes a dev site with the bench's policy in `dir`, which must not exist. */
export async function makeSite(dir: string): Promise<void> {
  await runCommand([
    'init',
    '--site',
    ORIGIN,
    '--profile',
    'dev',
    '--policy',
    POLICY,
    '--dir',
    dir,
    '--json',
  ]);
}

/** Starts a role of the site and waits until it says that it is ready. */
export function startRole(
  dir: string,
  role: 'daemon' | 'gateway',
  nodeOptions: string[] = [],
): Promise<Server> {
  return startServer({
    command: process.execPath,
    args: [...RUNTIME_OPTIONS, ...nodeOptions, MAIN, role, '--dir', dir],
    socket: socketOf(dir, role === 'daemon' ? 'request' : 'gateway'),
    readyPath: '/v1/ready',
  });
}

export function socketOf(dir: string, kind: 'request' | 'gateway'): string {
  return join(sitePaths(dir).run, `${kind}.sock`);
}

/**
 * Makes the ledger of a stopped site at least `entries` long, by decisions like those of the load, through the same
 * engine in large batches. Returns its length.
 */
export function growLedger(dir: string, questions: readonly Question[], entries: number): number {
  const engine = new Engine(composeEngine({ dir }));
  const calls = Array.from({ length: GROW_BATCH }, (_, at): EngineCall => {
    const body = JSON.stringify(questions[at % questions.length]);
    return { method: 'decisions.create', args: {}, body, key: null, peer: { socket: 'internal', uid: null } };
  });
  let size = 0;
  while (size < entries) {
    const { replies, events } = engine.process(
      size === 0 ? calls.slice(0, 1) : calls.slice(0, entries - size),
    );
    const bad = replies.find(({ status, body }) => status !== 200 || !body.includes(ALLOWED));
    if (bad !== undefined) throw new Error(`growing the ledger: ${bad.status} ${bad.body.slice(0, 600)}`);
    size = (events.at(-1)?.index ?? 0) + 1;
  }
  engine.stop('bench: grown');
  return size + 1;
}

/** What a verifier elsewhere would hold of the site: its tlog-policy. */
export function trustOf(dir: string): LogTrust {
  return { policy: parsePolicy(readFileSync(join(sitePaths(dir).trust, 'tlog-policy'), 'utf8')) };
}

/** Verifies the permit in an answer as any target would, from public keys alone. Throws when it is not genuine. */
export function verifyAnswer(
  answer: string,
  trust: LogTrust,
): { verified: VerifiedPermit; entryBytes: number } {
  const { permit } = JSON.parse(answer) as { permit: { id: string; proof: string } };
  const verified = verifyPermit(permit.proof, trust);
  if (verified.permit.id !== permit.id) throw new Error(`answer ${permit.id} proves ${verified.permit.id}`);
  return { verified, entryBytes: parseProof(permit.proof).extra?.length ?? 0 };
}
