import { BoundaryError } from './boundary-error.ts';
import { canonicalBytes } from './canonical-json.ts';
import { isHexDigest, sha256Hex } from './digest.ts';
import type { Statement } from './in-toto.ts';
import type { Json, JsonObject } from './json.ts';
import { parseStrict } from './strict-json.ts';

/*
 * The evidence about one decision: a tar of plain files in public formats. This file knows their names and our own two
 * formats among them, the index (`evidence.json`) and the list of digests (`SHA256SUMS`, as `sha256sum -c` reads it).
 */

/** Predicate type of the statement over the files (docs: decision 0032). */
const EVIDENCE_PREDICATE = 'urn:holdfast:predicate:evidence:v1';

/** The files that are there once. */
export const MEMBER = {
  readme: 'README.txt',
  index: 'evidence.json',
  sums: 'SHA256SUMS',
  /** Signed by the ledger's key; made by a running daemon. */
  statement: 'statement.dsse.json',
  /** Unsigned; made of copied files. */
  unsigned: 'statement.json',
  trust: 'trust.json',
  checkpoint: 'ledger/checkpoint',
  cosigned: 'ledger/cosigned',
  signers: 'acts/allowed_signers',
} as const;

/** Bounds of a file of evidence. What is larger is refused unread. */
export const EVIDENCE_LIMITS = {
  bytes: 32 * 1024 * 1024,
  members: 8_192,
  nameBytes: 512,
} as const;

/** `entries/000000000012.json`: the entry's bytes. */
export const entryMember = (index: number): string => `entries/${digits(index)}.json`;
/** `entries/000000000012.tlog-proof`: C2SP proof of the entry, its bytes included. */
export const proofMember = (index: number): string => `entries/${digits(index)}.tlog-proof`;
/** `acts/000000000012.json`: the exact text that somebody signed. */
export const actMember = (index: number): string => `acts/${digits(index)}.json`;
/** `acts/000000000012.sig`: the SSH signature over it. */
export const signatureMember = (index: number): string => `acts/${digits(index)}.sig`;
/** `ledger/consistency/<old>-<size>.anchor`: that the tree of `old` entries is part of the one of `size`. */
export const consistencyMember = (old: number, size: number): string =>
  `ledger/consistency/${digits(old)}-${digits(size)}.anchor`;
/** `policy/metadata/…`, `policy/targets/…`: the TUF repository under which the policy was put in force. */
export const policyMember = (name: string): string => `policy/${name}`;
/** `disclosed/<field>.json`: salt and value that open a commitment. */
export const disclosedMember = (field: string): string => `disclosed/${field}.json`;

function digits(index: number): string {
  return String(index).padStart(12, '0');
}

/** Whether a member may be called so: no absolute path, nothing that climbs, nothing that hides. */
export function isMemberName(name: string): boolean {
  return (
    name.length <= EVIDENCE_LIMITS.nameBytes &&
    /^[A-Za-z0-9][A-Za-z0-9._-]*(\/[A-Za-z0-9_][A-Za-z0-9._-]*)*$/.test(name) &&
    !name.includes('..')
  );
}

/** What `evidence.json` says: what is in the file, and why. It proves nothing; everything in it is checked. */
export interface EvidenceIndex {
  v: 1;
  type: 'holdfast/evidence/v1';
  site: string;
  origin: string;
  decision: string;
  /** Size of the tree that everything is proved in. */
  tree_size: number;
  entries: { index: number; role: string; type: string; stream: string }[];
  /** The update that put the policy in force, and the file of the bundle; null where no policy was. */
  policy: { update_id: string; digest: string; file: string } | null;
  /** Sensitive fields of the payload, by what is shown of them. */
  fields: { disclosed: string[]; withheld: string[]; shredded: string[] };
  /** Entries that name the decision and are not here, because there are too many. */
  omitted: number;
  /** Entries after its first that could not be searched for it: they lie in archive files that are elsewhere. */
  unsearched: number;
  /** The record of this export; null where it was made of copied files. */
  export: { record: number; at: string; by: string | null; reason: string } | null;
}

const INDEX_MEMBERS = 'decision,entries,export,fields,omitted,origin,policy,site,tree_size,type,unsearched,v';

/** Bytes of `evidence.json`. */
export function formatIndex(index: EvidenceIndex): Uint8Array {
  return canonicalBytes(index as unknown as JsonObject);
}

