import { realpathSync, type Stats, statSync } from 'node:fs';
import type { Bundle, BundleTool } from '../core/bundle.ts';
import { sha256Hex } from '../formats/digest.ts';
import { readBounded } from '../host/durable-file.ts';
import type { Finding } from './engine-port.ts';

/** Largest program whose digest is taken; it is read whole. */
const PROGRAM_MAX_BYTES = 256 * 1024 * 1024;

/** A program that is not the one that the policy pins. */
export interface ProgramChange {
  tool: string;
  path: string;
  expected: string;
  /** Null when it cannot be read as a program: missing, no regular file, too large. */
  found: string | null;
}

/**
 * Compares programs on the disk with the digests that signed policy pins (`sha256` of an exec tool). Before a run the
 * digest is taken again when the file's identity, size or times differ from those of the last look; a full look takes all
 * of them again. Whoever can replace a program between the look and its start is not stopped by this, only found.
 */
export class Programs {
  readonly #seen = new Map<string, { stamp: string; digest: string }>();

  /** The change, if the tool's program is not the pinned one; null when it is, and for tools without a pinned digest. */
  check(tool: string, definition: BundleTool): ProgramChange | null {
    if (definition.connector !== 'exec' || definition.sha256 === undefined) return null;
    const path = definition.argv[0] ?? '';
    const found = this.#digest(path);
    return found === definition.sha256 ? null : { tool, path, expected: definition.sha256, found };
  }

  /** The same for every tool of these bundles, each program read anew. */
  checkAll(bundles: Iterable<Bundle>): ProgramChange[] {
    this.#seen.clear();
    return [...bundles].flatMap(({ tools }) =>
      Object.entries(tools).flatMap(([tool, definition]) => this.check(tool, definition) ?? []),
    );
  }

  #digest(path: string): string | null {
    try {
      // A program is often a link (alternatives); what is pinned is what runs.
      const file = realpathSync(path);
      const stamp = stampOf(statSync(file));
      const known = this.#seen.get(path);
      if (known?.stamp === stamp) return known.digest;
      const digest = sha256Hex(readBounded(file, PROGRAM_MAX_BYTES));
      this.#seen.set(path, { stamp, digest });
      return digest;
    } catch {
      this.#seen.delete(path);
      return null;
    }
  }
}

/** The change time cannot be set by a program without taking hold of the machine's clock. */
function stampOf({ dev, ino, size, mtimeMs, ctimeMs }: Stats): string {
  return [dev, ino, size, mtimeMs, ctimeMs].join(' ');
}

/** What is reported of a program that is not the pinned one. */
export function findingOf({ tool, path, expected, found }: ProgramChange): Finding {
  return {
    cause: 'tool_changed',
    tool,
    detail:
      found === null
        ? `The program of the tool ${tool} cannot be read, so nobody can tell whether it is the one that the policy pins.`
        : `The program of the tool ${tool} is not the one that the policy pins.`,
    evidence: { path, expected, found },
  };
}
