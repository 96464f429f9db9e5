import { rmSync } from 'node:fs';
import { join } from 'node:path';
import {
  ANCHOR_MAX_BYTES,
  type Anchor,
  anchorHead,
  anchorName,
  parseAnchor,
  parseAnchorName,
} from '../daemon/formats/anchor.ts';
import { BoundaryError } from '../daemon/formats/boundary-error.ts';
import { namesIn } from '../daemon/host/directory.ts';
import { makeDir, readBounded, writeDurable } from '../daemon/host/durable-file.ts';

/** Links of the chain that are kept: weeks by the hour. Whoever is further behind is served by the daemon. */
const KEPT = 500;

/** An anchor that lies here. */
export interface KeptAnchor {
  old: number;
  size: number;
  anchor: Anchor;
}

/**
 * The sync process's own copies of anchors: outbox forgets what headquarters acknowledged, and a witness may be behind
 * that. Trusted with nothing: whatever is served from here is judged by its signature and proof, at the witness.
 */
export class KeptAnchors {
  readonly #directory: string;
  #links: { old: number; size: number }[];

  /** Takes along what is new in the outbox, and drops the oldest. Of several logs the newest: the others are closed. */
  constructor({ outbox, state }: { outbox: string; state: string }) {
    const from = newestLog(join(outbox, 'anchors'));
    const all = join(state, 'anchors');
    makeDir(all, 0o700);
    this.#directory = from === '' ? all : join(all, from);
    makeDir(this.#directory, 0o700);
    takeNew(join(outbox, 'anchors', from), this.#directory);
    this.#links = linksIn(this.#directory);
    for (const link of this.#links.splice(0, Math.max(0, this.#links.length - KEPT)))
      rmSync(join(this.#directory, anchorName(link)), { force: true });
  }

  /** The newest tree head; null while nothing was exported. */
  newest(): KeptAnchor | null {
    const link = this.#links.at(-1);
    return link === undefined ? null : this.#read(link);
  }

  /** The link that leads farthest from a tree of `old` entries; null when none begins there. */
  from(old: number): KeptAnchor | null {
    const link = this.#links.findLast((one) => one.old === old);
    return link === undefined ? null : this.#read(link);
  }

  /** A copy that is no anchor any more is dropped: the daemon makes it again when it is asked for. */
  #read(link: { old: number; size: number }): KeptAnchor | null {
    const path = join(this.#directory, anchorName(link));
    const anchor = readAnchor(path, link);
    if (anchor !== null) return { ...link, anchor };
    rmSync(path, { force: true });
    this.#links = this.#links.filter((one) => one !== link);
    return null;
  }
}

/** A log that goes on for another after a restore has a folder of its own, named by its number. */
function newestLog(anchors: string): string {
  const numbers = namesIn(anchors).filter((name) => /^[1-9]\d{0,5}$/.test(name));
  return numbers.sort((a, b) => Number(a) - Number(b)).at(-1) ?? '';
}

function takeNew(from: string, to: string): void {
  const here = new Set(namesIn(to));
  for (const link of linksIn(from).slice(-KEPT)) {
    const name = anchorName(link);
    if (here.has(name)) continue;
    const path = join(from, name);
    if (readAnchor(path, link) !== null)
      writeDurable(join(to, name), readBounded(path, ANCHOR_MAX_BYTES), 0o600);
  }
}

/** Links by the names of their files, the smallest tree first. */
function linksIn(directory: string): { old: number; size: number }[] {
  return namesIn(directory)
    .flatMap((name) => parseAnchorName(name) ?? [])
    .sort((a, b) => a.size - b.size || b.old - a.old);
}

/** Null for a file that is not what its name says. */
function readAnchor(path: string, { old, size }: { old: number; size: number }): Anchor | null {
  try {
    const anchor = parseAnchor(readBounded(path, ANCHOR_MAX_BYTES));
    return anchor.old === old && anchorHead(anchor).size === size ? anchor : null;
  } catch (error) {
    if (error instanceof BoundaryError) return null;
    throw error;
  }
}
