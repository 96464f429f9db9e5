import { lstatSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import type { Fetcher } from 'tuf-js';
import { DownloadHTTPError } from 'tuf-js/dist/error.js';
import { BoundaryError } from '../formats/boundary-error.ts';
import { readBounded } from '../host/durable-file.ts';
import { assertReadable } from './update-size.ts';

/** Where the files of a TUF repository come from: a directory (medium, mirror, store) or memory. */
export interface UpdateSource {
  /** Bytes of `metadata/…` or `targets/…`, null when there is no such file. Throws BoundaryError when it may not be read. */
  read(name: string, max: number): Uint8Array | null;
}

/** Every component starts with a letter or digit: no dots, no absolute paths, nothing that climbs. */
const FILE_NAME = /^(metadata|targets)(\/[A-Za-z0-9][A-Za-z0-9._-]*)+$/;

/**
 * A directory that others may write: only the files that the verifier asks for by name are opened, each once, regular
 * files only, no links on the way. Whatever else lies there is never touched.
 */
export function directorySource(dir: string): UpdateSource {
  const base = realDirectory(dir);
  return {
    read(name, max) {
      const path = join(base, name);
      try {
        assertNoLinks(base, name);
        return readBounded(path, max);
      } catch (error) {
        if (error instanceof BoundaryError && error.code === 'file.missing') return null;
        if (error instanceof BoundaryError)
          throw new BoundaryError(
            `update.${error.code.replace('.', '_')}`,
            `The update was not accepted: ${error.message}`,
            { at: name, cause: error },
          );
        throw error;
      }
    },
  };
}

/** Files that are already in memory, by the same names. */
export function filesSource(files: ReadonlyMap<string, Uint8Array>): UpdateSource {
  return {
    read(name, max) {
      const bytes = files.get(name) ?? null;
      if (bytes !== null && bytes.length > max)
        throw new BoundaryError(
          'update.file_too_large',
          `The update was not accepted: ${name} is larger than ${max} bytes.`,
          { at: name },
        );
      return bytes;
    },
  };
}

/**
 * Gives tuf-js its metadata without any network. Remembers the roots that it handed out and the first thing that went
 * wrong, because tuf-js turns the errors of some steps into text.
 */
export class LocalFetcher implements Fetcher {
  static readonly metadataUrl = 'file:///metadata/';
  readonly roots = new Map<number, Uint8Array>();
  failure: BoundaryError | null = null;
  readonly #sources: readonly UpdateSource[];

  /** Earlier sources win; a root that was accepted before stays accepted, even if the medium leaves it out. */
  constructor(repository: UpdateSource, accepted: UpdateSource | null) {
    this.#sources = accepted === null ? [repository] : [accepted, repository];
  }

  async downloadBytes(url: string, max: number): Promise<Buffer> {
    const name = new URL(url).pathname.slice(1);
    try {
      const root = /^metadata\/([1-9][0-9]*)\.root\.json$/.exec(name)?.[1];
      const sources = root === undefined ? this.#sources.slice(-1) : this.#sources;
      const bytes = this.#first(sources, name, max);
      if (bytes !== null && root !== undefined) this.roots.set(Number(root), bytes);
      // TUF §5.3.3: no next root means that the newest is reached; any other file must be there.
      if (bytes === null && root !== undefined) throw new DownloadHTTPError(`${name} is not there`, 404);
      if (bytes === null)
        throw new BoundaryError(
          'update.missing_file',
          `The update was not accepted: ${name} is missing. Copy the whole repository and import it again.`,
          { at: name },
        );
      assertReadable(name, bytes);
      return Buffer.from(bytes);
    } catch (error) {
      if (error instanceof BoundaryError) this.failure ??= error;
      throw error;
    }
  }

  /** Targets are read by the verifier itself, never through tuf-js. */
  downloadFile<T>(url: string): Promise<T> {
    return Promise.reject(new Error(`update: unexpected download of ${url}`));
  }

  #first(sources: readonly UpdateSource[], name: string, max: number): Uint8Array | null {
    if (!FILE_NAME.test(name))
      throw new BoundaryError(
        'update.bad_name',
        'The update was not accepted: its metadata names a file that no repository of ours holds.',
        { at: name.slice(0, 200) },
      );
    for (const source of sources) {
      const bytes = source.read(name, max);
      if (bytes !== null) return bytes;
    }
    return null;
  }
}

function realDirectory(dir: string): string {
  try {
    const base = realpathSync(dir);
    if (lstatSync(base).isDirectory()) return base;
  } catch {
    // Same answer as for a file: there is no repository.
  }
  throw new BoundaryError(
    'update.not_a_repository',
    `${dir} is not a directory that can be read; nothing was imported. Name the directory that holds metadata/ and targets/.`,
    { at: dir },
  );
}

/** The directories between the repository and the file must be real ones: a link could lead out of the medium. */
function assertNoLinks(base: string, name: string): void {
  const parts = name.split('/').slice(0, -1);
  for (let depth = 1; depth <= parts.length; depth++) {
    const path = join(base, ...parts.slice(0, depth));
    const stat = lstatSync(path, { throwIfNoEntry: false });
    if (stat === undefined) throw new BoundaryError('file.missing', `${path} does not exist.`, { at: path });
    if (!stat.isDirectory())
      throw new BoundaryError('file.not_directory', `${path} is not a directory (links are not followed).`, {
        at: path,
      });
  }
}
