import { type Anchor, anchorHead } from '../formats/anchor.ts';
import { equalBytes, toHex } from '../formats/digest.ts';
import { consistencyRanges, consistencyRoots, EMPTY_ROOT } from '../formats/merkle.ts';

/*
 * A pile of anchors of one log, in any order, held against each other: every tree head was signed by the log, every proof
 * says what the tree began with. A log that showed two histories cannot take either back.
 */

/** An anchor whose signature holds, and where it was found. */
export interface SignedAnchor {
  from: string;
  anchor: Anchor;
}

/** A tree head of the log; `signed`: where it was found, empty when a later head only implies it. */
export interface PileHead {
  size: number;
  root: Uint8Array;
  signed: string[];
}

/** Two histories: the same up to `agree` entries, no longer at `differ`. */
export interface Fork {
  agree: number;
  differ: number;
  /** Where each was found, or the later heads that imply it. */
  one: string[];
  other: string[];
}

export interface PileJudgement {
  /** Signed heads, smallest first. */
  heads: PileHead[];
  newest: PileHead;
  fork: Fork | null;
  /** Files whose proof does not add up to what they are to prove. */
  unproven: string[];
  /** Signed heads that nothing here links to the newest one: the anchors in between are missing. */
  unlinked: PileHead[];
}

interface Node extends PileHead {
  /** Heads that this one is proven to continue. */
  continues: Set<Node>;
  /** Files of later heads that say so. */
  implied: string[];
}

/** Judges anchors of one log that are signed by it. Throws `RangeError` for an empty pile. */
export function judgePile(pile: readonly SignedAnchor[]): PileJudgement {
  const { nodes, unproven } = nodesOf(pile);
  const heads = nodes.all().filter(({ signed }) => signed.length > 0);
  const newest = heads.at(-1);
  if (newest === undefined) throw new RangeError('a pile has at least one anchor');
  const known = ancestors(newest);
  return {
    heads,
    newest,
    fork: forkIn(nodes, pile),
    unproven,
    unlinked: heads.filter((head) => head !== newest && !known.has(head)),
  };
}

/** The heads of a pile, and which of them continue which; with the files whose proofs do not add up. */
function nodesOf(pile: readonly SignedAnchor[]): { nodes: Nodes; unproven: string[] } {
  const nodes = new Nodes();
  for (const { from, anchor } of pile) {
    const { size, root } = anchorHead(anchor);
    nodes.at(size, root).signed.push(from);
  }
  return { nodes, unproven: pile.filter((one) => !link(nodes, one)).map(({ from }) => from) };
}

/** The heads that are known, signed or implied, by size and root. */
class Nodes {
  readonly #bySize = new Map<number, Map<string, Node>>();

  at(size: number, root: Uint8Array): Node {
    const roots = this.#bySize.get(size) ?? new Map<string, Node>();
    this.#bySize.set(size, roots);
    const key = toHex(root);
    const node = roots.get(key) ?? { size, root, signed: [], continues: new Set<Node>(), implied: [] };
    roots.set(key, node);
    return node;
  }

