import { judgeAct, judgeReviewer } from '../core/approve.ts';
import { authoritySatisfied } from '../core/authority.ts';
import { openExceptions } from '../core/exception.ts';
import { foldDecision } from '../core/fold.ts';
import { isRefusal } from '../core/refusal.ts';
import { type Roster, rosterAt, rosterOf } from '../core/roster.ts';
import { checkKeyUse, keyUseOf } from '../core/security-key.ts';
import { canonicalText } from '../formats/canonical-json.ts';
import { sha256Hex } from '../formats/digest.ts';
import { actMember, entryMember, MEMBER, signatureMember } from '../formats/evidence.ts';
import type { JsonObject } from '../formats/json.ts';
import { actNamespace, parseAct, type SignedAct } from '../formats/signed-act.ts';
import { parsePublicKeyLine, verifySshSignature } from '../formats/sshsig.ts';
import { count, type Examination, type Outcome } from './examination.ts';
import type { OpenedEntry, OpenedEvidence } from './opened.ts';

/** An act whose signature holds. */
interface Signed {
  found: OpenedEntry;
  act: SignedAct;
  /** Fingerprint. */
  key: string;
  use: ReturnType<typeof keyUseOf>;
}

/** Every signed act: the exact bytes, the signature over them, and the key as the policy has it enrolled. */
export function checkActs(ex: Examination, opened: OpenedEvidence): Outcome {
  const roster = opened.bundle === null ? null : rosterOf(opened.bundle.bundle);
  const nonces = new Map<string, number>();
  let strangers = 0;
  const signed = opened.entries.flatMap((found) => readSigned(ex, found) ?? []);
  for (const one of signed) {
    const { found, act, key } = one;
    const name = entryMember(found.index);
    const before = nonces.get(act.nonce);
    if (before !== undefined)
      ex.fail(name, `It counts the act of ${entryMember(before)} again.`, { field: '/data/nonce' });
    nonces.set(act.nonce, found.index);
    if (act.site !== opened.index.site)
      ex.fail(name, `The act was signed for ${act.site}.`, { field: '/data/act/site' });
    const member = roster?.byKey(key) ?? null;
    const { principal, role } = found.entry.data;
    if (member === null) strangers += 1;
    else if (member.id !== principal)
      ex.fail(name, `The key is ${member.id}'s, and the act counts as ${String(principal)}'s.`, {
        field: '/data/principal',
      });
    if (role !== act.role)
      ex.fail(name, `It was signed as ${act.role} and counts as ${String(role)}.`, { field: '/data/role' });
  }
  checkSigners(ex, opened);
  if (signed.length === 0) return 'nobody signed anything';
  if (strangers > 0)
    ex.unproved.push(
      `By whom ${count(strangers, 'signature was', 'signatures were')} made: the key is not enrolled in the policy of this decision, but in another one that was in force then. The signature itself holds.`,
    );
  return `${count(signed.length, 'signature holds', 'signatures hold')}, by keys as enrolled in the policy`;
}

/** The file that `ssh-keygen` is given names the keys that the policy has, and no other. */
function checkSigners(ex: Examination, { bundle, index }: OpenedEvidence): void {
  const file = ex.members.get(MEMBER.signers);
  if (bundle === null || index.policy === null) {
    if (file !== undefined && index.policy === null)
      ex.fail(MEMBER.signers, 'There was no policy that these keys could be from.');
    return;
  }
  const roster = rosterOf(bundle.bundle);
  for (const line of (ex.text(MEMBER.signers) ?? '').split('\n').filter((one) => one !== '')) {
    const [who = '', ...words] = line.split(' ');
    const { fingerprint } = parsePublicKeyLine(words.slice(-2).join(' '));
    const member = roster.byKey(fingerprint);
    if (member?.id !== who || !member.key_active || member.status !== 'active')
      ex.fail(
        MEMBER.signers,
        `It gives ${who} a key (${fingerprint}) that the policy does not have enrolled as theirs.`,
      );
  }
}

