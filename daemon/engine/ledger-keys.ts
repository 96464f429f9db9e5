import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { BoundaryError } from '../formats/boundary-error.ts';
import { decodeEntry } from '../formats/entry.ts';
import { followInLogs, followRotations, signRotation } from '../formats/key-rotation.ts';
import { currentLog, firstLineage, type LogKey, newestKey } from '../formats/log-keys.ts';
import { withLogKey } from '../formats/tlog-policy.ts';
import { writeDurable } from '../host/durable-file.ts';
import type { LedgerKeyFiles } from '../host/ledger-key.ts';
import { readLineage, writeLineage } from '../host/log-lineage.ts';
import type { SitePaths } from '../host/site.ts';
import type { Ledger, NoteSigner } from '../ledger/ledger.ts';
import { viewLedger } from '../ledger/open.ts';
import { inspectWal } from '../ledger/wal.ts';
import { KEY_STREAM } from './key-stream.ts';

/** What is known of the ledger's keys: the one in use and since when, and those before it. */
export interface LedgerKeyReport {
  origin: string;
  vkey: string;
  /** Unix ms: when the key was made; null where the entry that says so is out of reach. */
  since: number | null;
  keys: readonly LogKey[];
}

/** A rotation between its entry and the commit of that. */
interface Pending {
  next: NoteSigner;
  at: number;
}

/**
 * The ledger's signing key and how it changes:
 *
 *  1. `prepare`: the new key is on disk, as `ledger.key.next`.
 *  2. The entry `key.rotated` names it, signed by both keys; the checkpoint over that entry is signed by both. Commit: the
 *     point of no return.
 *  3. `committed`: the new key becomes `ledger.key`, the old one is destroyed, and `trust/` tells everybody.
 *
 * A crash before 2 leaves a key that nothing names, which is destroyed; one after 2 is finished by `settle`, which asks the
 * ledger who signed its newest checkpoint.
 */
export class LedgerKeys {
  readonly #paths: SitePaths;
  readonly #files: LedgerKeyFiles | null;
  /** Age in ms at which the key is due for rotation; null: never. */
  readonly maxAgeMs: number | null;
  readonly #report: (message: string, error: unknown) => void;
  #signer: NoteSigner;
  #pending: Pending | null = null;
  #known: LedgerKeyReport | null = null;
  /** What is still to be done to bring the files in line with the ledger; null when they are. */
  #unfinished: (() => void) | null = null;

  constructor(options: {
    paths: SitePaths;
    signer: NoteSigner;
    files: LedgerKeyFiles | null;
    maxAgeMs: number | null;
    report: (message: string, error: unknown) => void;
  }) {
    this.#paths = options.paths;
    this.#signer = options.signer;
    this.#files = options.files;
    this.maxAgeMs = options.maxAgeMs;
    this.#report = options.report;
  }

  /** The key in use. */
  get signer(): NoteSigner {
    return this.#signer;
  }

  /** Whether a rotation is in the batch at hand. */
  get isRotating(): boolean {
    return this.#pending !== null;
  }

  /** Whether key files and `trust/` say what the ledger says. */
  get isSettled(): boolean {
    return this.#unfinished === null;
  }

  /** Whether the key in use is older than it may get. */
  isDue(now: number): boolean {
    const since = this.#known?.since ?? null;
    return this.maxAgeMs !== null && since !== null && now - since >= this.maxAgeMs;
  }

  /** What is known of the keys; null before the ledger was read. */
  report(): LedgerKeyReport | null {
    return this.#known;
  }

