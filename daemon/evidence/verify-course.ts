import { foldDecision } from '../core/fold.ts';
import { checkLifecycle, type LifecycleCommand } from '../core/lifecycle.ts';
import type { SealedValue } from '../core/sensitive.ts';
import { canonicalText } from '../formats/canonical-json.ts';
import { isCommitment, openCommitment } from '../formats/commitment.ts';
import { fromBase64 } from '../formats/digest.ts';
import type { EntryType } from '../formats/entry.ts';
import { disclosedMember, entryMember, MEMBER, textOf } from '../formats/evidence.ts';
import type { Json, JsonObject } from '../formats/json.ts';
import { actionDigest, type Permit, permitOf } from '../formats/permit.ts';
import { parseStrict } from '../formats/strict-json.ts';
import { isShredded, recordOf } from './compose.ts';
import { count, type Examination, type Outcome } from './examination.ts';
import type { OpenedEntry, OpenedEvidence } from './opened.ts';

/** What each entry after the first did to the decision. */
const COMMANDS: Readonly<Partial<Record<EntryType, LifecycleCommand>>> = {
  'approval.added': 'approve',
  'exception.granted': 'except',
  'decision.cancelled': 'cancel',
  'decision.expired': 'expire',
  'permit.redeemed': 'redeem',
  'permit.outcome': 'report',
  'decision.reconciled': 'reconcile',
  'decision.reviewed': 'review',
};

/** The course of the decision: each step was open to it when it was taken. */
export function checkCourse(ex: Examination, { own, decision }: OpenedEvidence): Outcome {
  for (const [position, { index, entry }] of own.entries()) {
    const command = COMMANDS[entry.type];
    if (position === 0 || command === undefined) continue;
    const refusal = checkLifecycle(command, foldDecision(own.slice(0, position)).decision);
    if (refusal !== null)
      ex.fail(
        entryMember(index),
        `No decision that stood like this could take this step: ${refusal.message}`,
        { field: '/type' },
      );
  }
  return `${count(own.length, 'entry', 'entries')} from the request to "${decision.status}", each a step that was open to it`;
}

/** The permit is of this decision: the same action, policy, target and call; and it was redeemed as such, once. */
export function checkPermit(ex: Examination, opened: OpenedEvidence): Outcome {
  const { own } = opened;
  checkActionDigest(ex, opened);
  const granting = own.filter(({ entry }) => entry.data.permit !== undefined && entry.data.permit !== null);
  const [only] = granting;
  if (only === undefined) {
    const ran = own.find(({ entry }) => entry.type === 'permit.redeemed' || entry.type === 'permit.outcome');
    if (ran !== undefined) ex.fail(entryMember(ran.index), 'There is no permit that this could be about.');
    return 'there was no permit, and nothing ran under one';
  }
  for (const { index } of granting.slice(1))
    ex.fail(entryMember(index), 'It is a second permit for one decision.', { field: '/data/permit' });
  const permit = permitOf(only.entry);
  if (permit === null) return { not_checked: '' };
  comparePermit(ex, opened, only, permit);
  for (const { index, entry } of own.filter(({ entry }) => entry.type === 'permit.redeemed'))
    for (const name of ['audience', 'action_digest', 'permit_id'] as const)
      if (entry.data[name] !== (name === 'permit_id' ? permit.id : permit[name]))
        ex.fail(entryMember(index), 'It redeems another permit than was given.', { field: `/data/${name}` });
  return `permit ${permit.id} is for this action, target and policy, for ${permit.audience}, and worked once`;
}

function checkActionDigest(ex: Examination, { own, decision }: OpenedEvidence): void {
  const [first] = own;
  const action = first?.entry.data.action as
    | Record<'class' | 'intent' | 'target' | 'payload', Json>
    | undefined;
  if (first === undefined || action === undefined) return;
  if (actionDigest(action) !== decision.action_digest)
    ex.fail(entryMember(first.index), 'The digest of the action is not that of the action it holds.', {
      field: '/data/action',
    });
}

