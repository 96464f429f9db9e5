import { existsSync, lstatSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { BoundaryError } from '../daemon/formats/boundary-error.ts';
import { sha256Hex } from '../daemon/formats/digest.ts';
import { siteTargetName } from '../daemon/formats/site-target.ts';
import type { SyncLimits } from '../daemon/host/config/sync.ts';
import { makeDir, readBounded, syncDir, writeDurable } from '../daemon/host/durable-file.ts';
import { type Budget, download, unexpected } from './download.ts';
import type { Link } from './link.ts';
import {
  bundlesOf,
  regionOf,
  rootVersion,
  snapshotOf,
  targetFile,
  targetsOf,
  type Wanted,
} from './mirror-metadata.ts';

export interface MirrorOptions {
  link: Link;
  /** URL of the repository, with a slash at its end. */
  url: string;
  /** Where `mirror` appears once it is whole; `mirror.partial` is what is under way. */
  inbox: string;
  site: string;
  /** Bytes of the root pinned at provisioning: later ones are fetched. */
  pinnedRoot: Uint8Array;
  limits: SyncLimits;
  budget: Budget;
}

export interface Mirrored {
  path: string;
  /** SHA-256 over the names and contents of all files. */
  digest: string;
}

/** As many rotations as the verifier follows at once. */
const MAX_ROOTS = 256;

/**
 * Copies this site's part of the repository into `inbox/mirror`, which changes only as a whole: fetch into
 * `mirror.partial` → drop what is not part of it → rename. Believes nothing and vouches for nothing. After a failure the
 * partial copy stays, and the next round goes on from there. Throws BoundaryError `sync.*`.
 */
export async function mirrorRepository(options: MirrorOptions): Promise<Mirrored> {
  const { inbox, site, limits } = options;
  const fetching = new Fetching(options, openPartial(inbox, limits));
  await fetching.roots();
  // TUF §5.3 to §5.7, by names only.
  const timestamp = await fetching.always('metadata/timestamp.json');
  const snapshot = await fetching.metadata(snapshotOf(timestamp));
  const targets = await fetching.metadata(targetsOf(snapshot));
  const region = regionOf(targets, site);
  const list = region === null ? targets : await fetching.metadata(targetsOf(snapshot, region));
  const siteFile = await fetching.target(targetFile(list, siteTargetName(site)));
  for (const bundle of bundlesOf(siteFile)) await fetching.target(targetFile(targets, bundle));
  return fetching.complete();
}

/** The copy under way: which files belong to it, and where they come from. */
class Fetching {
  readonly #options: MirrorOptions;
  readonly #partial: string;
  readonly #wanted = new Map<string, string>();

  constructor(options: MirrorOptions, partial: string) {
    this.#options = options;
    this.#partial = partial;
  }

  /** Every root after the pinned one, until there is none (TUF §5.3.3). */
  async roots(): Promise<void> {
    const first = rootVersion(this.#options.pinnedRoot) + 1;
    for (let version = first; version < first + MAX_ROOTS; version++) {
      if ((await this.#fetch(`metadata/${version}.root.json`, Number.MAX_SAFE_INTEGER)) === null) return;
    }
  }

  /** A file whose name stays while its content changes: never taken from an earlier round. */
  async always(name: string): Promise<Uint8Array> {
    return (await this.#fetch(name, Number.MAX_SAFE_INTEGER)) ?? this.#missing(name);
  }

  /** Versioned metadata; one that an interrupted round completed is not fetched again. */
  async metadata(name: string): Promise<Uint8Array> {
    return this.#held(name) ?? this.always(name);
  }

  /** A target: its name tells its content, so any copy of it will do. */
  async target({ name, max }: Wanted): Promise<Uint8Array> {
    const path = this.#place(name);
    const known =
      wholeFile(path, name, max) ?? wholeFile(join(this.#options.inbox, 'mirror', name), name, max);
    rmSync(path, { recursive: true, force: true });
    if (known !== null) writeDurable(path, known, 0o644);
    const bytes = this.#held(name) ?? (await this.#fetch(name, max)) ?? this.#missing(name);
    if (sha256Hex(bytes) === digestIn(name)) return bytes;
    rmSync(path, { force: true });
    throw new BoundaryError(
      'sync.damaged',
      `${this.#options.url}${name} is not the file that its name says; it was dropped and nothing was handed on. The next round fetches it whole.`,
      { at: name },
    );
  }

  /** The point of no return is the second rename; a crash between the two leaves no mirror, and the next round makes one. */
  complete(): Mirrored {
    const { inbox } = this.#options;
    const [path, old] = [join(inbox, 'mirror'), join(inbox, 'mirror.old')];
    for (const file of filesUnder(this.#partial))
      if (!this.#wanted.has(file)) rmSync(join(this.#partial, file), { force: true });
    for (const dir of directoriesUnder(this.#partial)) syncDir(dir);
    rmSync(old, { recursive: true, force: true });
    if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) renameSync(path, old);
    renameSync(this.#partial, path);
    syncDir(inbox);
    rmSync(old, { recursive: true, force: true });
    const lines = [...this.#wanted].sort(([a], [b]) => (a < b ? -1 : 1));
    return { path, digest: sha256Hex(Buffer.from(JSON.stringify(lines), 'utf8')) };
  }

  async #fetch(name: string, max: number): Promise<Uint8Array | null> {
    const { link, url, budget } = this.#options;
    const path = this.#place(name);
    rmSync(path, { recursive: true, force: true });
    if (!(await download({ link, url: `${url}${name}`, path, max, budget }))) return null;
    return this.#read(name);
  }

  #held(name: string): Uint8Array | null {
    if (!existsSync(this.#place(name))) return null;
    const bytes = this.#read(name);
    this.#options.budget.take(bytes.length);
    return bytes;
  }

  #read(name: string): Uint8Array {
    const bytes = readBounded(join(this.#partial, name), this.#options.limits.file_bytes);
    this.#wanted.set(name, sha256Hex(bytes));
    return bytes;
  }

  /** The path of a file of the copy; the directories above it are made one by one, and none may be a link. */
  #place(name: string): string {
    const above = name.split('/').slice(0, -1);
    above.reduce((dir, part) => {
      const next = join(dir, part);
      makeDir(next, 0o755);
      return next;
    }, this.#partial);
    return join(this.#partial, name);
  }

  #missing(name: string): never {
    throw unexpected(`${this.#options.url}${name}`, 404);
  }
}

/** The partial copy of an earlier round, unless it is not ours to go on with: then an empty one. */
function openPartial(inbox: string, limits: SyncLimits): string {
  const dir = join(inbox, 'mirror.partial');
  const stat = lstatSync(dir, { throwIfNoEntry: false });
  if (stat !== undefined && !(stat.isDirectory() && stat.uid === process.geteuid?.() && isSmall(dir, limits)))
    rmSync(dir, { recursive: true, force: true });
  // Nobody else writes here while we do, whatever the inbox allows.
  makeDir(dir, 0o755);
  return dir;
}

/** A mirror that hands out other names in each round must not fill the disk with what it never completes. */
function isSmall(dir: string, limits: SyncLimits): boolean {
  const files = filesUnder(dir);
  const bytes = files.reduce((sum, file) => sum + lstatSync(join(dir, file)).size, 0);
  return files.length <= 2 * limits.files && bytes <= limits.total_bytes;
}

function filesUnder(dir: string): string[] {
  return readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => relative(dir, join(entry.parentPath, entry.name)));
}

function directoriesUnder(dir: string): string[] {
  const below = readdirSync(dir, { recursive: true, withFileTypes: true }).filter((e) => e.isDirectory());
  return [...below.map((entry) => join(entry.parentPath, entry.name)), dir];
}

function wholeFile(path: string, name: string, max: number): Uint8Array | null {
  try {
    const bytes = readBounded(path, max);
    return sha256Hex(bytes) === digestIn(name) ? bytes : null;
  } catch (error) {
    if (error instanceof BoundaryError) return null;
    throw error;
  }
}

function digestIn(name: string): string {
  return /(?:^|\/)([0-9a-f]{64})\.[^/]+$/.exec(name)?.[1] ?? '';
}