  /**
   * Before the ledger is opened: takes up the key that its newest checkpoint names, should a crash have come between that
   * and the files. A ledger that cannot be read is left to be refused, and the keys as they are.
   */
  settle(): void {
    this.#pending = null;
    const next = this.#files?.next() ?? null;
    if (this.#files === null || next === null) return;
    if (!isNewestSigner(this.#paths.ledger, next)) return;
    this.#files.adopt();
    this.#signer = next;
  }

  /**
   * After the ledger was opened under the key in use: reads what it says of the keys, and makes the files agree. Throws
   * BoundaryError `ledger.key` when the ledger goes on under another key: an old one that was put back signs nothing more,
   * though it can open the checkpoint that both have signed.
   */
  restore(ledger: Pick<Ledger, 'stream' | 'entry' | 'origin'>): void {
    const known = readKeys(ledger, this.#signer);
    const { vkey } = newestKey(known);
    if (vkey !== this.#signer.vkey) throw otherKey(this.#signer.vkey, vkey);
    this.#known = known;
    this.#finish(() => this.#files?.discard());
  }

  /** Makes the next key and the statement about it, for an entry that the first `size` entries end with. */
  prepare(size: number, at: number): { next: NoteSigner; statement: string } {
    if (this.#files === null) throw new Error('engine: there are no key files to rotate');
    const { name } = this.#signer;
    const next = this.#files.prepare(name);
    this.#pending = { next, at };
    return { next, statement: signRotation({ origin: name, size }, this.#signer, next) };
  }

  /** The batch is durable: the new key is in use. That the files follow is seen to now, and again until they do. */
  committed(ledger: Pick<Ledger, 'stream' | 'entry' | 'origin'>): void {
    if (this.#pending === null) return;
    this.#signer = this.#pending.next;
    this.#pending = null;
    this.#known = readKeys(ledger, this.#signer);
    this.#finish(() => this.#files?.adopt());
  }

  /** Once a second: tries again what could not be written. */
  tend(): void {
    if (this.#unfinished !== null) this.#finish(this.#unfinished);
  }

  #finish(files: () => void): void {
    const retry = this.#unfinished !== null;
    try {
      files();
      this.#files?.tidy();
      if (this.#files !== null && this.#known !== null) publish(this.#paths.trust, this.#known);
      this.#unfinished = null;
    } catch (error) {
      this.#unfinished = files;
      if (!retry) this.#report('engine: the files of the ledger key could not be written', error);
    }
  }
}

function otherKey(here: string, wanted: string): BoundaryError {
  const short = (vkey: string) => vkey.slice(0, vkey.lastIndexOf('+'));
  return new BoundaryError(
    'ledger.key',
    `The ledger's key was changed to ${short(wanted)}, and state/keys/ledger.key is ${short(here)}; the ledger was not opened. Put back the key file of that key. If it is lost, restore a backup: the log then goes on under a new name and key.`,
  );
}

/** Whether the ledger's newest checkpoint is signed by this key. Reads beside the file, and changes nothing. */
function isNewestSigner(path: string, { name, vkey }: NoteSigner): boolean {
  if (!existsSync(path) || inspectWal(path).state === 'damaged') return false;
  try {
    viewLedger(path, { origin: name, vkeys: [vkey] }).close();
    return true;
  } catch (error) {
    if (error instanceof BoundaryError) return false;
    throw error;
  }
}

/** The keys of a log by its own entries, and when the newest came into use. */
function readKeys(
  ledger: Pick<Ledger, 'stream' | 'entry' | 'origin'>,
  { vkey }: NoteSigner,
): LedgerKeyReport {
  const rotations = ledger
    .stream(KEY_STREAM)
    .map(({ bytes }) => decodeEntry(bytes))
    // Of this log: one that goes on for another may hold the entries of that one.
    .filter(({ type, data }) => type === 'key.rotated' && String(data.old).startsWith(`${ledger.origin}+`));
  const first = rotations[0] === undefined ? vkey : String(rotations[0].data.old);
  const statements = rotations.map(({ data }) => String(data.statement));
  const { keys } = followRotations(firstLineage(ledger.origin, first), statements);
  const since = rotations.at(-1) ?? firstEntry(ledger);
  return { origin: ledger.origin, vkey, since: since === null ? null : Date.parse(since.at), keys };
}

function firstEntry(ledger: Pick<Ledger, 'entry'>): { at: string } | null {
  const bytes = ledger.entry(0);
  return bytes === null ? null : decodeEntry(bytes);
}

/** Brings `trust/` in line: the list of keys, the key in use, and the log in the site's tlog-policy. */
function publish(trust: string, { origin, vkey, keys }: LedgerKeyReport): void {
  const statements = keys.flatMap(({ rotation }) => rotation ?? []);
  // A site that never rotated has nothing to tell.
  if (statements.length === 0) return;
  const before = readLineage(trust);
  const logs = followInLogs(before, statements);
  const log = currentLog(logs);
  if (log.origin !== origin || newestKey(log).vkey !== vkey) {
    throw new BoundaryError(
      'trust.other_keys',
      `The keys in ${trust} are not those that lead to the key of ${origin}; they were left as they are. Put back the files of this site.`,
      { at: trust },
    );
  }
  const told =
    JSON.stringify(logs) === JSON.stringify(before) && textOf(join(trust, 'ledger.vkey'))?.trim() === vkey;
  if (!told) writeLineage(trust, logs);
  const path = join(trust, 'tlog-policy');
  const policy = textOf(path);
  const old = keys.slice(0, -1).map((key) => key.vkey);
  const changed = policy === null ? null : withLogKey(policy, old, vkey);
  if (changed !== null && changed !== policy) writeDurable(path, Buffer.from(changed, 'utf8'), 0o644);
}

function textOf(path: string): string | null {
  return existsSync(path) ? readFileSync(path, 'utf8') : null;
}
