import type { AnchorLink } from '../core/anchor-report.ts';
import { type EngineHandle, internal, textOf } from '../engine/protocol.ts';
import { BoundaryError } from '../formats/boundary-error.ts';

/*
 * The chain of anchors as those see it who carry it: whole links, as few as are wanted, never with a gap.
 */

/** One link to be carried: proves that the tree of `size` entries continues that of `old`. */
export interface Link {
  old: number;
  size: number;
}

/** The newest links, newest first, and how far the chain is known to have got. */
export interface KnownChain {
  /** Of the log. */
  origin: string;
  /** Entries of the ledger. */
  size: number;
  /** Tree of which headquarters has said, signed, that its anchor arrived; 0 when it never did. */
  acknowledged: number;
  links: AnchorLink[];
}

const PAGE = 200;

/** The newest links of the chain, at most so many, from the engine. Throws `BoundaryError` `ledger.unavailable`. */
export async function readChain(engine: EngineHandle, most: number): Promise<KnownChain> {
  const chain: KnownChain = { origin: '', size: 0, acknowledged: 0, links: [] };
  let before: number | null = null;
  do {
    const limit = String(Math.min(PAGE, most - chain.links.length));
    const args: Record<string, string> = before === null ? { limit } : { limit, before: String(before) };
    const answer = await engine.call({ ...internal('anchors.list', null), args });
    if (answer.status !== 200) throw unavailable();
    const page = JSON.parse(textOf(answer)) as {
      origin: string;
      size: number;
      acknowledged: number | null;
      anchors: AnchorLink[];
      next: number | null;
    };
    chain.origin = page.origin;
    chain.size = page.size;
    chain.acknowledged = page.acknowledged ?? 0;
    chain.links.push(...page.anchors);
    before = page.next;
  } while (before !== null && chain.links.length < most);
  return chain;
}

/**
 * What whoever knows the tree of `from` entries needs to follow to the newest anchor, oldest first: at most `most` links
 * without a gap. Where there would be more, the oldest are joined into one: its proof spans all of them.
 */
export function linksFrom(newestFirst: readonly Link[], from: number, most: number): Link[] {
  const wanted = newestFirst
    .filter(({ size }) => size > from)
    .slice(0, most)
    .reverse();
  const [oldest, ...rest] = wanted;
  return oldest === undefined ? [] : [{ old: from, size: oldest.size }, ...rest];
}

/** The bytes of a link, up to the newest tree head when no size is named; null when the ledger cannot prove it. */
export async function linkText(
  engine: EngineHandle,
  { old, size }: { old: number; size?: number },
): Promise<string | null> {
  const args = { old: String(old), ...(size === undefined ? {} : { size: String(size) }) };
  const answer = await engine.call({ ...internal('anchors.from', null), args });
  return answer.status === 200 ? textOf(answer) : null;
}

function unavailable(): BoundaryError {
  return new BoundaryError(
    'ledger.unavailable',
    'The ledger cannot be read, so no anchor was exported. Run "holdfast status" for what to do.',
  );
}
