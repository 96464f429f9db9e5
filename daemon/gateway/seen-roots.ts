import { existsSync } from 'node:fs';
import { BoundaryError } from '../formats/boundary-error.ts';
import { canonicalBytes } from '../formats/canonical-json.ts';
import { isHexDigest, sha256Hex } from '../formats/digest.ts';
import type { Json } from '../formats/json.ts';
import { readBounded, writeDurable } from '../host/durable-file.ts';

const FILE_MAX_BYTES = 64 * 1024;
/** The newest so many versions are remembered. */
const REMEMBERED = 256;
const ROOT_FILE = /^metadata\/([1-9][0-9]{0,8})\.root\.json$/;

interface Memory {
  /** Highest version that was ever pinned in the trust directory. */
  pinned: number;
  /** Version → hex SHA-256 of the root that was verified as that version. */
  roots: Record<string, string>;
}

/**
 * The policy roots that this gateway has seen, in a file of its own. The trust directory is public and may be put back as
 * of last year, when keys were good that have been taken back since; then the gateway must not start. And there is one
 * root of each version: whoever has old root keys could sign another.
 */
export class SeenRoots {
  readonly #path: string;
  #memory: Memory;

  private constructor(path: string, memory: Memory) {
    this.#path = path;
    this.#memory = memory;
  }

  /**
   * Takes up what is remembered at `path` and holds the pinned root against it. Throws BoundaryError
   * `trust.root_rolled_back`, `trust.root_forked`, `trust.roots_damaged`.
   */
  static open(path: string, pinned: Uint8Array): SeenRoots {
    const version = versionOf(pinned);
    const seen = new SeenRoots(path, existsSync(path) ? read(path) : { pinned: version, roots: {} });
    if (version < seen.#memory.pinned) {
      throw new BoundaryError(
        'trust.root_rolled_back',
        `trust/root.json is version ${version}, and this gateway was started with version ${seen.#memory.pinned} before: the trust directory is an old one. The gateway was not started. Put the newer root back. If headquarters gave this site a new beginning, remove ${path} first.`,
        { at: 'trust/root.json' },
      );
    }
    if (seen.#isOther(version, pinned)) {
      throw new BoundaryError(
        'trust.root_forked',
        `trust/root.json is another version ${version} than the one that this gateway has seen. The gateway was not started. Find out who changed it. If headquarters gave this site a new beginning, remove ${path} first.`,
        { at: 'trust/root.json' },
      );
    }
    seen.#remember([[version, sha256Hex(pinned)]], version);
    return seen;
  }

  /** Looks at the roots of an update that verified, and remembers them. Throws BoundaryError `update.root_forked`. */
  note(files: ReadonlyMap<string, Uint8Array>): void {
    const found: [number, string][] = [];
    for (const [name, bytes] of files) {
      const version = Number(ROOT_FILE.exec(name)?.[1] ?? 0);
      if (version === 0) continue;
      if (this.#isOther(version, bytes)) {
        throw new BoundaryError(
          'update.root_forked',
          `The update comes with another root of version ${version} than the one that this gateway has seen. Somebody has root keys who should not; ask headquarters.`,
        );
      }
      found.push([version, sha256Hex(bytes)]);
    }
    this.#remember(found, this.#memory.pinned);
  }

  #isOther(version: number, bytes: Uint8Array): boolean {
    const known = this.#memory.roots[version];
    return known !== undefined && known !== sha256Hex(bytes);
  }

  /** On disk before anything is done by it. */
  #remember(found: readonly [number, string][], pinned: number): void {
    const { roots } = this.#memory;
    const news = found.filter(([version]) => roots[version] === undefined);
    if (news.length === 0 && pinned === this.#memory.pinned) return;
    const all = { ...roots, ...Object.fromEntries(news) };
    const kept = Object.entries(all)
      .sort(([a], [b]) => Number(b) - Number(a))
      .slice(0, REMEMBERED);
    const memory = { pinned, roots: Object.fromEntries(kept) };
    writeDurable(this.#path, canonicalBytes({ ...memory, v: 1 }), 0o600);
    this.#memory = memory;
  }
}

/** Of the pinned root as it lies there; that it is a proper one is judged with every update. */
function versionOf(root: Uint8Array): number {
  const version = member(member(parsed(root), 'signed'), 'version');
  if (Number.isSafeInteger(version) && Number(version) >= 1) return Number(version);
  throw new BoundaryError(
    'trust.bad_root',
    'trust/root.json is no TUF root: it has no version. The gateway was not started. Put the root of this site there.',
    { at: 'trust/root.json' },
  );
}

function read(path: string): Memory {
  const value = parsed(readBounded(path, FILE_MAX_BYTES));
  const [pinned, roots] = [member(value, 'pinned'), member(value, 'roots')];
  const entries = typeof roots === 'object' && roots !== null ? Object.entries(roots) : null;
  const sound =
    Number.isSafeInteger(pinned) &&
    entries?.every(([version, digest]) => /^[1-9][0-9]{0,8}$/.test(version) && isHexDigest(digest)) === true;
  if (sound) return { pinned: Number(pinned), roots: roots as Record<string, string> };
  throw new BoundaryError(
    'trust.roots_damaged',
    `${path} does not say which policy roots this gateway has seen. The gateway was not started. Compare trust/root.json with headquarters', then remove the file.`,
    { at: path },
  );
}

function parsed(bytes: Uint8Array): Json | undefined {
  try {
    return JSON.parse(new TextDecoder().decode(bytes)) as Json;
  } catch {
    // What cannot be parsed has no members, and is refused for that.
    return undefined;
  }
}

function member(value: Json | undefined, name: string): Json | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  return Object.hasOwn(value, name) ? value[name] : undefined;
}
