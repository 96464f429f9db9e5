import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { BoundaryError } from '../formats/boundary-error.ts';
import { canonicalBytes, canonicalText } from '../formats/canonical-json.ts';
import { sha256Hex } from '../formats/digest.ts';
import type { Json } from '../formats/json.ts';
import { followInLogs } from '../formats/key-rotation.ts';
import {
  currentLog,
  type LogKey,
  type LogLineage,
  logOf,
  newestKey,
  parseLogs,
} from '../formats/log-keys.ts';
import { readBounded, writeDurable } from '../host/durable-file.ts';
import { LINEAGE_FILES, readLineage } from '../host/log-lineage.ts';

const FILE_MAX_BYTES = 1_048_576;

/**
 * The ledger's keys as this gateway believes them: those of the trust directory when it was started, and since then the ones
 * that they vouch for. The daemon writes a rotated key there; it counts because the key before it signed that, not because
 * it stands there. A file of the gateway's own remembers how far the keys had come, so that a trust directory that was put
 * back does not bring an old key back into use.
 */
export class KnownKeys {
  readonly #trust: string;
  readonly #path: string;
  /** Of the keys that it was started with. */
  readonly #started: string;
  #logs: readonly LogLineage[];
  #stamp: string;

  private constructor(trust: string, path: string, logs: readonly LogLineage[]) {
    this.#trust = trust;
    this.#path = path;
    this.#logs = logs;
    this.#started = sha256Hex(canonicalText(logs as unknown as Json));
    this.#stamp = stampOf(trust);
    this.#remember();
  }

  /** Reads the trust directory and holds it against what is remembered at `path`. Throws BoundaryError `trust.*`. */
  static open(trust: string, path: string): KnownKeys {
    const logs = readLineage(trust);
    const seen = existsSync(path) ? remembered(path) : null;
    if (seen !== null) assertNotBefore(logs, seen, path);
    return new KnownKeys(trust, path, logs);
  }

  /** Name of the log in use. */
  get origin(): string {
    return currentLog(this.#logs).origin;
  }

  /** The keys of that log, each with its sizes, as they stand now: a changed file is looked at, and followed if it may be. */
  get keys(): readonly LogKey[] {
    const stamp = stampOf(this.#trust);
    if (stamp !== this.#stamp) {
      this.#stamp = stamp;
      this.#follow();
    }
    return currentLog(this.#logs).keys;
  }

  /**
   * What the integrity watch compares: the digest of the keys that this gateway was started with, as long as the files say
   * what it believes, or what it may follow; that of what they say when it is something else.
   */
  digest(): string | null {
    const { keys } = this;
    const lies = attempt(() => readLineage(this.#trust));
    if (lies === null) return null;
    const vkey = attempt(() => Buffer.from(readBounded(join(this.#trust, 'ledger.vkey'), FILE_MAX_BYTES)));
    // An older one of the keys is what a crash between the two files leaves.
    const isOurs = keys.some((key) => key.vkey === vkey?.toString('utf8').trim());
    if (isOurs && isSame(lies, this.#logs)) return this.#started;
    return sha256Hex(`${canonicalText(lies as unknown as Json)}\n${vkey?.toString('base64') ?? ''}`);
  }

  #follow(): void {
    const lies = attempt(() => readLineage(this.#trust));
    const statements = lies === null ? [] : currentLog(lies).keys.flatMap(({ rotation }) => rotation ?? []);
    const followed = followInLogs(this.#logs, statements);
    if (isSame(followed, this.#logs)) return;
    this.#logs = followed;
    this.#remember();
  }

  /** On disk before anything is done by it. */
  #remember(): void {
    if (
      existsSync(this.#path) &&
      isSame(
        attempt(() => remembered(this.#path)),
        this.#logs,
      )
    )
      return;
    writeDurable(this.#path, canonicalBytes({ v: 1, logs: this.#logs } as unknown as Json), 0o600);
  }
}

/** The log that was known, with every key that it had, or a log that goes on for it. */
function assertNotBefore(logs: readonly LogLineage[], seen: readonly LogLineage[], path: string): void {
  const before = currentLog(seen);
  const now = logOf(logs, before.origin);
  const { vkey } = newestKey(before);
  if (now?.keys.some((key) => key.vkey === vkey) === true) return;
  throw new BoundaryError(
    'trust.keys_rolled_back',
    `The trust directory does not name the ledger key ${vkey.slice(0, vkey.lastIndexOf('+'))}, which this gateway has seen in use: it is an old one, or of another site. The gateway was not started. Put the newer logs.json and ledger.vkey back. If this site was given a new beginning, remove ${path} first.`,
    { at: 'trust/logs.json' },
  );
}

function remembered(path: string): LogLineage[] {
  try {
    const value = JSON.parse(Buffer.from(readBounded(path, FILE_MAX_BYTES)).toString('utf8')) as {
      logs?: Json;
    } | null;
    return parseLogs(value?.logs);
  } catch (cause) {
    throw new BoundaryError(
      'trust.keys_damaged',
      `${path} does not say which ledger keys this gateway has seen. The gateway was not started. Compare trust/ledger.vkey with a trust file of this site that you believe, then remove the file.`,
      { at: path, cause },
    );
  }
}

function stampOf(trust: string): string {
  return LINEAGE_FILES.map((name) => {
    const stat = statSync(join(trust, name), { throwIfNoEntry: false, bigint: true });
    return stat === undefined ? '-' : `${stat.ino} ${stat.size} ${stat.mtimeNs}`;
  }).join('/');
}

function isSame(a: readonly LogLineage[] | null, b: readonly LogLineage[]): boolean {
  return a !== null && canonicalText(a as unknown as Json) === canonicalText(b as unknown as Json);
}

function attempt<T>(read: () => T): T | null {
  try {
    return read();
  } catch {
    // What cannot be read says nothing; the integrity watch reports that it changed.
    return null;
  }
}
