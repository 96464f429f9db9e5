import { BoundaryError } from './boundary-error.ts';
import { type CheckpointTrust, type OpenedCheckpoint, openCheckpoint } from './checkpoint.ts';
import { toHex } from './digest.ts';
import { parseVkey, TYPE_COSIGNATURE, TYPE_ED25519, type Vkey } from './signed-note.ts';

/** The spec asks for at least 32 logs, witnesses and groups. */
const MAX_DEFINITIONS = 256;
const MAX_BYTES = 256 * 1024;

/** A witness is satisfied by its cosignature, a group by `threshold` satisfied members. */
type Member = { vkey: Vkey } | { threshold: number; members: string[] };

/** A parsed tlog-policy file: which logs are believed, and which cosignatures must be there. */
export interface TlogPolicy {
  readonly logs: readonly Vkey[];
  readonly witnesses: readonly Vkey[];
  /** Witnesses and groups by name. */
  readonly members: ReadonlyMap<string, Member>;
  /** Name of a witness or group; null for `quorum none`. */
  readonly quorum: string | null;
}

/** What a verifier of proofs knows beforehand: keys, or a whole policy. */
export type LogTrust = CheckpointTrust | { policy: TlogPolicy };

interface Draft {
  logs: Vkey[];
  witnesses: Vkey[];
  members: Map<string, Member>;
  /** Names that already belong to a group: each may count in one place only. */
  grouped: Set<string>;
  /** Key material seen, per kind: the same key under another name would count twice. */
  keys: Set<string>;
  quorum: string | null | undefined;
}

/**
 * Parses a tlog-policy file (C2SP tlog-policy). Throws `BoundaryError` `tlog_policy.malformed` with `at` = line
 * number; keys of unsupported signature types are refused too, because a quorum that cannot be met is better known now.
 */
export function parsePolicy(text: string): TlogPolicy {
  if (text.length > MAX_BYTES || /[^\t\n\u0020-\u007e\u0080-\uffff]/.test(text)) {
    throw malformed(0, 'is too large or holds control characters');
  }
  const draft: Draft = {
    logs: [],
    witnesses: [],
    members: new Map(),
    grouped: new Set(),
    keys: new Set(),
    quorum: undefined,
  };
  for (const [index, line] of text.split('\n').entries()) {
    const words = line.split(/[ \t]+/).filter((word) => word !== '');
    const [keyword, ...rest] = words;
    if (keyword !== undefined && !keyword.startsWith('#')) {
      readLine(draft, keyword, rest, index + 1);
    }
    if (draft.logs.length + draft.members.size > MAX_DEFINITIONS) {
      throw malformed(index + 1, `defines more than ${MAX_DEFINITIONS} names`);
    }
  }
  if (draft.quorum === undefined) {
    throw malformed(0, 'has no quorum line');
  }
  return { logs: draft.logs, witnesses: draft.witnesses, members: draft.members, quorum: draft.quorum };
}

/** Whether witnesses, by the text of their vkeys, meet the policy's quorum. */
export function meetsQuorum(policy: TlogPolicy, cosigners: ReadonlySet<string>): boolean {
  // Groups only refer to names before them, so this recursion ends; the file's own size bounds its depth.
  const satisfied = (name: string): boolean => {
    const member = policy.members.get(name);
    if (member === undefined) {
      return false;
    }
    if ('vkey' in member) {
      return cosigners.has(member.vkey.text);
    }
    return member.members.filter(satisfied).length >= member.threshold;
  };
  return policy.quorum === null || satisfied(policy.quorum);
}

/**
 * Opens a checkpoint under keys or a policy: signed by a known log whose name is its origin, and, under a policy,
 * cosigned by its quorum. Throws those of `openCheckpoint` and `BoundaryError` `tlog_policy.no_quorum`.
 */
export function openTrustedCheckpoint(note: string | Uint8Array, trust: LogTrust): OpenedCheckpoint {
  if (!('policy' in trust)) {
    return openCheckpoint(note, trust);
  }
  const { policy } = trust;
  const checkpoint = openCheckpoint(note, { vkeys: [...policy.logs, ...policy.witnesses] });
  const cosigners = new Set(
    checkpoint.verified.filter((one) => one.type === TYPE_COSIGNATURE).map((one) => one.vkey),
  );
  if (!meetsQuorum(policy, cosigners)) {
    throw new BoundaryError(
      'tlog_policy.no_quorum',
      `The checkpoint carries ${cosigners.size} known cosignatures; the policy's quorum is not met.`,
    );
  }
  return checkpoint;
}

