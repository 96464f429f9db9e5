import { BoundaryError } from './boundary-error.ts';
import { isHexDigest } from './digest.ts';
import type { Json, JsonObject } from './json.ts';
import { parseVkey, TYPE_ED25519, type Vkey, type VkeyLike } from './signed-note.ts';

/** A log that has more keys or successors than this is a flood. */
const MAX_KEYS = 256;
const MAX_LOGS = 64;
const MAX_ROTATION_LENGTH = 4_096;

/** A key of a log, and the checkpoints that it may sign: those of sizes `from < size <= until`; null while it is in use. */
export interface LogKey {
  vkey: string;
  from: number;
  until: number | null;
  /** The statement by which the key before it vouches for it (formats/key-rotation.ts); absent for a log's first key. */
  rotation?: string;
}

/** A parsed key with its sizes. */
export type RangedVkey = Vkey & Pick<LogKey, 'from' | 'until'>;

/** Where a log's key is wanted: with the sizes that it may sign, or without, when it may sign them all. */
export type LogVkey = VkeyLike | LogKey;

/** Who may sign for one log. */
export interface LogLineage {
  origin: string;
  /** Oldest first, the last one in use unless the log was closed. */
  keys: LogKey[];
  /** Of a log that goes on for another after a restore: the head of that one, at which it was closed. `root` is hex. */
  succeeds?: { origin: string; size: number; root: string };
}

/** Whether the key may sign a checkpoint of this size. */
export function mayKeySign({ from, until }: Pick<LogKey, 'from' | 'until'>, size: number): boolean {
  return size > from && (until === null || size <= until);
}

/** The key parsed, keeping its sizes if it has any. Throws the errors of `parseVkey`. */
export function parseLogVkey(like: LogVkey): Vkey | RangedVkey {
  if (typeof like === 'string') return parseVkey(like);
  return 'vkey' in like ? { ...parseVkey(like.vkey), from: like.from, until: like.until } : like;
}

/** Whether the key may sign a checkpoint of this size; one without sizes may. */
export function isKeyForSize(key: Vkey | RangedVkey, size: number): boolean {
  return !('from' in key) || mayKeySign(key, size);
}

/** Whether the key signed its last before the log had this size. */
export function isRetiredAt(key: Vkey | RangedVkey, size: number): boolean {
  return 'until' in key && key.until !== null && size > key.until;
}

/** A log with one key, which signs everything. */
export function firstLineage(origin: string, vkey: string): LogLineage {
  return { origin, keys: [{ vkey, from: 0, until: null }] };
}

/** The log that goes on: the newest of a site. Logs as `parseLogs` gives them. */
export function currentLog(logs: readonly LogLineage[]): LogLineage {
  const newest = logs.at(-1);
  if (newest === undefined) throw new RangeError('a site has at least one log');
  return newest;
}

/** The log of this name; null when it is none of these. */
export function logOf(logs: readonly LogLineage[], origin: string): LogLineage | null {
  return logs.find((log) => log.origin === origin) ?? null;
}

/** The newest key of a log: the one in use, unless the log was closed. */
export function newestKey({ keys }: { keys: readonly LogKey[] }): LogKey {
  const newest = keys.at(-1);
  if (newest === undefined) throw new RangeError('a log has at least one key');
  return newest;
}

/** Every key of every log, each with its sizes: whom a verifier of single checkpoints and proofs believes. */
export function keysOfLogs(logs: readonly LogLineage[]): LogKey[] {
  return logs.flatMap(({ keys }) => keys);
}

/**
 * The log with its key changed: the new one signs the checkpoint of `size` and all after it. The old one signs that
 * checkpoint, too, for those who know nothing of the new one yet; it is not needed by those who do, nor enough for them.
 */
export function rotated(log: LogLineage, next: { vkey: string; size: number; rotation: string }): LogLineage {
  const { vkey, size, rotation } = next;
  const before = log.keys.slice(0, -1);
  const last: LogKey = { ...newestKey(log), until: size - 1 };
  return { ...log, keys: [...before, last, { vkey, from: size - 1, until: null, rotation }] };
}

/** How many entries a log is known to have had, by its keys: one that came into use signed the checkpoint above `from`. */
export function reachedBy(keys: readonly Pick<LogKey, 'from' | 'until'>[]): number {
  return Math.max(0, ...keys.flatMap(({ from, until }) => [from > 0 ? from + 1 : 0, until ?? 0]));
}

/**
 * The site's logs after the newest was closed at a head and another goes on for it, under a new name and key. What the old
 * log's keys sign above that head counts no more.
 */