/** Reads `evidence.json`, strictly. Throws `BoundaryError` `evidence.index` with `at`. */
export function parseIndex(bytes: Uint8Array): EvidenceIndex {
  const value = parseStrict(textOf(bytes), { maxBytes: 4 * 1024 * 1024, maxDepth: 6 });
  if (!isObject(value) || Object.keys(value).sort().join() !== INDEX_MEMBERS)
    throw wrong('', `has not exactly the members ${INDEX_MEMBERS}`);
  check(value.v === 1 && value.type === 'holdfast/evidence/v1', '/v', 'is no version known here');
  for (const name of ['site', 'origin', 'decision'] as const)
    check(typeof value[name] === 'string' && value[name] !== '', `/${name}`, 'is no text');
  check(isCount(value.tree_size), '/tree_size', 'is no count');
  check(isCount(value.omitted), '/omitted', 'is no count');
  check(isCount(value.unsearched), '/unsearched', 'is no count');
  check(
    Array.isArray(value.entries) && value.entries.every(isEntryLine),
    '/entries',
    'is no list of entries',
  );
  check(value.policy === null || isPolicy(value.policy), '/policy', 'names no update and bundle');
  check(isFields(value.fields), '/fields', 'has no lists of fields');
  check(value.export === null || isExport(value.export), '/export', 'says not who exported it');
  return value as unknown as EvidenceIndex;
}

/** `SHA256SUMS` over members, in their order. */
export function formatSums(members: ReadonlyMap<string, Uint8Array>): Uint8Array {
  const lines = [...members].map(([name, bytes]) => `${sha256Hex(bytes)}  ${name}\n`);
  return new TextEncoder().encode(lines.join(''));
}

/** Name to hex SHA-256. Throws `BoundaryError` `evidence.sums` for a line that is not one, or a name that comes twice. */
export function parseSums(bytes: Uint8Array): Map<string, string> {
  const text = textOf(bytes);
  const sums = new Map<string, string>();
  if (!text.endsWith('\n')) throw sumsDefect('does not end with a line');
  for (const line of text.slice(0, -1).split('\n')) {
    const [, digest, name] = /^([0-9a-f]{64}) {2}(\S+)$/.exec(line) ?? [];
    if (digest === undefined || name === undefined || !isMemberName(name))
      throw sumsDefect('has a line that is not a digest and a name');
    if (sums.has(name)) throw sumsDefect(`names ${name} twice`);
    sums.set(name, digest);
  }
  return sums;
}

/** The statement about the files: each is a subject, and the predicate says what they are about. */
export function evidenceStatement(
  members: ReadonlyMap<string, Uint8Array>,
  about: {
    index: EvidenceIndex;
    version: string;
    status: string;
    result: string;
    action_digest: string;
    root_hash: string;
  },
): Statement {
  const { index, version, status, result, action_digest, root_hash } = about;
  const digest = (name: string): JsonObject => ({ sha256: sha256Hex(members.get(name) ?? new Uint8Array()) });
  const { policy, fields } = index;
  return {
    subject: [...members].map(([name, bytes]) => ({ name, sha256: sha256Hex(bytes) })),
    predicateType: EVIDENCE_PREDICATE,
    predicate: {
      verifier: { id: `urn:holdfast:site:${index.site}`, version: { holdfast: version } },
      resourceUri: `urn:holdfast:decision:${index.decision}`,
      decision: { status, result, actionDigest: { sha256: action_digest } },
      policy: policy === null ? null : { uri: policy.file, digest: digest(policy.file) },
      inputAttestations: index.entries.map(({ index: at }) => ({
        uri: proofMember(at),
        digest: digest(proofMember(at)),
      })),
      log: { origin: index.origin, treeSize: index.tree_size, rootHash: root_hash },
      disclosure: { ...fields },
      ...(index.export === null ? {} : { timeCreated: index.export.at, record: index.export.record }),
    },
  };
}

/** Text of a member. Throws `BoundaryError` `evidence.not_text`. */
export function textOf(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new BoundaryError('evidence.not_text', 'It is not UTF-8 text.', { cause });
  }
}

function isEntryLine(value: Json): boolean {
  return (
    isObject(value) &&
    Object.keys(value).sort().join() === 'index,role,stream,type' &&
    isCount(value.index) &&
    ['role', 'type', 'stream'].every((name) => typeof value[name] === 'string')
  );
}

function isPolicy(value: Json | undefined): boolean {
  return (
    isObject(value) &&
    Object.keys(value).sort().join() === 'digest,file,update_id' &&
    isHexDigest(value.update_id) &&
    isHexDigest(value.digest) &&
    typeof value.file === 'string'
  );
}

function isFields(value: Json | undefined): boolean {
  return (
    isObject(value) &&
    Object.keys(value).sort().join() === 'disclosed,shredded,withheld' &&
    Object.values(value).every((list) => Array.isArray(list) && list.every((one) => typeof one === 'string'))
  );
}

function isExport(value: Json | undefined): boolean {
  return (
    isObject(value) &&
    Object.keys(value).sort().join() === 'at,by,reason,record' &&
    isCount(value.record) &&
    typeof value.at === 'string' &&
    typeof value.reason === 'string' &&
    (value.by === null || typeof value.by === 'string')
  );
}

function isCount(value: Json | undefined): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function check(holds: boolean, at: string, what: string): void {
  if (!holds) throw wrong(at, what);
}

function wrong(at: string, what: string): BoundaryError {
  return new BoundaryError('evidence.index', `${at === '' ? 'It' : `Its ${at}`} ${what}.`, { at });
}

function sumsDefect(what: string): BoundaryError {
  return new BoundaryError('evidence.sums', `It ${what}.`);
}
