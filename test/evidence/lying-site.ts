import { gatherEvidence } from '../../daemon/core/evidence-scope.ts';
import { readArchive } from '../../daemon/evidence/archive.ts';
import { composeEvidence } from '../../daemon/evidence/compose.ts';
import type { EvidenceTrust } from '../../daemon/evidence/verify.ts';
import { formatCheckpoint } from '../../daemon/formats/checkpoint.ts';
import { ed25519Signer } from '../../daemon/formats/ed25519.ts';
import { decodeEntry, type Entry, encodeEntry, entryHash } from '../../daemon/formats/entry.ts';
import { parseIndex } from '../../daemon/formats/evidence.ts';
import { consistencyRanges, inclusionRanges, leafHash, rootOf } from '../../daemon/formats/merkle.ts';
import { formatVkey, signNote } from '../../daemon/formats/signed-note.ts';

/*
 * A site that lies: its ledger is in order, its key is the one that is believed, and what it recorded is not what was decided.
 * Everything is genuine but the truth; what is left are people's signatures and the rules.
 */

export interface LyingSite {
  /** Writes a log of these entries, in order, and exports the decision from it. */
  export(entries: readonly Entry[], seen?: { padding: number }): Promise<Uint8Array>;
  /** With the key that the site really has. */
  trust: EvidenceTrust;
}

/** A site with the policy and people of real evidence, whose ledger key is in our hands. */
export async function lyingSite(
  real: Uint8Array,
  believed: EvidenceTrust,
): Promise<LyingSite & { entries: Entry[] }> {
  const members = await readArchive(real);
  const index = parseIndex(members.get('evidence.json') ?? new Uint8Array());
  const { publicKey, sign } = ed25519Signer(new Uint8Array(32).fill(9));
  const vkey = formatVkey(index.origin, publicKey);
  const signer = { name: index.origin, vkey, sign };
  const entries = index.entries
    .map((line) =>
      decodeEntry(members.get(`entries/${String(line.index).padStart(12, '0')}.json`) ?? new Uint8Array()),
    )
    .filter(({ stream }) => stream === 'policy' || stream === index.decision);
  const files = [...members].flatMap(([name, bytes]) =>
    name.startsWith('policy/') ? [[name.slice('policy/'.length), bytes] as const] : [],
  );
  const update = { update_id: index.policy?.update_id ?? '', files: new Map(files) };
  const trust = { ...believed, logs: [{ origin: index.origin, keys: [{ vkey, from: 0, until: null }] }] };
  return {
    trust,
    entries,
    export: async (told, { padding } = { padding: 0 }) => {
      const ledger = logOf(told, padding, index.origin, signer);
      const gathered = gatherEvidence(ledger, index.decision, { found: [], unsearched: 0 });
      if (gathered === null) throw new Error('no such decision');
      const parts = {
        site: index.site,
        gathered,
        update,
        trust: new Uint8Array([123, 125]),
        shown: {},
        record: null,
      };
      return composeEvidence(parts, signer);
    },
  };
}

/** A ledger in memory: the entries chained as streams, under a tree that the key signed. */
function logOf(
  told: readonly Entry[],
  padding: number,
  origin: string,
  signer: Parameters<typeof signNote>[1][number],
) {
  const heads = new Map<string, { seq: number; hash: string }>();
  const filler = Array.from({ length: padding }, (): Entry => filling(told[0]));
  const stored = [...told, ...filler].map((entry, index) => {
    const before = heads.get(entry.stream);
    const chained = { ...entry, seq: before === undefined ? 0 : before.seq + 1, prev: before?.hash ?? null };
    const bytes = encodeEntry(chained);
    heads.set(entry.stream, { seq: chained.seq, hash: entryHash(bytes) });
    return { index, bytes, stream: entry.stream };
  });
  const leaves = stored.map(({ bytes }) => leafHash(bytes));
  const size = leaves.length;
  const hashes = (ranges: { start: number; end: number }[]) =>
    ranges.map(({ start, end }) => rootOf(leaves.slice(start, end)));
  const note = signNote(formatCheckpoint({ origin, size, root: rootOf(leaves) }), [signer]);
  return {
    origin,
    size,
    checkpoint: () => note,
    entry: (at: number) => stored[at]?.bytes ?? null,
    entries: (from: number, limit: number) => stored.slice(from, from + limit),
    stream: (id: string) => stored.filter(({ stream }) => stream === id),
    inclusionProof: (at: number) => hashes(inclusionRanges(at, size)),
    consistencyProof: (from: number) => hashes(consistencyRanges(from, size)),
  };
}

function filling(like: Entry | undefined): Entry {
  if (like === undefined) throw new Error('nothing told');
  return {
    ...like,
    type: 'system.heartbeat',
    stream: 'system',
    actor: { id: null, role: 'system' },
    data: {},
  };
}
