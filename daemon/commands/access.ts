import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import { ApiClient } from '../api/client.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import type { JsonObject } from '../formats/json.ts';
import { parseStrict } from '../formats/strict-json.ts';
import { findSiteDir, loadConfig, type SiteConfig } from '../host/config.ts';
import { readBounded } from '../host/durable-file.ts';
import { type SitePaths, sitePaths } from '../host/site.ts';

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
  return new ApiClient({ socketPath: path(chosen) });
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
    throw new BoundaryError('target.malformed', 'Write the target as TYPE:ID, such as service:relay-2.', {
      at: '--target',
    });
  }
  return { type: match[1], id: match[2] };
}

const PAYLOAD_MAX_BYTES = 65_536;

/** `--payload`: a JSON object, or `@FILE` with one in it. Strict: duplicate keys and the like are errors. */
export function parsePayload(option: string | undefined): JsonObject {
  if (option === undefined) return {};
  const text = option.startsWith('@') ? readText(option.slice(1), PAYLOAD_MAX_BYTES) : option;
  const value = parseStrict(text, { maxBytes: PAYLOAD_MAX_BYTES, maxDepth: 16 });
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    throw new BoundaryError(
      'payload.not_object',
      'The payload is a JSON object, such as {"grace_seconds":5}.',
      {
        at: '--payload',
      },
    );
  }
  return value;
}

/** `--limit`: 1 to 100,000. */
export function parseLimit(text: string): number {
  const limit = /^[1-9]\d{0,5}$/.test(text) ? Number(text) : 0;
  if (limit < 1 || limit > 100_000) {
    throw new BoundaryError('limit.malformed', 'Write --limit as a whole number from 1 to 100000.', {
      at: '--limit',
    });
  }
  return limit;
}

/** A text file of at most `max` bytes; `-` is stdin. UTF-8, strictly. */
export function readText(path: string, max: number): string {
  const bytes = readBounded(path === '-' ? '/dev/stdin' : path, max);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new BoundaryError('file.not_utf8', 'The file is not UTF-8 text.', { at: path, cause });
  }
}
