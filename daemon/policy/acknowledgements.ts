import type { AcknowledgedFile } from '../engine/methods/outbox.ts';
import { type EngineHandle, internal, textOf } from '../engine/protocol.ts';
import { verifyAcknowledgement } from '../formats/acknowledgement.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import type { JsonObject } from '../formats/json.ts';
import { type OfferedAcknowledgement, offeredIn, readOffered } from './acknowledgement-source.ts';
import type { Medium } from './medium.ts';
import { outboxDigests, removeFromOutbox } from './outbox.ts';

export interface TakeOptions {
  /** Directory of `DIGEST.json` files: on a medium, or in the inbox. Trusted with nothing. */
  path: string;
  outbox: string;
  site: string;
  engine: EngineHandle;
  medium?: Medium;
}

/** An acknowledgement that deleted nothing, and why. */
export interface RefusedAcknowledgement {
  name: string;
  code: string;
  reason: string;
}

/** What became of the acknowledgements in one place. */
export interface TakenAcknowledgements {
  /** Files that headquarters has, and that are therefore gone from the outbox. */
  removed: { file: string; sha256: string }[];
  refused: RefusedAcknowledgement[];
  /** Names of those about files that the outbox does not hold (any more): nothing was to be done. */
  idle: string[];
  /** Names of those that did their work. */
  done: string[];
  /** Log indexes of the entries that say so; empty when all of it was on record before. */
  record_ids: number[];
}

/** The same as it is told over the API: bounded, whatever a medium holds. */
export interface AcknowledgementReport {
  removed: TakenAcknowledgements['removed'];
  removed_total: number;
  refused: RefusedAcknowledgement[];
  refused_total: number;
  idle: number;
  record_ids: number[];
}

/** How many of each kind are told one by one. */
const TOLD = 1_000;

/** What is told of a round over the API. */
export function reportTaken({
  removed,
  refused,
  idle,
  record_ids,
}: TakenAcknowledgements): AcknowledgementReport {
  return {
    removed: removed.slice(0, TOLD),
    removed_total: removed.length,
    refused: refused.slice(0, TOLD),
    refused_total: refused.length,
    idle: idle.length,
    record_ids,
  };
}

/** Files in one entry: it must stay far below the largest entry, and thousands must not flood the ledger. */
const BATCH = 100;

/**
 * Takes headquarters' acknowledgements from a directory: verify each under the keys that policy names now → record them in
 * the ledger, a hundred in an entry → only then delete the files from the outbox, durably. What cannot be verified deletes
 * nothing. Harmless to repeat, and after a crash anywhere: what is on record is not recorded twice.
 *
 * A file is meant by the digest of its bytes, whatever it is called: headquarters has those bytes, so they may go. Throws
 * BoundaryError when the directory cannot be read, or `ledger.unavailable` when nothing can be recorded.
 */
export async function takeAcknowledgements(options: TakeOptions): Promise<TakenAcknowledgements> {
  const taken: TakenAcknowledgements = { removed: [], refused: [], idle: [], done: [], record_ids: [] };
  const offered = await offeredIn(options.path, options.medium);
  if (offered.length === 0) return taken;
  const held = await outboxDigests(options.outbox);
  const wanted = offered.filter(({ digest }) => held.has(digest));
  taken.idle = offered.filter(({ digest }) => !held.has(digest)).map(({ name }) => name);
  const good = await verified(options, wanted, taken.refused);
  for (let from = 0; from < good.length; from += BATCH) {
    const acknowledged = await record(options.engine, good.slice(from, from + BATCH), taken);
    await remove(options.outbox, held, acknowledged, taken);
  }
  return taken;
}

/** Only those that hold; the others are told apart by code. */
async function verified(
  options: TakeOptions,
  offered: readonly OfferedAcknowledgement[],
  refused: RefusedAcknowledgement[],
): Promise<AcknowledgedFile[]> {
  const { path, site, engine, medium } = options;
  const keys = offered.length === 0 ? [] : await keysInForce(engine);
  const good: AcknowledgedFile[] = [];
  for (const { name, digest } of offered) {
    try {
      const text = await readOffered(path, name, medium);
      const { acknowledgement, vkey, signature } = verifyAcknowledgement(text, { site, keys });
      const { file, sha256, received_at } = acknowledgement;
      if (sha256 !== digest) throw misnamed(name);
      good.push({ file, sha256, received_at, vkey, signature });
    } catch (error) {
      // Behind a file that hangs everything else would, too.
      if (!(error instanceof BoundaryError) || error.code === 'acknowledgement.medium_too_slow') throw error;
      refused.push({ name, code: error.code, reason: error.message });
    }
  }
  return good;
}

/** Digests that are on record now, and so may be deleted. */
async function record(
  engine: EngineHandle,
  files: readonly AcknowledgedFile[],
  taken: TakenAcknowledgements,
): Promise<ReadonlySet<string>> {
  const answer = await ask(engine, 'outbox.acknowledge', JSON.stringify({ files }));
  const { acknowledged, record_id } = answer as unknown as {
    acknowledged: string[];
    record_id: number | null;
  };
  if (record_id !== null) taken.record_ids.push(record_id);
  const onRecord = new Set(acknowledged);
  for (const { sha256 } of files) {
    const name = `${sha256}.json`;
    if (onRecord.has(sha256)) taken.done.push(name);
    else taken.refused.push({ name, ...KEY_GONE });
  }
  return onRecord;
}

async function remove(
  outbox: string,
  held: ReadonlyMap<string, string[]>,
  acknowledged: ReadonlySet<string>,
  taken: TakenAcknowledgements,
): Promise<void> {
  const files = [...acknowledged].flatMap((digest) =>
    (held.get(digest) ?? []).map((path) => ({ path, digest })),
  );
  const removed = new Set(await removeFromOutbox(outbox, files));
  taken.removed.push(
    ...files
      .filter(({ path }) => removed.has(path))
      .map(({ path, digest }) => ({ file: path, sha256: digest })),
  );
}

async function keysInForce(engine: EngineHandle): Promise<readonly string[]> {
  const { keys } = (await ask(engine, 'outbox.keys', null)) as unknown as { keys: string[] };
  return keys;
}

async function ask(
  engine: EngineHandle,
  method: 'outbox.keys' | 'outbox.acknowledge',
  body: string | null,
): Promise<JsonObject> {
  const answer = await engine.call(internal(method, body));
  if (answer.status === 200) return JSON.parse(textOf(answer)) as JsonObject;
  throw new BoundaryError(
    'ledger.unavailable',
    'The acknowledgements cannot be recorded, so nothing was deleted. Run "holdfast status" for what to do; they are looked at again later.',
  );
}

/** Policy changed between looking and recording. */
const KEY_GONE = {
  code: 'acknowledgement.unknown_key',
  reason: 'The policy in force no longer names the key of this acknowledgement; nothing was deleted.',
} as const;

function misnamed(name: string): BoundaryError {
  return new BoundaryError(
    'acknowledgement.misnamed',
    `${name} acknowledges another file than its name says; nothing was deleted. Ask headquarters to send it again.`,
    { at: name },
  );
}