/** Authority: each act that counts is judged again by the rules, as of when it came in. */
export function checkAuthority(ex: Examination, opened: OpenedEvidence): Outcome {
  const { own, bundle } = opened;
  if (bundle === null)
    return own[0]?.entry.data.policy === null
      ? 'no policy, so nobody had authority'
      : { not_checked: 'the policy does not hold' };
  const roster = rosterOf(bundle.bundle);
  let judged = 0;
  for (const [position, found] of own.entries()) {
    const before = own.slice(0, position);
    if (isAct(found)) {
      judged += 1;
      judgeAgain(ex, opened, { roster, before, found });
    }
    if (
      (found.entry.data.transitions as string[] | undefined)?.includes('authorized') === true &&
      position > 0
    )
      assertSatisfied(ex, own.slice(0, position + 1), found);
  }
  const { required } = opened.decision.authority;
  if (judged === 0)
    return required.length === 0 ? 'the policy asked for nobody’s signature' : 'nobody’s signature counted';
  return `${count(judged, 'act was', 'acts were')} given by people who were allowed to, in roles that the policy asked for`;
}

function isAct({ entry: { type, data } }: OpenedEntry): boolean {
  const counted = ['approval.added', 'exception.granted', 'decision.reviewed', 'decision.reconciled'];
  return counted.includes(type) && typeof data.signature === 'string';
}

function judgeAgain(
  ex: Examination,
  { index, bundle }: OpenedEvidence,
  { roster, before, found }: { roster: Roster; before: readonly OpenedEntry[]; found: OpenedEntry },
): void {
  const { entry } = found;
  const act = entry.data.act as unknown as SignedAct;
  const now_ms = Date.parse(entry.at);
  const context = {
    site: index.site,
    record: foldDecision(before),
    act,
    key: String(entry.data.key),
    pinned: roster,
    current: rosterAt(roster, { now: now_ms, trust: entry.time_trust }),
    nonce_used: false,
    now_ms,
    time_trust: entry.time_trust,
    exception_and_vote: bundle?.bundle.approvals?.exception_and_vote ?? 'distinct',
  } as const;
  const late = entry.type === 'decision.reviewed' || entry.type === 'decision.reconciled';
  const person = late ? judgeReviewer(context) : judgeAct(context);
  // After the fact the roster in force then counts, which another policy may have brought.
  if (isRefusal(person)) {
    if (late && roster.byKey(context.key) === null) return;
    ex.fail(entryMember(found.index), `It does not count by the policy: ${person.message}`, {
      field: '/data/act',
    });
    return;
  }
  const unfit = checkKeyUse({
    key: context.key,
    use: readSigned(ex, found)?.use ?? null,
    role: act.role,
    pin_required: roster.byKey(context.key)?.pin_required ?? false,
    last_counter: null,
    rules: bundle?.bundle.approvals,
  });
  if (unfit !== null) ex.fail(entryMember(found.index), unfit.message, { field: '/data/signature' });
}

/** Invariant 1: nothing is authorized before its authority is satisfied. */
function assertSatisfied(ex: Examination, until: readonly OpenedEntry[], found: OpenedEntry): void {
  const { decision } = foldDecision(until);
  const approvals = decision.authority.received.filter(({ answer }) => answer === 'approve');
  const complete =
    authoritySatisfied(decision.authority.required, approvals) && openExceptions(decision).length === 0;
  if (!complete)
    ex.fail(
      entryMember(found.index),
      'It authorizes the decision, and the authority that the policy asks for is not complete.',
      {
        field: '/data/transitions',
      },
    );
}

/** The signed act of an entry, its bytes and signature checked; null where there is none, or it does not hold. */
function readSigned(ex: Examination, found: OpenedEntry): Signed | null {
  const { data } = found.entry;
  const { act: recorded, signature } = data;
  if (typeof signature !== 'string' || !isObject(recorded)) return null;
  const name = entryMember(found.index);
  const text = canonicalText(recorded);
  if (data.act_digest !== sha256Hex(text))
    ex.fail(name, 'Its digest of the act is another one.', { field: '/data/act_digest' });
  if (ex.text(actMember(found.index)) !== text)
    ex.fail(actMember(found.index), `It is not the act that ${name} holds.`);
  if (ex.text(signatureMember(found.index)) !== signature)
    ex.fail(signatureMember(found.index), `It is not the signature that ${name} holds.`);
  const act = parseAct(text);
  const verified = verifySshSignature({
    armor: signature,
    message: new TextEncoder().encode(text),
    namespace: actNamespace(act.kind),
  });
  if (!verified.ok) {
    ex.fail(name, `The signature does not hold over the act (${verified.code}).`, {
      field: '/data/signature',
    });
    return null;
  }
  if (verified.key !== data.key)
    ex.fail(name, `It was signed with ${verified.key}, and counts as signed with ${String(data.key)}.`, {
      field: '/data/key',
    });
  return { found, act, key: verified.key, use: keyUseOf(verified) };
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