/** The text of a tlog-policy with the newest key of a log in place of its old ones; all else stays, comments too. */
export function withLogKey(text: string, old: readonly string[], vkey: string): string {
  return text
    .split('\n')
    .map((line) => {
      const [, start, key, end] = /^([ \t]*log[ \t]+)([^ \t]+)(.*)$/.exec(line) ?? [];
      return key !== undefined && old.includes(key) ? `${start}${vkey}${end}` : line;
    })
    .join('\n');
}

const LINES = { log: readLog, witness: readWitness, group: readGroup, quorum: readQuorum } as const;

function readLine(draft: Draft, keyword: string, words: string[], line: number): void {
  if (!Object.hasOwn(LINES, keyword)) {
    throw malformed(line, 'starts with none of log, witness, group, quorum');
  }
  LINES[keyword as keyof typeof LINES](draft, words, line);
}

/** `log <vkey> [<url>]` */
function readLog(draft: Draft, words: string[], line: number): void {
  const [text] = words;
  if (text === undefined || words.length > 2) {
    throw malformed(line, 'must read: log <vkey> [<url>]');
  }
  draft.logs.push(readKey(draft, text, TYPE_ED25519, line));
}

/** `witness <name> <vkey> [<url>]` */
function readWitness(draft: Draft, words: string[], line: number): void {
  const [name, text] = words;
  if (name === undefined || text === undefined || words.length > 3) {
    throw malformed(line, 'must read: witness <name> <vkey> [<url>]');
  }
  const vkey = readKey(draft, text, TYPE_COSIGNATURE, line);
  define(draft, name, { vkey }, line);
  draft.witnesses.push(vkey);
}

/** `group <name> all|any|<k> <name>...` */
function readGroup(draft: Draft, words: string[], line: number): void {
  const [name, rule, ...members] = words;
  if (name === undefined || rule === undefined || members.length === 0) {
    throw malformed(line, 'must read: group <name> all|any|<k> <name>...');
  }
  for (const member of members) {
    if (!draft.members.has(member)) {
      throw malformed(line, 'names a member that no line before it defines');
    }
    if (draft.grouped.has(member)) {
      throw malformed(line, 'names a member that already belongs to a group');
    }
    draft.grouped.add(member);
  }
  define(draft, name, { threshold: threshold(rule, members.length, line), members }, line);
}

/** `quorum <name>|none` */
function readQuorum(draft: Draft, words: string[], line: number): void {
  const [name] = words;
  if (name === undefined || words.length !== 1) {
    throw malformed(line, 'must read: quorum <name>|none');
  }
  if (draft.quorum !== undefined) {
    throw malformed(line, 'is a second quorum line');
  }
  if (name !== 'none' && !draft.members.has(name)) {
    throw malformed(line, 'names a quorum that no line before it defines');
  }
  draft.quorum = name === 'none' ? null : name;
}

function threshold(rule: string, count: number, line: number): number {
  if (rule === 'all') {
    return count;
  }
  if (rule === 'any') {
    return 1;
  }
  const k = /^[1-9][0-9]{0,3}$/.test(rule) ? Number(rule) : 0;
  if (k < 1 || k > count) {
    throw malformed(line, `needs a threshold of all, any or 1 to ${count}`);
  }
  return k;
}

function define(draft: Draft, name: string, member: Member, line: number): void {
  if (name === 'none' || draft.members.has(name)) {
    throw malformed(line, 'defines a name that is taken');
  }
  draft.members.set(name, member);
}

function readKey(draft: Draft, text: string, type: Vkey['type'], line: number): Vkey {
  let vkey: Vkey;
  try {
    vkey = parseVkey(text);
  } catch (cause) {
    throw malformed(line, 'holds a vkey that cannot be used', cause);
  }
  if (vkey.type !== type) {
    throw malformed(line, `needs a key of type ${type}, this one is of type ${vkey.type}`);
  }
  const material = `${type}:${toHex(vkey.publicKey)}`;
  if (draft.keys.has(material)) {
    throw malformed(line, 'repeats a key');
  }
  draft.keys.add(material);
  return vkey;
}

function malformed(line: number, what: string, cause?: unknown): BoundaryError {
  const place = line === 0 ? 'The tlog-policy' : `Line ${line} of the tlog-policy`;
  const at = line === 0 ? {} : { at: `line ${line}` };
  return new BoundaryError('tlog_policy.malformed', `${place} ${what}.`, { ...at, cause });
}