  ofSize(size: number): Node[] {
    return [...(this.#bySize.get(size)?.values() ?? [])];
  }

  all(): Node[] {
    return [...this.#bySize.keys()].sort((a, b) => a - b).flatMap((size) => this.ofSize(size));
  }

  /** Sizes with more than one root, smallest first. */
  doubled(): Node[][] {
    return [...this.#bySize.keys()]
      .sort((a, b) => a - b)
      .map((size) => this.ofSize(size))
      .filter((nodes) => nodes.length > 1);
  }
}

/** Notes what an anchor proves. False when its proof adds up to something else. */
function link(nodes: Nodes, { from, anchor }: SignedAnchor): boolean {
  const { size, root } = anchorHead(anchor);
  const { old, proof } = anchor;
  if (old === size) return proof.length === 0;
  if (old === 0) return true;
  const head = nodes.at(size, root);
  const candidates = isPowerOfTwo(old) ? nodes.ofSize(old).map((node) => node.root) : [null];
  for (const candidate of candidates) {
    const roots = consistencyRoots(old, size, proof, candidate);
    if (roots === null || !equalBytes(roots.second, root)) continue;
    const before = nodes.at(old, roots.first);
    before.implied.push(from);
    head.continues.add(before);
    return true;
  }
  // Without any head of that size there is nothing to add up from: it proves nothing, and contradicts nothing.
  return candidates.length === 0;
}

function ancestors(node: Node): Set<PileHead> {
  const found = new Set<PileHead>();
  const open = [...node.continues];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (found.has(next)) continue;
    found.add(next);
    open.push(...next.continues);
  }
  return found;
}

function forkIn(nodes: Nodes, pile: readonly SignedAnchor[]): Fork | null {
  const [first] = nodes.doubled();
  const [one, other] = first ?? [];
  if (one === undefined || other === undefined) return null;
  const both = ancestors(other);
  const agree = largest([...ancestors(one)].filter((head) => both.has(head)));
  return {
    ...narrowedFork(pile, [one, other], { agree, differ: one.size }),
    one: witnesses(one),
    other: witnesses(other),
  };
}

/** Two proofs between the same sizes have the hashes of the same parts: the leftmost that differ hold the first entry that does. */
function narrowedFork(
  pile: readonly SignedAnchor[],
  [one, other]: readonly [Node, Node],
  { agree, differ }: Pick<Fork, 'agree' | 'differ'>,
): Pick<Fork, 'agree' | 'differ'> {
  const twins = proofsOf(other, pile);
  for (const [old, proof] of proofsOf(one, pile)) {
    const twin = twins.get(old);
    if (twin === undefined) continue;
    const [part] = consistencyRanges(old, one.size)
      .filter((_, index) => toHex(proof[index] ?? EMPTY_ROOT) !== toHex(twin[index] ?? EMPTY_ROOT))
      .sort((a, b) => a.start - b.start);
    if (part === undefined) continue;
    return { agree: Math.max(agree, part.start), differ: Math.min(differ, part.end) };
  }
  return { agree, differ };
}

/** Proofs that add up to a head, one for each size that they start from: a pile may hold each of them thousands of times. */
function proofsOf(node: Node, pile: readonly SignedAnchor[]): Map<number, readonly Uint8Array[]> {
  const signed = new Set(node.signed);
  const found = new Map<number, readonly Uint8Array[]>();
  for (const { from, anchor } of pile) {
    const { old, proof } = anchor;
    if (signed.has(from) && !found.has(old) && addsUp(old, proof, node)) found.set(old, proof);
  }
  return found;
}

function addsUp(old: number, proof: readonly Uint8Array[], { size, root }: PileHead): boolean {
  const roots = consistencyRoots(old, size, proof, null);
  return roots !== null && equalBytes(roots.second, root);
}

/** A pile can be larger than a call may have arguments. */
function largest(heads: readonly { size: number }[]): number {
  return heads.reduce((most, { size }) => Math.max(most, size), 0);
}

function witnesses({ signed, implied }: Node): string[] {
  return signed.length > 0 ? signed : implied;
}

function isPowerOfTwo(n: number): boolean {
  return Number.isInteger(Math.log2(n));
}

/** A ledger as far as anchors can be held against it. */
export interface ComparedTree {
  size: number;
  /** Root of its first `size` entries. */
  rootAt(size: number): Uint8Array;
  /** Its own consistency proof between two sizes that it has. */
  proofBetween(old: number, size: number): readonly Uint8Array[];
}

/** How a pile stands to a ledger. */
export interface Comparison {
  /** Largest tree that both have in common, as far as the pile reaches. */
  agree: number;
  /** The first entry that differs is one of `from … to - 1`; null when none does. */
  diverges: { from: number; to: number; files: string[] } | null;
  /** The largest head behind the end of the ledger; null when none is. */
  ahead: PileHead | null;
}

/** Holds the pile's heads, and what their proofs say of earlier ones, against a ledger. */
export function compareWith(tree: ComparedTree, pile: readonly SignedAnchor[]): Comparison {
  const claims = pile.flatMap((one) => claimsOf(one));
  const within = claims.filter(({ size }) => size <= tree.size);
  const isSame = ({ size, root }: Claim): boolean => equalBytes(tree.rootAt(size), root);
  const wrong = within.filter((claim) => !isSame(claim)).sort((a, b) => a.size - b.size);
  const [first] = wrong;
  const limit = first?.size ?? Number.POSITIVE_INFINITY;
  const agree = largest(within.filter(({ size }) => size < limit));
  const ahead = claims.filter(({ size }) => size > tree.size).sort((a, b) => b.size - a.size)[0];
  return {
    agree,
    diverges: first === undefined ? null : narrowed(tree, pile, agree, first),
    ahead: ahead === undefined ? null : { size: ahead.size, root: ahead.root, signed: [ahead.from] },
  };
}

/** Where a log was closed: nothing of it that comes after counts any more. */
export interface ClosedHead {
  size: number;
  root: Uint8Array;
}

/**
 * How a pile stands to a log that was closed: anchors of more than that, and of another tree of that size; and whether the
 * pile itself shows that what the log was closed with continues all of its heads. Throws `RangeError` for an empty pile.
 */
export function compareWithClosed(
  closed: ClosedHead,
  pile: readonly SignedAnchor[],
): { lost: PileHead | null; other: string[]; linked: boolean } {
  const claims = pile.flatMap((one) => claimsOf(one));
  const behind = claims.filter(({ size }) => size > closed.size).sort((a, b) => b.size - a.size)[0];
  const other = claims.filter(({ size, root }) => size === closed.size && !equalBytes(root, closed.root));
  return {
    lost: behind === undefined ? null : { size: behind.size, root: behind.root, signed: [behind.from] },
    other: other.map(({ from }) => from),
    linked: isLinkedTo(closed, pile),
  };
}

/** Every head of the pile that is not behind it is the closed one, or is proven to be a beginning of it. */
function isLinkedTo({ size, root }: ClosedHead, pile: readonly SignedAnchor[]): boolean {
  const nodes = nodesOf(pile).nodes;
  const end = nodes.at(size, root);
  const known = ancestors(end).add(end);
  return nodes.all().every((head) => head.signed.length === 0 || head.size > size || known.has(head));
}

interface Claim {
  size: number;
  root: Uint8Array;
  from: string;
}

/** The head that an anchor carries, and the earlier one that its proof implies where it says which. */
function claimsOf({ from, anchor }: SignedAnchor): Claim[] {
  const { size, root } = anchorHead(anchor);
  const roots = consistencyRoots(anchor.old, size, anchor.proof, null);
  const implied = roots !== null && equalBytes(roots.second, root) ? roots.first : null;
  return [{ size, root, from }, ...(implied === null ? [] : [{ size: anchor.old, root: implied, from }])];
}

/** The hashes in a proof are those of parts of the other tree: the leftmost part that differs holds the first entry that does. */
function narrowed(
  tree: ComparedTree,
  pile: readonly SignedAnchor[],
  agree: number,
  first: Claim,
): NonNullable<Comparison['diverges']> {
  const whole = { from: agree, to: first.size, files: [first.from] };
  const anchor = pile.find(({ from }) => from === first.from)?.anchor;
  const { old = 0, proof = [] } = anchor ?? {};
  const { size, root } = anchor === undefined ? first : anchorHead(anchor);
  const roots = consistencyRoots(old, size, proof, null);
  if (roots === null || !equalBytes(roots.second, root)) return whole;
  if (size > tree.size) return whole;
  const own = tree.proofBetween(old, size);
  const differing = consistencyRanges(old, size)
    .filter((_, index) => toHex(own[index] ?? EMPTY_ROOT) !== toHex(proof[index] ?? EMPTY_ROOT))
    .sort((a, b) => a.start - b.start);
  const [part] = differing;
  if (part === undefined) return whole;
  return { ...whole, from: Math.max(agree, part.start), to: Math.min(first.size, part.end) };
}
