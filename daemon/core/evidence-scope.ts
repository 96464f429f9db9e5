import { mergeNotes } from '../formats/cosignature.ts';
import { toBase64 } from '../formats/digest.ts';
import { decodeEntry, type Entry } from '../formats/entry.ts';
import type { JsonObject } from '../formats/json.ts';
import { parseSeen } from '../formats/seen-checkpoint.ts';
import type { CosignedData } from './cosigned.ts';
import type { EvidenceLedger, Mentions } from './evidence-mentions.ts';

/*
 * Which entries of a ledger belong to the evidence about one decision. Pure, so that a running daemon and a copied file
 * give the same answer.
 */

/** Why an entry is among the evidence. */
export type EvidenceRole =
  /** The decision itself, whole. */
  | 'decision'
  /** A decision that it links to, or that links to it, whole. */
  | 'linked'
  /** The break-glass session that it was asked under, whole; the sealed grant that opened that, whole. */
  | 'breakglass'
  | 'grant'
  /** An incident that held it back, or that names it, whole. */
  | 'incident'
  /** What put its policy in force, with the signed acts that released that. */
  | 'policy'
  /** Changes of the ledger's key; keys and people suspended that signed here. */
  | 'keys'
  /** Anything else on record that names the decision: reads, anomalies, shredded values. */
  | 'mention';

/** An entry as it is handed on: plain values, so that they pass between threads and through JSON. */
export interface GatheredEntry {
  index: number;
  role: EvidenceRole;
  /** The entry's exact bytes, which are JSON text. */
  text: string;
  /** Inclusion proof under the checkpoint, base64, leaf's sibling first. */
  proof: string[];
}

/** Everything that the ledger has about a decision, under one checkpoint. */
export interface Gathered {
  decision: string;
  origin: string;
  /** Size of the tree. */
  size: number;
  /** The newest signed note: everything here is proved under it. */
  checkpoint: string;
  /** By index. */
  entries: GatheredEntry[];
  /** The newest checkpoint that witnesses cosigned, with all their lines; null when there is none. */
  cosigned: string | null;
  /** Consistency proofs (base64) from that one, and from those that signers had seen, to the checkpoint. */
  consistency: { old: number; proof: string[] }[];
  /** Entries that name the decision and are left out, because there are too many. */
  omitted: number;
  /** Entries after its first that could not be searched for it: they lie in archive files that are elsewhere. */
  unsearched: number;
}

/** More is no evidence about one decision. */
export const MENTIONS_MAX = 256;
const LINKS_MAX = 32;
const POLICY_MAX = 10_000;
const KEYS_MAX = 1_000;
const COSIGNED_MAX = 256;

interface Found {
  index: number;
  bytes: Uint8Array;
  entry: Entry;
}

/**
 * Gathers what belongs to a decision. `mentions`: what the whole search for entries that name it came to (`findMentions`).
 * Null when there is no such decision, or no checkpoint yet.
 */
export function gatherEvidence(
  ledger: EvidenceLedger,
  decision: string,
  { found: mentions, unsearched }: Omit<Mentions, 'next'>,
): Gathered | null {
  const checkpoint = ledger.checkpoint();
  const own = decision.startsWith('dec_') ? read(ledger, decision) : [];
  if (own.length === 0 || checkpoint === null) return null;
  const scope = new Scope(ledger);
  scope.add(own);
  scope.followSession(own);
  scope.followStops(own);
  scope.followLinks(own, LINKS_MAX);
  for (const index of mentions.slice(0, MENTIONS_MAX)) scope.addMention(index, decision);
  scope.addPolicy(own);
  scope.addKeys();
  const found = scope.entries();
  const cosigned = newestCosigned(ledger);
  const seen = found.flatMap(({ entry }) => parseSeen(entry.data)?.size ?? []);
  const sizes = sizesBelow(ledger.size, cosigned === null ? seen : [...seen, cosigned.size]);
  return {
    decision,
    origin: ledger.origin,
    size: ledger.size,
    checkpoint,
    entries: found.map(({ index, bytes, entry }) => ({
      index,
      role: roleOf(entry.stream, decision),
      text: new TextDecoder().decode(bytes),
      proof: ledger.inclusionProof(index).map(toBase64),
    })),
    cosigned: cosigned?.note ?? null,
    consistency: sizes.map((old) => ({ old, proof: ledger.consistencyProof(old).map(toBase64) })),
    omitted: Math.max(0, mentions.length - MENTIONS_MAX),
    unsearched,
  };
}

/** Why an entry is among the evidence about a decision: its stream says it. */
export function roleOf(stream: string, decision: string): EvidenceRole {
  if (stream === decision) return 'decision';
  return ROLES[stream.replace(/_.*/s, '')] ?? 'mention';
}

const ROLES: Readonly<Record<string, EvidenceRole>> = {
  dec: 'linked',
  bg: 'breakglass',
  grant: 'grant',
  inc: 'incident',
  policy: 'policy',
  keys: 'keys',
};

/** Collects entries, each once. */
class Scope {
  readonly #ledger: EvidenceLedger;
  readonly #found = new Map<number, Found>();
  readonly #streams = new Set<string>();

  constructor(ledger: EvidenceLedger) {
    this.#ledger = ledger;
  }

