import { join } from 'node:path';
import { BoundaryError } from '../formats/boundary-error.ts';
import { isHexDigest } from '../formats/digest.ts';
import type { Json, JsonObject } from '../formats/json.ts';
import { appendDurable, makeDir, writeDurable } from '../host/durable-file.ts';
import type { Member } from './contents.ts';
import { LedgerBuilder } from './ledger-builder.ts';
import { MANIFEST, type Manifest, malformedBackup, parseManifest } from './manifest.ts';

/** Where the files of a backup are put. */
export interface UnpackTo {
  /** The site directory that is built. */
  root: string;
  /** The database that is built. */
  ledger: string;
  /** Names of secret files, which get mode 0600. */
  isSecret(path: string): boolean;
  /** The place of a file of the site, by its path in it. */
  placeOf(path: string): string;
  onProgress?: (bytes: number) => void;
}

/** What came out of a backup beside files. */
export interface Unpacked {
  manifest: Manifest;
  /** The signed head that it says it goes up to. */
  checkpoint: string;
  /** Time floor of the head store, in ms. */
  floorMs: number;
}

/** The parts of a site that a backup can hold files of. */
const PLACES = /^(holdfast\.json|trust\/|state\/(policy|tls|keys|archive|former)\/|outbox\/)/;

/**
 * Puts every member of a backup in its place. Nothing is verified yet but that it is a backup, and complete: the caller
 * has to, before anything of it counts. Throws `BoundaryError` `backup.malformed` and what `readBackup` throws.
 */
export async function unpack(members: AsyncGenerator<Member>, to: UnpackTo): Promise<Unpacked> {
  const first = await members.next();
  if (first.done === true || first.value.name !== MANIFEST)
    throw malformedBackup('it does not begin with its description');
  const manifest = parseManifest(first.value.bytes);
  const builder = new LedgerBuilder(to.ledger);
  let checkpoint: string | null = null;
  let floorMs: number | null = null;
  let total = 0;
  try {
    for await (const member of members) {
      total += member.bytes.length;
      to.onProgress?.(total);
      if (putFile(member, to)) continue;
      if (member.name === 'checkpoint') checkpoint = Buffer.from(member.bytes).toString('utf8');
      else if (member.name === 'head.json') floorMs = floorOf(member.bytes);
      else if (!builder.take(member))
        throw malformedBackup(`it holds ${member.name}, which does not belong into one`);
    }
    if (checkpoint === null || floorMs === null) throw malformedBackup('it has no checkpoint, or no head');
    builder.finish();
  } catch (error) {
    builder.close();
    throw error;
  }
  return { manifest, checkpoint, floorMs };
}

/** Takes a file of the site, or the next part of one; false for anything else. */
function putFile({ name, bytes }: Member, to: UnpackTo): boolean {
  const [, part, path] = /^(?:site|parts\/([0-9]{6}))\/(.+)$/.exec(name) ?? [];
  if (path === undefined) return false;
  if (!PLACES.test(path)) throw malformedBackup(`it holds the file ${path}, which does not belong into one`);
  const place = placeFor(to, path);
  const mode = to.isSecret(path) ? 0o600 : 0o644;
  if (part === undefined) writeDurable(place, bytes, mode);
  else appendDurable(place, bytes, mode);
  return true;
}

/** Where a file goes; its directories are made. */
function placeFor({ root, placeOf }: UnpackTo, path: string): string {
  const place = placeOf(path);
  const directories = place.split('/').slice(0, -1);
  const mode = directories[0] === 'outbox' ? 0o770 : directories[0] === 'trust' ? 0o755 : 0o700;
  directories.reduce((above, name) => {
    makeDir(join(above, name), mode);
    return join(above, name);
  }, root);
  return join(root, place);
}

function floorOf(bytes: Uint8Array): number {
  let value: Json;
  try {
    value = JSON.parse(Buffer.from(bytes).toString('utf8')) as Json;
  } catch (cause) {
    throw malformedBackup('its head cannot be read', cause);
  }
  const { floorMs, root } = (value ?? {}) as JsonObject;
  if (Number.isSafeInteger(floorMs) && (floorMs as number) >= 0 && isHexDigest(root))
    return floorMs as number;
  throw malformedBackup('its head cannot be read');
}

/** Whether an error is about the backup itself, rather than about this machine. */
export function isBackupDefect(error: unknown): boolean {
  return error instanceof BoundaryError && /^(backup\.malformed|age\.|tile\.)/.test(error.code);
}
