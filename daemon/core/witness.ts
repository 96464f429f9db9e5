import { anchorHead, continues } from '../formats/anchor.ts';
import { equalBytes } from '../formats/digest.ts';
import type { SignedAnchor } from './anchor-pile.ts';

/*
 * What an offline witness decides (C2SP tlog-witness, "add-checkpoint", for a whole pile of anchors at once): which tree
 * head continues everything that it saw of this log before. Pure; signatures were verified by whoever asks.
 */

/** The newest tree head of a log that a witness cosigned. */
export interface SeenHead {
  size: number;
  root: Uint8Array;
}

/** Why nothing is cosigned. */
export type WitnessRefusal =
  /** Two trees of one size: proof that the log shows two histories. */
  | { outcome: 'split'; size: number; from: string }
  /** The log signed a tree that does not continue one that it signed before, as far as this proof goes. */
  | { outcome: 'inconsistent'; old: number; size: number; from: string }
  /** Everything here is older than what was seen: an old medium, or a log that was set back. */
  | { outcome: 'behind'; size: number; seen: number }
  /** Nothing proves that the newer trees continue the one that was seen. */
  | { outcome: 'unproven'; need: number; size: number };

/** What may be cosigned: a tree that is proven to continue what was seen, or is the same. */
export interface Followed {
  outcome: 'cosign';
  size: number;
  root: Uint8Array;
  checkpoint: string;
  /** Sizes on the way, from what was seen (0: nothing) to this one. */
  steps: number[];
  /** A newer tree that nothing here proves to continue this one. */
  gap: number | null;
}

/**
 * Follows a log through anchors, in whatever order they come: no two trees of one size differ, every proof between trees
 * that are known holds, and a chain of them leads from what was seen to the newest. A witness that never saw the log begins
 * with the oldest tree here: any tree continues the empty one.
 */
export function followLog(
  seen: SeenHead | null,
  anchors: readonly SignedAnchor[],
): Followed | WitnessRefusal {
  const links = anchors.map((one) => ({ ...one, head: anchorHead(one.anchor) }));
  links.sort((a, b) => a.head.size - b.head.size || a.anchor.old - b.anchor.old);
  const known = new Map<number, Uint8Array>(seen === null ? [] : [[seen.size, seen.root]]);
  for (const { head, from } of links) {
    const before = known.get(head.size);
    if (before !== undefined && !equalBytes(before, head.root))
      return { outcome: 'split', size: head.size, from };
    known.set(head.size, head.root);
  }
  for (const { anchor, head, from } of links) {
    const old = anchor.old === 0 ? undefined : known.get(anchor.old);
    const isChecked = anchor.old === 0 || old !== undefined;
    if (isChecked && !continues(anchor, old))
      return { outcome: 'inconsistent', old: anchor.old, size: head.size, from };
  }
  return farthest(seen, links, known);
}

type Link = SignedAnchor & { head: SeenHead };

function farthest(
  seen: SeenHead | null,
  links: readonly Link[],
  roots: ReadonlyMap<number, Uint8Array>,
): Followed | WitnessRefusal {
  const start = seen?.size ?? links[0]?.head.size ?? 0;
  const newest = links.at(-1)?.head.size ?? 0;
  if (newest < start) return { outcome: 'behind', size: newest, seen: start };
  const steps = [seen?.size ?? 0];
  // By size, so that whatever a link starts from was reached before it or never will be.
  const reached = new Set([start]);
  for (const { anchor, head } of links)
    if (head.size > start && reached.has(anchor.old)) reached.add(head.size);
  const size = Math.max(...reached);
  const checkpoint = links.find(({ head }) => head.size === size)?.anchor.checkpoint;
  if (checkpoint === undefined) return { outcome: 'unproven', need: start, size: newest };
  steps.push(...[...reached].filter((one) => one !== steps[0]).sort((a, b) => a - b));
  return {
    outcome: 'cosign',
    size,
    root: roots.get(size) ?? new Uint8Array(),
    checkpoint,
    steps,
    gap: newest > size ? newest : null,
  };
}

/** In words, for whoever runs the witness. */
export function witnessWords(refusal: WitnessRefusal, origin: string): string {
  switch (refusal.outcome) {
    case 'split':
      return `${origin} shows two different histories of ${refusal.size} entries (${refusal.from}), both signed with its key. Keep these files and this witness's state: together they prove it.`;
    case 'inconsistent':
      return `The tree of ${refusal.size} entries of ${origin} does not continue its tree of ${refusal.old} entries, by the proof in ${refusal.from}. The file is damaged, or the log's history was changed. Keep it, and get the anchor again from another copy.`;
    case 'behind':
      return `This witness cosigned ${refusal.seen} entries of ${origin}, and the newest here has ${refusal.size}. It is an old medium, or the site was set back. Ask the site for its newest anchor; if that is no longer than this, treat it as tampered with.`;
    case 'unproven':
      return `Nothing here proves that the ${refusal.size} entries of ${origin} continue the ${refusal.need} that this witness cosigned. Ask the site for the anchors in between: holdfast anchor export -o DIR there writes the whole chain.`;
  }
}
