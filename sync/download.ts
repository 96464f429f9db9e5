import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { dirname } from 'node:path';
import { BoundaryError } from '../daemon/formats/boundary-error.ts';
import type { SyncLimits } from '../daemon/host/config/sync.ts';
import { readBounded, syncDir, writeDurable } from '../daemon/host/durable-file.ts';
import { type Link, linkFailure } from './link.ts';

const { O_APPEND, O_CREAT, O_NOFOLLOW, O_NONBLOCK, O_WRONLY } = constants;
/** Only a strong validator says that two answers are parts of the same bytes (RFC 9110 §13.1.5). */
const STRONG_ETAG = /^"[\x21\x23-\x7e]{1,200}"$/;

/** What is left of one round's limits. */
export class Budget {
  readonly #limits: SyncLimits;
  /** Ends with the round. */
  readonly signal: AbortSignal;
  #bytes: number;
  #files: number;

  constructor(limits: SyncLimits, stop: AbortSignal) {
    this.#limits = limits;
    this.signal = AbortSignal.any([stop, AbortSignal.timeout(limits.total_seconds * 1_000)]);
    this.#bytes = limits.total_bytes;
    this.#files = limits.files;
  }

  get fileBytes(): number {
    return this.#limits.file_bytes;
  }

  /** For one more file. Throws BoundaryError `sync.too_many_files`. */
  nextFile(): AbortSignal {
    this.#files -= 1;
    if (this.#files < 0) throw exceeded('sync.too_many_files', `${this.#limits.files} files`);
    return AbortSignal.any([this.signal, AbortSignal.timeout(this.#limits.file_seconds * 1_000)]);
  }

  /** Throws BoundaryError `sync.too_much`. */
  take(bytes: number): void {
    this.#bytes -= bytes;
    if (this.#bytes < 0) throw exceeded('sync.too_much', `${this.#limits.total_bytes} bytes`);
  }
}

export interface Download {
  link: Link;
  url: string;
  /** Where the finished file goes; its directory exists. */
  path: string;
  /** Most bytes that it may have. */
  max: number;
  budget: Budget;
}

/**
 * Downloads one file and resolves with true once it is whole and durable under `path`; false when the server has none
 * (404). What came of an interrupted download lies in `path.part` and is continued (RFC 9110 §14) when the server names
 * the same strong ETag as then; else it starts over. Throws BoundaryError `sync.*`.
 */
export async function download({ link, url, path, max, budget }: Download): Promise<boolean> {
  const signal = budget.nextFile();
  const limit = Math.min(max, budget.fileBytes);
  const part = new Part(path, limit);
  try {
    const from = part.resumable();
    const headers = from === null ? {} : { range: `bytes=${from.size}-`, 'if-range': from.etag };
    const answer = await link.ask({ method: 'GET', url, headers, signal });
    const status = answer.statusCode ?? 0;
    if (status === 404) {
      answer.destroy();
      part.discard();
      return false;
    }
    const kept = status === 206 && from !== null && continues(answer, from.size) ? from.size : 0;
    if (status !== 200 && kept === 0) {
      answer.destroy();
      part.discard();
      throw unexpected(url, status);
    }
    part.start(kept, answer.headers.etag);
    budget.take(kept);
    await receive(answer, { url, part, limit, budget, signal });
    part.finish();
    return true;
  } finally {
    part.close();
  }
}

async function receive(
  answer: IncomingMessage,
  {
    url,
    part,
    limit,
    budget,
    signal,
  }: { url: string; part: Part; limit: number; budget: Budget; signal: AbortSignal },
): Promise<void> {
  const announced = Number(answer.headers['content-length'] ?? 0);
  try {
    if (part.size + announced > limit) throw tooLarge(url, limit);
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      budget.take(chunk.length);
      if (part.size + chunk.length > limit) throw tooLarge(url, limit);
      part.write(chunk);
    }
  } catch (error) {
    answer.destroy();
    const failure = linkFailure(error, url, signal);
    // A file that is too large will not become smaller by going on.
    if (failure.code === 'sync.file_too_large') part.discard();
    throw failure;
  }
}

/** Whether a partial answer starts where we stopped. */
function continues(answer: IncomingMessage, from: number): boolean {
  const start = /^bytes (\d+)-\d+\/(?:\d+|\*)$/.exec(answer.headers['content-range'] ?? '')?.[1];
  return start !== undefined && Number(start) === from;
}

/** The unfinished file and, beside it, the ETag that it was begun under. */
class Part {
  readonly #path: string;
  readonly #max: number;
  #fd: number | null = null;
  size = 0;

  constructor(path: string, max: number) {
    this.#path = path;
    this.#max = max;
  }

  /** What there is to go on from; null to begin at the beginning. */
  resumable(): { size: number; etag: string } | null {
    try {
      const etag = Buffer.from(readBounded(`${this.#path}.etag`, 202)).toString('latin1');
      const { length } = readBounded(`${this.#path}.part`, this.#max);
      return length > 0 && STRONG_ETAG.test(etag) ? { size: length, etag } : null;
    } catch (error) {
      if (!(error instanceof BoundaryError)) throw error;
      this.discard();
      return null;
    }
  }

  /** Keeps the first `size` bytes and appends from there on. */
  start(size: number, etag: string | undefined): void {
    if (size === 0) this.discard();
    this.#fd = openSync(`${this.#path}.part`, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK, 0o600);
    if (!fstatSync(this.#fd).isFile()) throw new Error(`sync: ${this.#path}.part is not a file`);
    ftruncateSync(this.#fd, size);
    this.size = size;
    if (size === 0 && etag !== undefined && STRONG_ETAG.test(etag))
      writeDurable(`${this.#path}.etag`, Buffer.from(etag, 'latin1'), 0o600);
  }

  write(chunk: Uint8Array): void {
    if (this.#fd === null) throw new Error('sync: written before it was started');
    for (let done = 0; done < chunk.length; ) done += writeSync(this.#fd, chunk, done);
    this.size += chunk.length;
  }

  /** Whole: readable for the daemon, on the disk, under its name. */
  finish(): void {
    if (this.#fd === null) throw new Error('sync: finished before it was started');
    fchmodSync(this.#fd, 0o644);
    fsyncSync(this.#fd);
    renameSync(`${this.#path}.part`, this.#path);
    rmSync(`${this.#path}.etag`, { force: true });
    syncDir(dirname(this.#path));
  }

  discard(): void {
    for (const ending of ['part', 'etag'])
      rmSync(`${this.#path}.${ending}`, { force: true, recursive: true });
  }

  close(): void {
    if (this.#fd !== null) closeSync(this.#fd);
    this.#fd = null;
  }
}

/** A status that is neither the file nor its absence. */
export function unexpected(url: string, status: number): BoundaryError {
  const hint =
    status === 400 || status === 401 || status === 403
      ? " Probably this site's certificate is not known there."
      : '';
  return new BoundaryError('sync.http_status', `${url} answers with status ${status}.${hint}`, { at: url });
}

function tooLarge(url: string, limit: number): BoundaryError {
  return new BoundaryError(
    'sync.file_too_large',
    `${url} is larger than the ${limit} bytes that are taken for it; it was dropped. If that is right, raise sync.limits.`,
    { at: url },
  );
}

function exceeded(code: string, what: string): BoundaryError {
  return new BoundaryError(
    code,
    `The other side wants more than ${what} to be taken in one round; the round ended. If that is right, raise sync.limits.`,
  );
}
