import type { FirstData } from '../core/create.ts';
import type { Gathered, GatheredEntry } from '../core/evidence-scope.ts';
import { foldDecision } from '../core/fold.ts';
import type { SealedValues } from '../core/sensitive.ts';
import { formatAnchor } from '../formats/anchor.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import { canonicalBytes, canonicalText } from '../formats/canonical-json.ts';
import { parseCheckpoint } from '../formats/checkpoint.ts';
import { isCommitment } from '../formats/commitment.ts';
import { fromBase64, sha256Hex, toHex } from '../formats/digest.ts';
import { decodeEntry, type Entry } from '../formats/entry.ts';
import {
  actMember,
  consistencyMember,
  disclosedMember,
  type EvidenceIndex,
  entryMember,
  evidenceStatement,
  formatIndex,
  formatSums,
  MEMBER,
  policyMember,
  proofMember,
  signatureMember,
} from '../formats/evidence.ts';
import { type Statement, signStatement, statementBytes } from '../formats/in-toto.ts';
import type { JsonObject } from '../formats/json.ts';
import { type NoteSigner, parseNote } from '../formats/signed-note.ts';
import { formatProof } from '../formats/tlog-proof.ts';
import { VERSION } from '../host/version.ts';
import { allowedSigners } from './allowed-signers.ts';
import { type Members, writeArchive } from './archive.ts';
import { readmeOf } from './readme.ts';

/** Everything that the evidence is made of. */
export interface EvidenceParts {
  site: string;
  gathered: Gathered;
  /** The TUF files under which the decision's policy was put in force; null where there was none, or they are gone. */
  update: { update_id: string; files: ReadonlyMap<string, Uint8Array> } | null;
  /** The site's trust file. It is there for comparison; whoever verifies brings their own. */
  trust: Uint8Array;
  /** What opens the commitments of the fields to be shown. */
  shown: SealedValues;
  /** Index of the entry that records this export; null where it is made of copied files. */
  record: number | null;
}

/** The evidence as a tar, its statement signed by the ledger's key where there is one. Same parts, same bytes. */
export async function composeEvidence(parts: EvidenceParts, signer: NoteSigner | null): Promise<Uint8Array> {
  const { members, statement } = assemble(parts);
  const all = new Map(members);
  if (signer === null) all.set(MEMBER.unsigned, statementBytes(statement));
  else all.set(MEMBER.statement, encode(signStatement(statement, signer)));
  return writeArchive(all);
}

/** Which policy belongs to a decision: its bundle, for which environment, and the update that put it in force, if known. */
export function policyNeeded(
  gathered: Gathered,
): { digest: string; environment: string; update_id: string | null } | null {
  const dataOf = (entry: GatheredEntry | undefined) => decodeEntry(encode(entry?.text ?? '')).data;
  const { policy, context } = dataOf(
    gathered.entries.find(({ role }) => role === 'decision'),
  ) as unknown as FirstData;
  if (policy === null) return null;
  const applied = gathered.entries
    .filter(({ role }) => role === 'policy')
    .map(({ text }) => decodeEntry(encode(text)))
    .findLast(({ type }) => type === 'policy.applied');
  const update_id = applied === undefined ? null : String(applied.data.update_id);
  return { digest: policy.digest, environment: context.environment, update_id };
}

/** An update as the policy store gives it out, with bytes. */
export function unpackUpdate(
  stored: { update_id: string; files: Record<string, string> } | null,
): EvidenceParts['update'] {
  if (stored === null) return null;
  const files = Object.entries(stored.files).map(([name, text]) => [name, fromBase64(text)] as const);
  return { update_id: stored.update_id, files: new Map(files) };
}

/** An entry at its place. */
interface Own {
  index: number;
  entry: Entry;
}

function assemble(parts: EvidenceParts): { members: Members; statement: Statement } {
  const { gathered } = parts;
  const entries = gathered.entries.map((one) => ({ ...one, entry: decodeEntry(encode(one.text)) }));
  const own: Own[] = entries.filter(({ role }) => role === 'decision');
  const first = own[0]?.entry.data as unknown as FirstData | undefined;
  if (first === undefined) throw new Error('evidence: a decision without entries');
  const bundle = bundleOf(parts, first);
  const index = indexOf(parts, entries, { first, bundle });
  const { decision } = foldDecision(own);
  const members = new Map<string, Uint8Array>([
    [MEMBER.readme, encode(readmeOf(index))],
    [MEMBER.index, formatIndex(index)],
    [MEMBER.trust, parts.trust],
    ...ledgerFiles(parts),
    ...gathered.entries.flatMap((one) => entryFiles(one, gathered.checkpoint)),
    ...entries.flatMap(actFiles),
    ...policyFiles(parts, entries, bundle),
    ...disclosedFiles(parts),
  ]);
  members.set(MEMBER.sums, formatSums(members));
  const statement = evidenceStatement(members, {
    index,
    version: VERSION,
    status: decision.status,
    result: decision.enforcement.result,
    action_digest: decision.action_digest,
    root_hash: toHex(parseCheckpoint(parseNote(gathered.checkpoint).text).root),
  });
  return { members, statement };
}

