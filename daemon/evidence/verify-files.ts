import { canonicalText } from '../formats/canonical-json.ts';
import { sha256Hex, toHex } from '../formats/digest.ts';
import {
  actMember,
  disclosedMember,
  type EvidenceIndex,
  entryMember,
  evidenceStatement,
  MEMBER,
  parseIndex,
  parseSums,
  proofMember,
  signatureMember,
} from '../formats/evidence.ts';
import { openStatement, parseStatement, type Statement } from '../formats/in-toto.ts';
import type { JsonObject } from '../formats/json.ts';
import type { Vkey } from '../formats/signed-note.ts';
import type { Examination, Outcome } from './examination.ts';
import type { OpenedEvidence } from './opened.ts';

/** Files that no digest in `SHA256SUMS` is of: itself, and what is made from it. */
const UNSUMMED: readonly string[] = [MEMBER.sums, MEMBER.statement, MEMBER.unsigned];

/** What a statement about evidence says at least. */
const STATED: readonly string[] = ['resourceUri', 'decision', 'policy', 'log'];

/** Every file has the digest that `SHA256SUMS` gives it, and no other file is there. */
export function checkSums(ex: Examination): Outcome {
  const bytes = ex.need(MEMBER.sums);
  if (bytes === null) return { not_checked: 'there is no list of digests' };
  const sums = parseSums(bytes);
  for (const [name, digest] of sums) {
    const member = ex.members.get(name);
    if (member === undefined) ex.fail(name, 'It is listed in SHA256SUMS and missing.');
    else if (sha256Hex(member) !== digest)
      ex.fail(name, 'It was changed: its SHA-256 is not the one in SHA256SUMS.');
  }
  for (const name of ex.members.keys())
    if (!sums.has(name) && !UNSUMMED.includes(name)) ex.fail(name, 'It is not listed in SHA256SUMS.');
  return `${sums.size} files have the digests that SHA256SUMS lists`;
}

/** Reads `evidence.json`; null, with a finding, when it cannot be. */
export function readIndex(ex: Examination): EvidenceIndex | null {
  const bytes = ex.need(MEMBER.index);
  return bytes === null ? null : parseIndex(bytes);
}

/** Nothing is in the file that the index does not account for. */
export function checkMembers(ex: Examination, index: EvidenceIndex): Outcome {
  const expected = new Set<string>([...Object.values(MEMBER)]);
  for (const { index: at } of index.entries)
    for (const name of [entryMember(at), proofMember(at), actMember(at), signatureMember(at)])
      expected.add(name);
  for (const field of index.fields.disclosed) expected.add(disclosedMember(field));
  const others = index.policy === null ? /^ledger\/consistency\// : /^(policy|ledger\/consistency)\//;
  for (const name of ex.members.keys())
    if (!expected.has(name) && !others.test(name))
      ex.fail(name, 'It belongs to nothing that evidence.json names.');
  return `${ex.members.size} files, all of them accounted for`;
}

/**
 * The statement: signed by the log's key, about exactly these files, and saying nothing that they do not. `version` and
 * the rest of its words are compared with what was found.
 */
export function checkStatement(ex: Examination, keys: readonly Vkey[], opened: OpenedEvidence): Outcome {
  const envelope = ex.members.get(MEMBER.statement);
  const plain = ex.members.get(MEMBER.unsigned);
  if ((envelope === undefined) === (plain === undefined)) {
    ex.fail(
      MEMBER.statement,
      'There must be one statement: statement.dsse.json, or statement.json from copied files.',
    );
    return { not_checked: '' };
  }
  if (plain !== undefined) {
    compareStatement(ex, MEMBER.unsigned, parseStatement(plain), opened);
    ex.unproved.push(
      'That the site itself handed this file out: it was made of copied files, and bears no signature of the site. What it proves about the decision does not depend on that; its README.txt and trust.json are whatever its maker put there.',
    );
    return { not_checked: 'made of copied files: the statement is unsigned' };
  }
  const { statement, key } = openStatement(Buffer.from(envelope ?? '').toString('utf8'), keys);
  compareStatement(ex, MEMBER.statement, statement, opened);
  return `signed by ${key.name}, over these ${statement.subject.length} files`;
}

function compareStatement(ex: Examination, file: string, statement: Statement, opened: OpenedEvidence): void {
  const members = new Map(
    [...ex.members].filter(([name]) => name !== MEMBER.statement && name !== MEMBER.unsigned),
  );
  const said = (statement.predicate.verifier as JsonObject | undefined)?.version as JsonObject | undefined;
  const expected = evidenceStatement(members, {
    index: opened.index,
    version: typeof said?.holdfast === 'string' ? said.holdfast : '',
    status: opened.decision.status,
    result: opened.decision.enforcement.result,
    action_digest: opened.decision.action_digest,
    root_hash: toHex(opened.head?.root ?? new Uint8Array()),
  });
  if (statement.predicateType !== expected.predicateType) {
    ex.fail(file, `Its predicate is of another type (${statement.predicateType.slice(0, 100)}).`, {
      field: '/predicateType',
    });
    return;
  }
  compareSubjects(ex, file, statement, expected);
  for (const [name, was] of Object.entries(expected.predicate)) {
    const is = statement.predicate[name];
    // Members that this version does not know are skipped; so are those that an earlier one did not write.
    if (is === undefined ? STATED.includes(name) : canonicalText(is) !== canonicalText(was))
      ex.fail(file, 'The statement says other than the files that it is about.', {
        field: `/predicate/${name}`,
      });
  }
}

function compareSubjects(ex: Examination, file: string, is: Statement, expected: Statement): void {
  const stated = new Map(is.subject.map(({ name, sha256 }) => [name, sha256]));
  if (stated.size !== is.subject.length) ex.fail(file, 'It names a file twice.', { field: '/subject' });
  for (const { name, sha256 } of expected.subject) {
    if (!stated.has(name)) ex.fail(name, 'The signed statement does not name it: it was added, or renamed.');
    else if (stated.get(name) !== sha256)
      ex.fail(name, 'It is not the file that the signed statement is about.');
    stated.delete(name);
  }
  for (const name of stated.keys()) ex.fail(name, 'The signed statement names it, and it is missing.');
}
