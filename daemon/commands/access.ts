import { accessSync, constants, readSync } from 'node:fs';
import { join } from 'node:path';
import { ApiClient, type ClientTls, clientTlsFor } from '../api/client.ts';
import { durationMs } from '../api/duration.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import type { Json, JsonObject } from '../formats/json.ts';
import { parseStrict } from '../formats/strict-json.ts';
import { findSiteDir, loadConfig, type SiteConfig } from '../host/config.ts';
import { readBounded } from '../host/durable-file.ts';
import { type SitePaths, sitePaths } from '../host/site.ts';
import { commandIdentity } from './command-identity.ts';

/** Options that `main` gives every command. */
export interface SiteOptions {
  dir?: string;
  json?: boolean;
}

/** A site as its operators' commands see it: where it lies and how it is set up. Never the keys. */
export interface Site {
  paths: SitePaths;
  config: SiteConfig;
}

/** The site that `--dir` or the environment names. Throws BoundaryError `site.not_found` or `config.*`. */
export function openSite(options: SiteOptions): Site {
  const dir = findSiteDir(options.dir, process.env);
  return { paths: sitePaths(dir), config: loadConfig(dir) };
}

type Socket = 'request' | 'operator' | 'gateway';

/**
 * A client of the first of these sockets that the caller may use; of the first one named when none can be used, so that
 * the message speaks of it.
 */
export function connect(site: Site, first: Socket, ...others: Socket[]): ApiClient {
  const path = (socket: Socket): string => join(site.paths.run, `${socket}.sock`);
  const chosen = [first, ...others].find((socket) => isUsable(path(socket))) ?? first;
  return new ApiClient({ socketPath: path(chosen), tls: shownOn(chosen, site) });
}

/** The certificate that this command shows on a socket; null where the sockets are plain. */
function shownOn(socket: Socket, { paths, config }: Site): ClientTls | null {
  const { site, peers } = config;
  return peers.tls ? clientTlsFor(site, socket, commandIdentity(paths, peers)) : null;
}

function isUsable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/** Who the caller says they are: `--actor`, else `HOLDFAST_ACTOR`, else the site's `operator_actor`, else nobody. */
export function actorOf(option: string | undefined, site: Site): string | null {
  const named = option ?? process.env.HOLDFAST_ACTOR;
  return named === undefined || named === '' ? site.config.operator_actor : named;
}

/**
 * `actorOf` for the record alone. Where the sockets know their callers, nobody is named by default: the site's own account
 * is not the operator, and may not say that it is.
 */
export function actorForRecord(option: string | undefined, site: Site): string | null {
  const { tls, require_identity } = site.config.peers;
  const own = option ?? process.env.HOLDFAST_ACTOR;
  if (own !== undefined && own !== '') return own;
  return tls || require_identity ? null : site.config.operator_actor;
}

/** `actorOf` for commands that are pointless without one. */
export function requireActor(option: string | undefined, site: Site): string {
  const actor = actorOf(option, site);
  if (actor !== null) return actor;
  throw new BoundaryError(
    'actor.missing',
    'Nobody is named as the one who does this. Name yourself with --actor ID or HOLDFAST_ACTOR; nothing was sent.',
  );
}

const TARGET = /^([^:\s]+):(.+)$/s;

/** `TYPE:ID` of `--target`; only the first colon separates. */
export function parseTarget(text: string): { type: string; id: string } {
  const match = TARGET.exec(text);
  if (match?.[1] === undefined || match[2] === undefined) {
    throw new BoundaryError(
      'target.malformed',
      'Write --target as TYPE:ID, such as service:relay-2; nothing was asked.',
      {
        at: '--target',
      },
    );
  }
  return { type: match[1], id: match[2] };
}

const PAYLOAD_MAX_BYTES = 65_536;

/** `--payload`: a JSON object, or `@FILE` with one in it. Strict: duplicate keys and the like are errors. */
export function parsePayload(option: string | undefined): JsonObject {
  if (option === undefined) return {};
  const file = option.startsWith('@') ? option.slice(1) : null;
  const text = file === null ? option : readText(file, PAYLOAD_MAX_BYTES);
  const value = parseNamed(text, file ?? '--payload', { maxBytes: PAYLOAD_MAX_BYTES, maxDepth: 16 });
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    throw new BoundaryError(
      'payload.not_object',
      'The payload is a JSON object, such as {"grace_seconds":5}; nothing was asked.',
      { at: '--payload' },
    );
  }
  return value;
}

/** `--limit`, or the option that says how many instead: 1 to 100,000. */
export function parseLimit(text: string, option = '--limit'): number {
  const limit = /^[1-9]\d{0,5}$/.test(text) ? Number(text) : 0;
  if (limit < 1 || limit > 100_000) {
    throw new BoundaryError(
      'limit.malformed',
      `Write ${option} as a whole number from 1 to 100000; nothing was read.`,
      { at: option },
    );
  }
  return limit;
}

/** JSON text that came from a file or option called `name`: complaints say which, and that nothing was done. */
export function parseNamed(text: string, name: string, limits: { maxBytes: number; maxDepth: number }): Json {
  try {
    return parseStrict(text, limits);
  } catch (cause) {
    if (!(cause instanceof BoundaryError)) throw cause;
    throw new BoundaryError(cause.code, `${name}: ${cause.message} Nothing was done.`, { at: name, cause });
  }
}

/** `--wait`: what the socket accepts. Throws BoundaryError naming the option. */
export function parseWait(text: string): string {
  try {
    durationMs(text);
    return text;
  } catch (cause) {
    if (!(cause instanceof BoundaryError)) throw cause;
    throw new BoundaryError(
      cause.code,
      'Write --wait as a duration of at most a minute, such as 500ms, 30s or 1m; nothing was asked.',
      { at: '--wait', cause },
    );
  }
}

/** A text file of at most `max` bytes; `-` is stdin. UTF-8, strictly. */
export function readText(path: string, max: number): string {
  const bytes = path === '-' ? readStdin(max) : readBounded(path, max);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new BoundaryError('file.not_utf8', 'The file is not UTF-8 text.', { at: path, cause });
  }
}

/** Everything on stdin, be it a pipe, a file or a terminal. */
function readStdin(max: number): Uint8Array {
  const buffer = Buffer.allocUnsafe(max + 1);
  let length = 0;
  while (length < buffer.length) {
    const read = readSync(0, buffer, length, buffer.length - length, null);
    if (read === 0) return new Uint8Array(buffer.subarray(0, length));
    length += read;
  }
  throw new BoundaryError(
    'file.too_large',
    `stdin is longer than the ${max} bytes allowed; nothing was done.`,
  );
}
