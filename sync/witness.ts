import { readdirSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { formatAnchor } from '../daemon/formats/anchor.ts';
import { BoundaryError } from '../daemon/formats/boundary-error.ts';
import { parseDecimal } from '../daemon/formats/checkpoint.ts';
import { appendAnswer, cosignedName } from '../daemon/formats/cosignature.ts';
import { sha256Hex } from '../daemon/formats/digest.ts';
import { parseStrict } from '../daemon/formats/strict-json.ts';
import type { SyncWitness } from '../daemon/host/config/sync.ts';
import { makeDir, readBounded, writeDurable } from '../daemon/host/durable-file.ts';
import { type Budget, unexpected } from './download.ts';
import { type KeptAnchor, KeptAnchors } from './kept-anchors.ts';
import { type Link, linkFailure } from './link.ts';

export interface WitnessOptions {
  link: Link;
  witnesses: readonly SyncWitness[];
  outbox: string;
  inbox: string;
  /** Our own state directory: what each witness knows, and copies of the chain. */
  state: string;
  budget: Budget;
}

/** What came of one witness. */
export interface Witnessed {
  url: string;
  /**
   * `cosigned`: its word on the newest anchor was brought in, now or before · `waiting`: for a proof that the daemon was
   * asked for, or for the next round · `nothing`: no anchor was ever exported · `failed`: see `failure`.
   */
  outcome: 'cosigned' | 'waiting' | 'nothing' | 'failed';
  /** Of the newest tree that it knows; null when it did not say. */
  size: number | null;
  failure: BoundaryError | null;
}

/** What is remembered of a witness: how much of the log it knows, and up to where its word was brought in. */
interface Memory {
  knows: number;
  cosigned: number;
}

const MEMORY_MAX_BYTES = 4_096;
/** A few signature lines, or a size. */
const ANSWER_MAX_BYTES = 16_384;
/** Steps along the chain in one round; the next round goes on. */
const STEPS = 32;
/** Questions that wait for the daemon. */
const MOST_WANTED = 64;
/** How often a witness may tell us in one round that it stands elsewhere. */
const CONFLICTS = 3;

/**
 * Has each witness cosign the newest anchor (C2SP tlog-witness), from whatever size it knows: the proof comes from the kept
 * chain, or is asked of the daemon by `inbox/anchors/wanted-OLD`. Cosigned checkpoints go to `inbox/cosignatures`, where the
 * daemon verifies them; nothing is believed here. One witness that fails does not keep the others back. Safe to be
 * interrupted anywhere, and to repeat.
 */
export async function askWitnesses(options: WitnessOptions): Promise<Witnessed[]> {
  const kept = new KeptAnchors(options);
  const results: Witnessed[] = [];
  for (const witness of options.witnesses) {
    try {
      results.push(await askWitness(options, witness, kept));
    } catch (error) {
      if (!(error instanceof BoundaryError)) throw error;
      results.push({ url: witness.url, outcome: 'failed', size: null, failure: error });
      if (options.budget.signal.aborted) break;
    }
  }
  return results;
}

async function askWitness(
  options: WitnessOptions,
  witness: SyncWitness,
  kept: KeptAnchors,
): Promise<Witnessed> {
  const { url } = witness;
  const newest = kept.newest();
  if (newest === null) return { url, outcome: 'nothing', size: null, failure: null };
  const memory = readMemory(options, witness);
  let conflicts = 0;
  for (let step = 0; step < STEPS && memory.cosigned < newest.size; step += 1) {
    const next = nextRequest(memory.knows, newest, kept);
    if (next === null) {
      want(options.inbox, memory.knows);
      return { url, outcome: 'waiting', size: memory.knows, failure: null };
    }
    const answer = await submit(options, url, next);
    if ('knows' in answer) {
      conflicts += 1;
      if (conflicts > CONFLICTS || answer.knows === next.old) throw contradicted(url, next);
      memory.knows = answer.knows;
    } else {
      bring(options.inbox, witness, next, answer.lines);
      memory.knows = next.size;
      memory.cosigned = next.size;
    }
    // After the note is safe: interrupted before, the same is asked again, which changes nothing at the witness.
    writeMemory(options, witness, memory);
  }
  const isCurrent = memory.cosigned >= newest.size;
  return { url, outcome: isCurrent ? 'cosigned' : 'waiting', size: memory.knows, failure: null };
}

/**
 * What a witness that knows `knows` entries is sent. From the empty tree every tree follows without a proof; the tree that
 * it knows it may be asked about again. Null when the kept chain does not lead on from there.
 */
function nextRequest(knows: number, newest: KeptAnchor, kept: KeptAnchors): KeptAnchor | null {
  const { size } = newest;
  if (knows === 0 || knows === size)
    return { old: knows, size, anchor: { ...newest.anchor, old: knows, proof: [] } };
  return knows > size ? null : kept.from(knows);
}

/** One `add-checkpoint`. Every status of the protocol has its own meaning; all others are failures of the way there. */
async function submit(
  { link, budget }: WitnessOptions,
  prefix: string,
  request: KeptAnchor,
): Promise<{ lines: string } | { knows: number }> {
  const url = `${prefix}add-checkpoint`;
  const body = Buffer.from(formatAnchor(request.anchor), 'utf8');
  const signal = budget.nextFile();
  budget.take(body.length);
  const answer = await link.ask({
    method: 'POST',
    url,
    headers: { 'content-type': 'text/plain' },
    body,
    signal,
  });
  const text = await textOf(answer, { url, budget, signal });
  const type = (answer.headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase();
  switch (answer.statusCode ?? 0) {
    case 200:
      return { lines: text };
    case 409: {
      const knows = type === 'text/x.tlog.size' ? parseDecimal(text.replace(/\n$/, '')) : null;
      if (knows === null) throw contradicted(prefix, request);
      return { knows };
    }
    case 422:
      throw contradicted(prefix, request);
    case 404:
      throw new BoundaryError(
        'sync.witness_unknown_log',
        `${prefix} does not know this site's log, so it cosigned nothing. Give its operator the line of trust/ledger.vkey, or remove the witness from sync.witnesses.`,
        { at: prefix },
      );
    case 403:
      throw new BoundaryError(
        'sync.witness_unknown_key',
        `${prefix} knows none of the keys that signed the anchor, so it cosigned nothing. If the ledger's key was rotated, give its operator the new one (trust/ledger.vkey).`,
        { at: prefix },
      );
    case 400:
      throw new BoundaryError(
        'sync.witness_refused',
        `${prefix} does not understand the anchor of ${request.size} entries; nothing was cosigned. Check that the URL is a C2SP tlog-witness submission prefix.`,
        { at: prefix },
      );
    default:
      throw unexpected(url, answer.statusCode ?? 0);
  }
}

/** The witness has seen a tree that this one does not continue: it is wrong, or this site shows two histories. */
function contradicted(prefix: string, { old, size }: KeptAnchor): BoundaryError {
  return new BoundaryError(
    'sync.witness_contradicts',
    `${prefix} says that the ${size} entries of this site do not continue the ${old} that it cosigned. Either it is wrong, or this ledger was changed, forked or set back. Nothing was cosigned. Call whoever runs the witness, compare the trees (holdfast anchor verify), and change nothing here until that is clear.`,
    { at: prefix },
  );
}

async function textOf(
  answer: IncomingMessage,
  { url, budget, signal }: { url: string; budget: Budget; signal: AbortSignal },
): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      budget.take(chunk.length);
      length += chunk.length;
      if (length > ANSWER_MAX_BYTES)
        throw new BoundaryError(
          'sync.witness_refused',
          `${url} answers with more than ${ANSWER_MAX_BYTES} bytes, which no witness does; nothing was taken.`,
          { at: url },
        );
      chunks.push(chunk);
    }
  } catch (error) {
    answer.destroy();
    throw linkFailure(error, url, signal);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** Only the form of the answer is looked at; who signed it is for the daemon to judge. */
function bring(inbox: string, { name, url }: SyncWitness, { size, anchor }: KeptAnchor, lines: string): void {
  const directory = join(inbox, 'cosignatures');
  // The daemon takes away what it has dealt with.
  makeDir(directory, 0o770);
  const who = name ?? new URL(url).host.replace(':', '_');
  const note = Buffer.from(appendAnswer(anchor.checkpoint, lines), 'utf8');
  writeDurable(join(directory, cosignedName(size, who)), note, 0o644);
}

function want(inbox: string, old: number): void {
  const directory = join(inbox, 'anchors');
  makeDir(directory, 0o770);
  // A daemon that is away answers none; a witness that names another size each time must not fill the disk.
  if (readdirSync(directory).length >= MOST_WANTED) return;
  writeDurable(join(directory, `wanted-${old}`), new Uint8Array(), 0o644);
}

function memoryPath({ state }: WitnessOptions, { url }: SyncWitness): string {
  const directory = join(state, 'witnesses');
  makeDir(directory, 0o700);
  return join(directory, `${sha256Hex(Buffer.from(url, 'utf8'))}.json`);
}

/** What was remembered; of a witness that is new, or whose memory cannot be read, nothing: it says itself where it stands. */
function readMemory(options: WitnessOptions, witness: SyncWitness): Memory {
  try {
    const text = Buffer.from(readBounded(memoryPath(options, witness), MEMORY_MAX_BYTES)).toString('utf8');
    const value = parseStrict(text, { maxBytes: MEMORY_MAX_BYTES, maxDepth: 2 });
    const { knows, cosigned } = (value ?? {}) as { knows?: unknown; cosigned?: unknown };
    if (Number.isSafeInteger(knows) && Number.isSafeInteger(cosigned))
      return { knows: knows as number, cosigned: cosigned as number };
  } catch (error) {
    if (!(error instanceof BoundaryError)) throw error;
  }
  return { knows: 0, cosigned: 0 };
}

function writeMemory(options: WitnessOptions, witness: SyncWitness, memory: Memory): void {
  writeDurable(memoryPath(options, witness), Buffer.from(`${JSON.stringify(memory)}\n`, 'utf8'), 0o600);
}
