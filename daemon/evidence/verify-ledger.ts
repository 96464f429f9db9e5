import { parseAnchor } from '../formats/anchor.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import { type Checkpoint, openCheckpoint, parseCheckpoint } from '../formats/checkpoint.ts';
import { equalBytes } from '../formats/digest.ts';
import { entryHash } from '../formats/entry.ts';
import {
  consistencyMember,
  type EvidenceIndex,
  entryMember,
  MEMBER,
  proofMember,
  textOf,
} from '../formats/evidence.ts';
import type { LogVkey } from '../formats/log-keys.ts';
import { leafHash, verifyConsistency, verifyInclusion } from '../formats/merkle.ts';
import { parseSeen } from '../formats/seen-checkpoint.ts';
import { parseNote } from '../formats/signed-note.ts';
import { openTrustedCheckpoint, type TlogPolicy } from '../formats/tlog-policy.ts';
import { parseProof } from '../formats/tlog-proof.ts';
import { count, type Examination, type Outcome } from './examination.ts';
import type { OpenedEntry, OpenedEvidence } from './opened.ts';

/** Streams that are about one thing: they come whole, so that nothing within can be missing. */
const WHOLE = /^(dec|bg|grant|inc)_/;

/** The tree head: signed by the log's key, of the size and log that the index says. Gives null when it does not hold. */
export function checkHead(
  ex: Examination,
  index: EvidenceIndex,
  keys: readonly LogVkey[],
): { head: Checkpoint | null; outcome: Outcome } {
  const note = ex.text(MEMBER.checkpoint);
  if (note === null) return { head: null, outcome: { not_checked: 'there is no checkpoint' } };
  const head = openCheckpoint(note, { origin: index.origin, vkeys: keys });
  if (head.size !== index.tree_size)
    ex.fail(
      MEMBER.index,
      `It speaks of ${index.tree_size} entries; the signed checkpoint is of ${head.size}.`,
      {
        field: '/tree_size',
      },
    );
  const by = head.verified.map(({ name }) => name).join(', ');
  return { head, outcome: `${head.origin} at ${head.size} entries, signed by ${by}` };
}

/** Every entry is what the index says, and has its place in the tree. */
export function checkInclusion(ex: Examination, { index, entries, head }: OpenedEvidence): Outcome {
  const note = ex.text(MEMBER.checkpoint);
  if (head === null || note === null) return { not_checked: 'the checkpoint does not hold' };
  for (const [position, line] of index.entries.entries()) {
    const found = entries.find((one) => one.index === line.index);
    if (found === undefined) continue;
    const { type, stream, site } = found.entry;
    const name = entryMember(line.index);
    if (type !== line.type || stream !== line.stream)
      ex.fail(MEMBER.index, `It calls entry ${line.index} other than that calls itself.`, {
        field: `/entries/${position}`,
      });
    if (site !== index.site) ex.fail(name, `It is of ${site}, not of ${index.site}.`, { field: '/site' });
    checkProof(ex, found, note, head);
  }
  return `${count(entries.length, 'entry is', 'entries are')} in the tree, each at its place`;
}

function checkProof(ex: Examination, { index, bytes }: OpenedEntry, note: string, head: Checkpoint): void {
  const name = proofMember(index);
  const text = ex.text(name);
  if (text === null) return;
  try {
    const { index: at, extra, proof, checkpoint } = parseProof(text);
    if (at !== index) ex.fail(name, `It is about entry ${at}.`, { field: 'index' });
    if (checkpoint !== note)
      ex.fail(name, 'It is under another checkpoint than the rest.', { field: 'checkpoint' });
    if (extra === undefined || !equalBytes(extra, bytes))
      ex.fail(name, `It carries other bytes than ${entryMember(index)}.`, { field: 'extra' });
    if (!verifyInclusion(leafHash(bytes), index, head.size, proof, head.root))
      ex.fail(
        entryMember(index),
        `It is not entry ${index} of the log: it was changed after it was recorded, or never was.`,
      );
  } catch (error) {
    if (!(error instanceof BoundaryError)) throw error;
    ex.fail(name, error.message);
  }
}

/** What is about one thing comes whole: numbered from 0 without a gap, each entry naming the digest of the one before. */
export function checkChains(ex: Examination, { entries }: OpenedEvidence): Outcome {
  const streams = Map.groupBy(
    entries.filter(({ entry }) => WHOLE.test(entry.stream)),
    ({ entry }) => entry.stream,
  );
  for (const chain of streams.values()) {
    let before: OpenedEntry | null = null;
    for (const one of chain) {
      const name = entryMember(one.index);
      const { seq, prev } = one.entry;
      const due = before === null ? 0 : before.entry.seq + 1;
      if (seq !== due)
        ex.fail(name, `Number ${due} of ${one.entry.stream} is missing before it.`, { field: '/seq' });
      else if (before !== null && prev !== entryHash(before.bytes))
        ex.fail(name, `It follows another entry than ${entryMember(before.index)}.`, { field: '/prev' });
      before = one;
    }
  }
  return `${streams.size === 1 ? 'the decision comes' : `${streams.size} courses of events come`} whole, without a gap`;
}