export function succeeded(
  logs: readonly LogLineage[],
  next: { origin: string; vkey: string; size: number; root: string },
): LogLineage[] {
  const { origin, vkey, size, root } = next;
  const old = currentLog(logs);
  const kept = old.keys.filter((key, index) => index === 0 || key.from < size);
  const keys = kept.map((key, index) => (index === kept.length - 1 ? { ...key, until: size } : key));
  const succeeds = { origin: old.origin, size, root };
  return [...logs.slice(0, -1), { ...old, keys }, { ...firstLineage(origin, vkey), succeeds }];
}

/**
 * Reads a site's logs, oldest first: keys without gaps, each log but the first the successor of the one before. Throws
 * `BoundaryError` `logs.malformed` with `at`, and those of `parseVkey`.
 */
export function parseLogs(value: Json | undefined): LogLineage[] {
  check(Array.isArray(value) && value.length >= 1 && value.length <= MAX_LOGS, '', 'must be a list of logs');
  const logs = (value as Json[]).map((log, index) => parseLog(log, `/${index}`));
  for (const [index, log] of logs.entries()) {
    const at = `/${index}`;
    const before = logs[index - 1];
    const closed = newestKey(log).until;
    check((closed === null) === (index === logs.length - 1), at, 'must be closed exactly if another follows');
    check(log.succeeds?.origin === before?.origin, `${at}/succeeds`, 'must name the log before');
    if (before === undefined || log.succeeds === undefined) continue;
    check(
      log.succeeds.size === newestKey(before).until,
      `${at}/succeeds/size`,
      'must be where that one ends',
    );
    check(logs.findIndex(({ origin }) => origin === log.origin) === index, at, 'must have its own origin');
  }
  return logs;
}

function parseLog(value: Json, at: string): LogLineage {
  check(isObject(value), at, 'must be an object');
  const { origin, keys, succeeds, ...rest } = value as JsonObject;
  check(Object.keys(rest).length === 0, at, 'must have origin, keys and perhaps succeeds, nothing else');
  check(typeof origin === 'string' && origin !== '', `${at}/origin`, 'must be a name');
  check(Array.isArray(keys) && keys.length >= 1 && keys.length <= MAX_KEYS, `${at}/keys`, 'must be a list');
  const read = (keys as Json[]).map((key, index) => parseKey(key, origin as string, `${at}/keys/${index}`));
  for (const [index, key] of read.entries()) {
    const before = read[index - 1];
    const from = before === undefined ? 0 : before.until;
    check(key.from === from, `${at}/keys/${index}/from`, 'must follow on the key before');
  }
  const log: LogLineage = { origin: origin as string, keys: read };
  return succeeds === undefined ? log : { ...log, succeeds: parseHead(succeeds, `${at}/succeeds`) };
}

function parseKey(value: Json, origin: string, at: string): LogKey {
  check(isObject(value), at, 'must be an object');
  const { vkey, from, until, rotation, ...rest } = value as JsonObject;
  check(Object.keys(rest).length === 0, at, 'must have vkey, from, until and perhaps rotation, nothing else');
  check(typeof vkey === 'string', `${at}/vkey`, 'must be a text');
  const { name, type } = parseVkey(vkey as string);
  check(name === origin && type === TYPE_ED25519, `${at}/vkey`, 'must be a key of the log');
  check(isSize(from), `${at}/from`, 'must be a size');
  check(
    until === null || (isSize(until) && until > (from as number)),
    `${at}/until`,
    'must be null or larger',
  );
  check(
    rotation === undefined || (typeof rotation === 'string' && rotation.length <= MAX_ROTATION_LENGTH),
    `${at}/rotation`,
    'must be a signed note',
  );
  const key = { vkey: vkey as string, from: from as number, until: until as number | null };
  return rotation === undefined ? key : { ...key, rotation: rotation as string };
}

function parseHead(value: Json, at: string): NonNullable<LogLineage['succeeds']> {
  check(isObject(value) && Object.keys(value).sort().join() === 'origin,root,size', at, 'must be a head');
  const { origin, size, root } = value as JsonObject;
  check(
    typeof origin === 'string' && isSize(size) && isHexDigest(root),
    at,
    'must have origin, size and root',
  );
  return { origin: origin as string, size: size as number, root: root as string };
}

function isSize(value: Json | undefined): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isObject(value: Json): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function check(holds: boolean, at: string, what: string): void {
  if (!holds)
    throw new BoundaryError('logs.malformed', `The list of logs${at === '' ? '' : `, at ${at},`} ${what}.`, {
      at,
    });
}
