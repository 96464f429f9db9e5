import { existsSync, readdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { BoundaryError } from '../formats/boundary-error.ts';
import { sha256Hex, toBase64 } from '../formats/digest.ts';
import { parseSiteTarget, SITE_TARGET_MAX_BYTES } from '../formats/site-target.ts';
import { makeDir, readBounded, writeDurable } from '../host/durable-file.ts';
import { ImportLane } from './import-lane.ts';
import type { VerifiedUpdate } from './verify-update.ts';

const FILE_MAX_BYTES = 4_000_000;
const BUNDLE_MAX_BYTES = 1_048_576;
const ID = /^[0-9a-f]{64}$/;

/** An update's repository files as they travel over the API, so that the gateway can verify them against its own root. */
export interface StoredUpdate {
  update_id: string;
  /** `metadata/…` and `targets/…` to base64. */
  files: Record<string, string>;
}

/** What one update brought into the store. */
export interface Added {
  /** Its own directory; null when that was there before. */
  update: string | null;
  /** Digests of bundles. */
  bundles: string[];
}

/**
 * Verified updates and bundles on disk: `bundles/<sha256>.json` and `updates/<id>/{metadata,targets}`. Content-addressed
 * and written before the ledger says that they are in force: the `policy.applied` entry is the commit point, and a
 * file without one means nothing.
 */
export class PolicyStore {
  readonly #bundles: string;
  readonly #updates: string;
  /** Who writes here takes turns. */
  readonly imports = new ImportLane();

  /** `dir` must exist (`init` makes it); its two directories are made when missing. */
  constructor(dir: string) {
    this.#bundles = join(dir, 'bundles');
    this.#updates = join(dir, 'updates');
    makeDir(this.#bundles, 0o700);
    makeDir(this.#updates, 0o700);
  }

  /**
   * Stores an update and its bundles. Durable on return. Harmless to repeat, also after a crash midway. Returns what was
   * not here before.
   */
  keep(update: VerifiedUpdate): Added {
    const dir = join(this.#updates, update.updateId);
    const bundles = [...update.bundles.keys()].filter((digest) => !existsSync(this.#bundleFile(digest)));
    const added = { update: existsSync(dir) ? null : update.updateId, bundles };
    for (const [digest, bytes] of update.bundles) writeDurable(this.#bundleFile(digest), bytes, 0o600);
    for (const [name, bytes] of update.files) {
      makeDirs(dir, dirname(name));
      writeDurable(join(dir, name), bytes, 0o600);
    }
    return added;
  }

  #bundleFile(digest: string): string {
    return join(this.#bundles, `${digest}.json`);
  }

  /** A bundle that is in store; null when it is missing, was changed, or is no file any more. */
  bundle(digest: string): Uint8Array | null {
    try {
      const bytes = readBounded(this.#bundleFile(digest), BUNDLE_MAX_BYTES);
      return sha256Hex(bytes) === digest ? bytes : null;
    } catch (error) {
      if (error instanceof BoundaryError) return null;
      throw error;
    }
  }

  /** Forgets what an update brought that was never put in force. */
  drop({ update, bundles }: Added): void {
    if (update !== null) rmSync(join(this.#updates, update), { recursive: true, force: true });
    for (const digest of bundles) rmSync(this.#bundleFile(digest), { force: true });
  }

  /** Forgets an update that waited and was never put in force. Its bundles stay: others may share them. */
  forget(updateId: string): void {
    if (ID.test(updateId)) rmSync(join(this.#updates, updateId), { recursive: true, force: true });
  }

  /** Where `verifyUpdate` finds what was accepted last; null when nothing was, or its files are gone. */
  trustedMetadataDir(activeId: string | null): string | null {
    if (activeId === null || !ID.test(activeId)) return null;
    const dir = join(this.#updates, activeId, 'metadata');
    return existsSync(dir) ? dir : null;
  }

  /**
   * The update under which the bundle `digest` was authorized, or the active update when `digest` is null. Null when
   * there is none. Several updates may hold one bundle, for different environments: with `environment` only one that
   * pins the bundle there counts (a decision may be carried out after a newer policy moved its environment on). The
   * active update comes first.
   */
  readUpdate(
    digest: string | null,
    activeId: string | null,
    environment: string | null = null,
  ): StoredUpdate | null {
    const stored = readdirSync(this.#updates)
      .filter((id) => ID.test(id))
      .sort();
    const candidates = activeId === null ? stored : [activeId, ...stored.filter((id) => id !== activeId)];
    const id =
      digest === null
        ? activeId
        : (candidates.find((candidate) => this.#pins(candidate, digest, environment)) ?? null);
    if (id === null || !stored.includes(id)) return null;
    const names = filesUnder(join(this.#updates, id));
    return {
      update_id: id,
      files: Object.fromEntries(
        names.map((name) => [name, toBase64(readBounded(join(this.#updates, id, name), FILE_MAX_BYTES))]),
      ),
    };
  }

  /** Whether the update gives the bundle to the environment (to any, when it is null). */
  #pins(id: string, digest: string, environment: string | null): boolean {
    const dir = join(this.#updates, id);
    const file = filesUnder(dir).find((name) => name.startsWith('targets/sites/'));
    if (file === undefined) return false;
    const { environments } = parseSiteTarget(readBounded(join(dir, file), SITE_TARGET_MAX_BYTES));
    return Object.entries(environments).some(
      ([name, pinned]) => pinned.digest === digest && (environment === null || name === environment),
    );
  }
}

function makeDirs(base: string, relative: string): void {
  makeDir(base, 0o700);
  const parts = relative.split('/');
  for (let depth = 1; depth <= parts.length; depth++) makeDir(join(base, ...parts.slice(0, depth)), 0o700);
}

/** Relative names of all regular files under `dir`, sorted; unfinished temporary files are left out. */
function filesUnder(dir: string): string[] {
  if (!existsSync(dir)) return [];
  return readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((file) => file.isFile() && !file.name.startsWith('.'))
    .map((file) => join(file.parentPath, file.name).slice(dir.length + 1))
    .sort();
}
