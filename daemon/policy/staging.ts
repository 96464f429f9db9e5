import { type Dirent, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { type FileHandle, mkdir, open } from 'node:fs/promises';
import { join } from 'node:path';
import { BoundaryError } from '../formats/boundary-error.ts';
import { siteTargetName } from '../formats/site-target.ts';
import { errorCode, makeDir } from '../host/durable-file.ts';
import {
  closeQuietly,
  fromMedium,
  type Medium,
  mediumFailed,
  notRegular,
  openDirectory,
  openFile,
  realMedium,
  refuseMedium,
} from './medium.ts';

/** What one medium may make a site copy, look at and wait for. */
export interface StagingLimits {
  fileBytes: number;
  totalBytes: number;
  /** Files copied. */
  files: number;
  /** Names looked at, those of other sites included. */
  names: number;
  depth: number;
  ms: number;
}

const STAGING_LIMITS: StagingLimits = {
  fileBytes: 4_000_000,
  totalBytes: 256_000_000,
  files: 10_000,
  names: 50_000,
  depth: 6,
  ms: 300_000,
};

export interface StagingOptions {
  /** The repository: its `metadata/` and `targets/` are copied, nothing else is looked at. */
  path: string;
  /** A directory that nobody else may write to; the copy is made in it. */
  area: string;
  site: string;
  medium?: Medium;
  limits?: Partial<StagingLimits>;
}

const STAGING = '.staging';
/** Starts with a letter or digit; no separators, no control characters, nothing that another file system folds away. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$/;
const CHUNK = 262_144;

/** Removes what an import that did not end in order left behind. */
export function clearStaging(area: string): void {
  rmSync(join(area, STAGING), { recursive: true, force: true });
}

/**
 * Copies a repository from a medium into a private directory, so that nothing is judged that somebody can still
 * change or pull, and returns that directory; the caller removes it with `clearStaging`. Throws BoundaryError
 * `update.*` on the first thing that no repository of ours holds, on any limit, and when the medium fails; then nothing
 * is left.
 */
export async function stageRepository(options: StagingOptions): Promise<string> {
  clearStaging(options.area);
  const staging = makeStaging(options.area);
  const copy = new Copy(staging, options);
  try {
    await copy.run();
    return staging;
  } catch (error) {
    clearStaging(options.area);
    throw error;
  }
}

function makeStaging(area: string): string {
  try {
    makeDir(join(area, STAGING), 0o700);
    return mkdtempSync(join(area, STAGING, 'import-'));
  } catch (error) {
    throw stagingFailed(error);
  }
}

/** One copying; its counters run over both trees. */
class Copy {
  readonly #staging: string;
  readonly #base: string;
  readonly #medium: Medium;
  readonly #limits: StagingLimits;
  readonly #ownTarget: string;
  #files = 0;
  #names = 0;
  #bytes = 0;
  #overdue: BoundaryError | null = null;

  constructor(staging: string, { path, site, medium, limits }: StagingOptions) {
    this.#staging = staging;
    try {
      this.#base = realpathSync(path);
    } catch (error) {
      throw mediumFailed(error, path);
    }
    this.#medium = medium ?? realMedium;
    this.#limits = { ...STAGING_LIMITS, ...limits };
    this.#ownTarget = `.${siteTargetName(site).split('/').at(-1)}`;
  }

  /** A device that hangs cannot be told to stop: it is no longer waited for. */
  async run(): Promise<void> {
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      const seconds = Math.round(this.#limits.ms / 1_000);
      this.#overdue = refuseMedium(
        'medium_too_slow',
        `the medium was not read within ${seconds} seconds. Use another medium`,
        this.#base,
      );
      late.reject(this.#overdue);
    }, this.#limits.ms);
    try {
      await Promise.race([this.#trees(), late.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  async #trees(): Promise<void> {
    for (const name of ['metadata', 'targets']) {
      const directory = await openDirectory(this.#medium, join(this.#base, name), name);
      if (directory !== null) await this.#tree(directory, name, 1);
    }
  }

  /** Below an open directory names are resolved from its descriptor: no swapped link can lead elsewhere meanwhile. */
  async #tree(directory: FileHandle, at: string, depth: number): Promise<void> {
    try {
      if (depth > this.#limits.depth) throw refuseMedium('too_deep', `${at} lies too deep`, at);
      await stagingStep(mkdir(join(this.#staging, at), { mode: 0o700 }));
      const here = `/proc/self/fd/${directory.fd}`;
      for (const entry of await this.#namesIn(here, at))
        await this.#entry(entry, `${here}/${entry.name}`, `${at}/${entry.name}`, depth);
    } finally {
      await closeQuietly(directory);
    }
  }

  async #namesIn(path: string, at: string): Promise<Dirent[]> {
    const found = new Map<string, Dirent>();
    try {
      for await (const entry of this.#medium.list(path)) {
        this.#names += 1;
        this.#assertCount(this.#names, this.#limits.names, at);
        // Desktop systems leave such files on every stick; no repository of ours has any.
        if (/^\.[^.]/.test(entry.name) && !entry.name.includes('/')) continue;
        if (!NAME.test(entry.name)) throw badName(at);
        const folded = entry.name.toLowerCase();
        if (found.has(folded))
          throw refuseMedium(
            'case_conflict',
            `${at} holds two names that differ in case only: ${entry.name}`,
            at,
          );
        found.set(folded, entry);
      }
    } catch (error) {
      throw mediumFailed(error, at);
    }
    return [...found.values()];
  }

  async #entry(entry: Dirent, path: string, at: string, depth: number): Promise<void> {
    if (this.#overdue !== null) throw this.#overdue;
    if (entry.isDirectory()) {
      const directory = await openDirectory(this.#medium, path, at);
      if (directory !== null) await this.#tree(directory, at, depth + 1);
      return;
    }
    if (entry.isSymbolicLink() || entry.isFIFO() || entry.isSocket() || isDevice(entry)) throw notRegular(at);
    if (at.startsWith('targets/sites/') && !at.endsWith(this.#ownTarget)) return;
    this.#files += 1;
    this.#assertCount(this.#files, this.#limits.files, at);
    const { file, size } = await openFile(this.#medium, path, at);
    try {
      if (size > this.#limits.fileBytes) throw tooLarge(at, this.#limits.fileBytes);
      await this.#copyFile(file, at);
    } finally {
      await closeQuietly(file);
    }
  }

  async #copyFile(file: FileHandle, at: string): Promise<void> {
    const target = await stagingStep(open(join(this.#staging, at), 'wx', 0o600));
    try {
      const buffer = Buffer.allocUnsafe(CHUNK);
      let length = 0;
      for (;;) {
        if (this.#overdue !== null) throw this.#overdue;
        const read = await fromMedium(this.#medium.read(file, buffer, length), at);
        if (read === 0) return;
        length += read;
        this.#bytes += read;
        // Counted as it is read: what `stat` said may be a lie.
        if (length > this.#limits.fileBytes) throw tooLarge(at, this.#limits.fileBytes);
        if (this.#bytes > this.#limits.totalBytes)
          throw refuseMedium(
            'too_large',
            `the medium holds more than ${this.#limits.totalBytes} bytes for this site`,
            at,
          );
        await stagingStep(target.writeFile(buffer.subarray(0, read)));
      }
    } finally {
      await closeQuietly(target);
    }
  }

  #assertCount(count: number, limit: number, at: string): void {
    if (count <= limit) return;
    throw refuseMedium(
      'too_many_files',
      `the medium holds more than ${limit} files for this site. Ask the publisher for a medium of this site's part`,
      at,
    );
  }
}

function isDevice(entry: Dirent): boolean {
  return entry.isBlockDevice() || entry.isCharacterDevice();
}

function tooLarge(at: string, max: number): BoundaryError {
  return refuseMedium('file_too_large', `${at} is larger than ${max} bytes`, at);
}

function badName(at: string): BoundaryError {
  return refuseMedium('bad_name', `${at} holds a file under a name that no repository of ours has`, at);
}

async function stagingStep<T>(step: Promise<T>): Promise<T> {
  try {
    return await step;
  } catch (error) {
    throw stagingFailed(error);
  }
}

function stagingFailed(error: unknown): BoundaryError {
  return new BoundaryError(
    'update.staging_failed',
    `The update was not accepted: it could not be copied into the site's state directory (${errorCode(error) ?? 'unknown error'}). Free some space there, check its owner and mode, and import again.`,
    { cause: error },
  );
}