/** The bundle that the decision is pinned to, among the files of its update. */
function bundleOf(
  { update }: EvidenceParts,
  { policy }: FirstData,
): { name: string; bytes: Uint8Array } | null {
  if (policy === null) return null;
  for (const [name, bytes] of update?.files ?? [])
    if (name.startsWith('targets/bundles/') && sha256Hex(bytes) === policy.digest) return { name, bytes };
  throw new BoundaryError(
    'evidence.policy_missing',
    `The signed files of policy ${policy.version} (${policy.digest}) are not in the policy store, so the evidence would not be whole. Nothing was written; restore state/policy from a backup.`,
  );
}

function indexOf(
  { site, gathered, update, shown, record }: EvidenceParts,
  entries: readonly (GatheredEntry & { entry: Entry })[],
  { first, bundle }: { first: FirstData; bundle: { name: string } | null },
): EvidenceIndex {
  const { policy, action } = first;
  const sensitive = Object.keys(action.payload).filter((field) => isCommitment(action.payload[field]));
  const isGone = (field: string) => entries.some(({ entry }) => isShredded(entry, gathered.decision, field));
  const hidden = sensitive.filter((field) => !Object.hasOwn(shown, field));
  return {
    v: 1,
    type: 'holdfast/evidence/v1',
    site,
    origin: gathered.origin,
    decision: gathered.decision,
    tree_size: gathered.size,
    entries: entries.map(({ index, role, entry: { type, stream } }) => ({ index, role, type, stream })),
    policy:
      policy === null || update === null || bundle === null
        ? null
        : { update_id: update.update_id, digest: policy.digest, file: policyMember(bundle.name) },
    fields: {
      disclosed: sensitive.filter((field) => Object.hasOwn(shown, field)),
      withheld: hidden.filter((field) => !isGone(field)),
      shredded: hidden.filter(isGone),
    },
    omitted: gathered.omitted,
    unsearched: gathered.unsearched,
    export: record === null ? null : recordOf(entries, record),
  };
}

/** What the entry about an export says of it. */
export function recordOf(entries: readonly Own[], record: number): NonNullable<EvidenceIndex['export']> {
  const entry = entries.find(({ index }) => index === record)?.entry;
  if (entry?.type !== 'ledger.read' || entry.data.right !== 'export')
    throw new BoundaryError('evidence.record', `Entry ${record} does not record an export.`, {
      at: '/export',
    });
  return { record, at: entry.at, by: entry.actor.id, reason: String(entry.data.reason) };
}

/** Whether an entry says that a field's value was destroyed. */
export function isShredded({ type, data }: Entry, decision: string, field: string): boolean {
  const { decisions, fields } = data as { decisions?: unknown; fields?: unknown };
  if (type !== 'envelope.shredded' || !Array.isArray(decisions) || !decisions.includes(decision))
    return false;
  return !Array.isArray(fields) || fields.includes(field);
}

function ledgerFiles({ gathered }: EvidenceParts): [string, Uint8Array][] {
  const { checkpoint, consistency, cosigned, size } = gathered;
  const files: [string, Uint8Array][] = [[MEMBER.checkpoint, encode(checkpoint)]];
  if (cosigned !== null) files.push([MEMBER.cosigned, encode(cosigned)]);
  for (const { old, proof } of consistency) {
    const anchor = formatAnchor({ old, proof: proof.map(fromBase64), checkpoint });
    files.push([consistencyMember(old, size), encode(anchor)]);
  }
  return files;
}

function entryFiles({ index, text, proof }: GatheredEntry, checkpoint: string): [string, Uint8Array][] {
  const bytes = encode(text);
  const file = formatProof({ index, extra: bytes, proof: proof.map(fromBase64), checkpoint });
  return [
    [entryMember(index), bytes],
    [proofMember(index), encode(file)],
  ];
}

/** The act of an entry as it was signed, for `ssh-keygen -Y verify`. */
function actFiles({ index, entry: { data } }: Own): [string, Uint8Array][] {
  const { act, signature } = data;
  if (typeof signature !== 'string' || act === null || typeof act !== 'object' || Array.isArray(act))
    return [];
  return [
    [actMember(index), encode(canonicalText(act))],
    [signatureMember(index), encode(signature)],
  ];
}

function policyFiles(
  { update }: EvidenceParts,
  entries: readonly Own[],
  bundle: { bytes: Uint8Array } | null,
): [string, Uint8Array][] {
  if (bundle === null) return [];
  const files = [...(update?.files ?? [])].map(([name, bytes]): [string, Uint8Array] => [
    policyMember(name),
    bytes,
  ]);
  const signers = allowedSigners(
    bundle.bytes,
    entries.map(({ entry }) => entry),
  );
  return [[MEMBER.signers, encode(signers)], ...files.sort(([a], [b]) => (a < b ? -1 : 1))];
}

function disclosedFiles({ shown }: EvidenceParts): [string, Uint8Array][] {
  return Object.entries(shown).map(([field, { salt, value }]) => [
    disclosedMember(field),
    canonicalBytes({ field, salt, value } satisfies JsonObject),
  ]);
}

function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