/** What signers had seen of the log is part of it: whoever was shown another history, and signed, contradicts it. */
export function checkSeen(ex: Examination, { entries, head, index }: OpenedEvidence): Outcome {
  if (head === null) return { not_checked: 'the checkpoint does not hold' };
  let compared = 0;
  for (const { index: at, entry } of entries) {
    const seen = parseSeen(entry.data);
    if (seen === null || seen.size === 0 || seen.origin !== index.origin) continue;
    compared += 1;
    const who = entry.actor.id ?? 'the signer';
    const field = '/data/act/seen_checkpoint';
    if (seen.size > head.size) {
      ex.fail(
        entryMember(at),
        `${who} signed having seen ${seen.size} entries of this log, which now has ${head.size}: it was rolled back.`,
        { field, code: 14 },
      );
    } else if (!isPartOf(ex, seen, head)) {
      ex.fail(
        entryMember(at),
        `${who} signed having seen another history of this log at ${seen.size} entries.`,
        { field },
      );
    }
  }
  if (compared === 0) return { not_checked: 'nobody who signed had seen a checkpoint' };
  return `${count(compared, 'signed act names', 'signed acts name')} a checkpoint that is part of this history`;
}

/** Whether an earlier tree is part of the one of the head, by the consistency proof that the evidence holds for it. */
function isPartOf(ex: Examination, earlier: Checkpoint, head: Checkpoint): boolean {
  if (earlier.size === head.size) return equalBytes(earlier.root, head.root);
  const name = consistencyMember(earlier.size, head.size);
  ex.used.add(name);
  const text = ex.text(name);
  if (text === null) return true;
  try {
    const { old, proof, checkpoint } = parseAnchor(text);
    if (checkpoint !== ex.text(MEMBER.checkpoint))
      ex.fail(name, 'It is about another checkpoint than the rest.', { field: 'checkpoint' });
    if (old !== earlier.size) ex.fail(name, `It proves something about ${old} entries.`, { field: 'old' });
    return verifyConsistency(earlier.size, head.size, proof, earlier.root, head.root);
  } catch (error) {
    if (!(error instanceof BoundaryError)) throw error;
    ex.fail(name, error.message);
    return true;
  }
}

/** Every proof of consistency belongs to a checkpoint that somebody saw or cosigned. */
function checkUnused(ex: Examination): void {
  for (const name of ex.members.keys())
    if (name.startsWith('ledger/consistency/') && !ex.used.has(name))
      ex.fail(name, 'It proves something that nothing here asks for.');
}

/** What witnesses outside the site vouch for: that this history is the one that everybody was shown. */
export function checkWitnesses(
  ex: Examination,
  { head, own, index }: OpenedEvidence,
  policy: TlogPolicy | null,
): Outcome {
  if (head === null) return { not_checked: 'the checkpoint does not hold' };
  const bytes = ex.members.get(MEMBER.cosigned);
  const note = bytes === undefined ? null : textOf(bytes);
  if (note !== null) {
    const witnessed = parseCheckpoint(parseNote(note).text);
    if (witnessed.origin !== index.origin || !isPartOf(ex, witnessed, head))
      ex.fail(MEMBER.cosigned, 'What the witnesses cosigned is another history than this one.');
  }
  checkUnused(ex);
  const lone = `No witness vouches for this history here: the site could have shown another one to others. Compare with an anchor or checkpoint from elsewhere: ${head.size} entries, root ${Buffer.from(head.root).toString('base64')}.`;
  if (policy === null || policy.quorum === null) {
    ex.unproved.push(lone);
    const words =
      note === null
        ? 'no witness cosigned'
        : 'cosigned, but nothing here says whose cosignatures count (--policy)';
    return { not_checked: words };
  }
  try {
    const { size } = openTrustedCheckpoint(note ?? ex.text(MEMBER.checkpoint) ?? '', { policy });
    const last = own.at(-1)?.index ?? 0;
    if (size > last) return `the quorum of witnesses cosigned this history up to entry ${size - 1}`;
    ex.unproved.push(
      `${lone} The newest that enough witnesses cosigned has ${size} entries, fewer than reach the end of this decision.`,
    );
    return { not_checked: `cosigned up to entry ${size - 1} only` };
  } catch (error) {
    if (!(error instanceof BoundaryError) || error.code !== 'tlog_policy.no_quorum') throw error;
    ex.unproved.push(lone);
    ex.fail(MEMBER.cosigned, 'Too few of the witnesses in the policy given have cosigned this history.', {
      code: 12,
    });
    return { not_checked: '' };
  }
}