function comparePermit(
  ex: Examination,
  { own, decision }: OpenedEvidence,
  { index }: OpenedEntry,
  permit: Permit,
): void {
  const { call, tool, audience } = foldDecision(own.slice(0, 1));
  const pairs: [member: keyof Permit, expected: Json][] = [
    ['id', decision.decision_id.replace(/^dec_/, 'prm_')],
    ['decision_id', decision.decision_id],
    ['action_digest', decision.action_digest],
    ['policy_digest', decision.policy_digest],
    ['environment', decision.context.environment],
    ['target', decision.action.target === null ? null : { ...decision.action.target }],
    ['tool', tool],
    ['audience', audience],
    ['call', call as unknown as Json],
  ];
  for (const [member, expected] of pairs)
    if (canonicalText(permit[member] as unknown as Json) !== canonicalText(expected))
      ex.fail(entryMember(index), 'The permit speaks of something else than the decision.', {
        field: `/data/permit/${member}`,
      });
}

/** Values that are shown open the commitments on record. Fills in `opened.disclosed`. */
export function checkDisclosed(ex: Examination, opened: OpenedEvidence): Outcome {
  const { fields } = opened.index;
  const { payload } = opened.decision.action;
  const sensitive = Object.keys(payload).filter((field) => isCommitment(payload[field]));
  const gone = (field: string) =>
    opened.entries.some(({ entry }) => isShredded(entry, opened.decision.decision_id, field));
  const hidden = sensitive.filter((field) => !fields.disclosed.includes(field));
  const expected = {
    disclosed: sensitive.filter((field) => fields.disclosed.includes(field)),
    shredded: hidden.filter(gone),
    withheld: hidden.filter((field) => !gone(field)),
  };
  if (canonicalText(fields) !== canonicalText(expected))
    ex.fail(MEMBER.index, 'It does not list the sensitive fields that the decision has.', {
      field: '/fields',
    });
  for (const field of fields.disclosed) {
    const name = disclosedMember(field);
    const bytes = ex.need(name);
    const value = bytes === null ? null : readDisclosed(ex, name, bytes, field);
    const commitment = payload[field];
    if (value === null || !isCommitment(commitment)) continue;
    if (openCommitment(commitment, fromBase64(value.salt), value.value)) opened.disclosed[field] = value;
    else ex.fail(name, `It is not the value that the decision holds a commitment to.`, { field: '/value' });
  }
  if (sensitive.length === 0) return 'the request had no sensitive values';
  const shown = Object.keys(opened.disclosed).length;
  if (shown === 0) return { not_checked: `none of ${sensitive.length} sensitive values is shown` };
  return `${shown} of ${sensitive.length} sensitive values are shown, and are those that the record is committed to`;
}

function readDisclosed(ex: Examination, name: string, bytes: Uint8Array, field: string): SealedValue | null {
  const parsed = parseStrict(textOf(bytes), { maxBytes: 131_072, maxDepth: 20 }) as JsonObject | null;
  if (parsed?.field === field && typeof parsed.salt === 'string' && parsed.value !== undefined)
    return { salt: parsed.salt, value: parsed.value };
  ex.fail(name, `It is not salt and value of ${field}.`);
  return null;
}

/** The export itself is on record, as the evidence says. */
export function checkRecord(ex: Examination, { index, entries }: OpenedEvidence): Outcome {
  if (index.export === null)
    return { not_checked: 'made of copied files: the site has no record of this export' };
  const said = index.export;
  const { record } = said;
  const subject = entries.find((one) => one.index === record)?.entry.data.subject as JsonObject | undefined;
  if (
    subject?.decision_id !== index.decision ||
    canonicalText({ ...recordOf(entries, record) }) !== canonicalText({ ...said })
  )
    ex.fail(MEMBER.index, `Entry ${record} does not record this export.`, { field: '/export' });
  return `entry ${record} records the export, at ${said.at}`;
}