  add(entries: readonly Found[]): void {
    for (const found of entries) this.#found.set(found.index, found);
  }

  /** A stream with everything in it, once. */
  #whole(stream: string): Found[] {
    if (this.#streams.has(stream)) return [];
    this.#streams.add(stream);
    const entries = read(this.#ledger, stream);
    this.add(entries);
    return entries;
  }

  /** The break-glass session of a decision, and the sealed grant that opened it. */
  followSession(decision: readonly Found[]): void {
    const session = (decision[0]?.entry.data.breakglass as JsonObject | undefined)?.id;
    if (typeof session !== 'string') return;
    const [opened] = this.#whole(session);
    const grant = (opened?.entry.data.grant as JsonObject | undefined)?.id;
    if (typeof grant === 'string') this.#whole(grant);
  }

  /** The incidents that held a decision back. */
  followStops(decision: readonly Found[]): void {
    const stops = (decision[0]?.entry.data.stops ?? []) as JsonObject[];
    for (const { incident } of stops) if (typeof incident === 'string') this.#whole(incident);
  }

  /** The chain of decisions that this one goes back to. */
  followLinks(decision: readonly Found[], most: number): void {
    const link = decision[0]?.entry.data.linked_to;
    if (typeof link !== 'string' || most === 0) return;
    const linked = this.#whole(link);
    this.followSession(linked);
    this.followLinks(linked, most - 1);
  }

  /** An entry that names the decision: with its whole stream where that is about it, alone otherwise. */
  addMention(index: number, decision: string): void {
    const bytes = this.#ledger.entry(index);
    if (bytes === null || this.#found.has(index)) return;
    const entry = decodeEntry(bytes);
    const { stream, data } = entry;
    if (stream.startsWith('dec_')) {
      if (data.linked_to === decision) this.#whole(stream);
    } else if (stream.startsWith('inc_')) this.#whole(stream);
    else this.add([{ index, bytes, entry }]);
  }

  /** The entry that put the decision's policy in force for its environment, and what is on record of its release. */
  addPolicy(decision: readonly Found[]): void {
    const [first] = decision;
    const { policy, context } = (first?.entry.data ?? {}) as {
      policy?: { digest: string } | null;
      context?: { environment: string };
    };
    if (first === undefined || policy === null || policy === undefined) return;
    const history = read(this.#ledger, 'policy', POLICY_MAX).filter(({ index }) => index < first.index);
    const pins = history.filter(
      ({ entry: { type, data } }) =>
        type === 'policy.applied' && pinned(data, context?.environment ?? '') === policy.digest,
    );
    // What was only signed anew put nothing in force; in a log that went on for another one it may be all there is.
    const applied = pins.findLast(({ entry: { data } }) => data.renews === undefined) ?? pins.at(-1);
    if (applied === undefined) return;
    const hold = holdOf(applied.entry);
    const released = hold === null ? [] : history.filter(({ entry }) => holdOf(entry) === hold);
    this.add([...released, applied]);
  }

  /** Changes of the ledger's key, and suspensions of whoever signed something here. */
  addKeys(): void {
    const signers = new Set(
      [...this.#found.values()].flatMap(({ entry: { data } }) => [data.key, data.principal]),
    );
    const about = ({ entry: { type, data } }: Found): boolean => {
      if (type === 'key.rotated') return data.name === undefined || data.name === 'ledger';
      return signers.has(data.suspended ?? null) || signers.has(data.reinstated ?? null);
    };
    signers.delete(null);
    signers.delete(undefined);
    this.add(read(this.#ledger, 'keys', KEYS_MAX).filter(about));
  }

  entries(): Found[] {
    return [...this.#found.values()].sort((a, b) => a.index - b.index);
  }
}

function read(ledger: EvidenceLedger, stream: string, newest?: number): Found[] {
  return ledger
    .stream(stream, newest)
    .map(({ index, bytes }) => ({ index, bytes, entry: decodeEntry(bytes) }));
}

function pinned(data: JsonObject, environment: string): unknown {
  const environments = (data.environments ?? {}) as Record<string, JsonObject | undefined>;
  return Object.hasOwn(environments, environment) ? environments[environment]?.digest : undefined;
}

function holdOf({ data }: Entry): string | null {
  const id = (data.hold as JsonObject | undefined)?.id;
  return typeof id === 'string' ? id : null;
}

/** What the newest entries have of witnesses' cosignatures: of the largest tree, all lines in one note. */
function newestCosigned(ledger: EvidenceLedger): { size: number; note: string } | null {
  const cosigned = read(ledger, 'cosignature', COSIGNED_MAX).flatMap(({ entry: { type, data } }) =>
    type === 'anchor.cosigned' ? [data as unknown as CosignedData] : [],
  );
  const size = Math.max(-1, ...cosigned.map((one) => one.size));
  const notes = cosigned.filter((one) => one.size === size).map(({ note }) => note);
  return notes.length === 0 ? null : { size, note: mergeNotes(notes) };
}

/** Each size once, as far as the tree has grown since. */
function sizesBelow(size: number, sizes: readonly number[]): number[] {
  return [...new Set(sizes)].filter((one) => one > 0 && one < size).sort((a, b) => a - b);
}
