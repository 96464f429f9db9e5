import type { Examination } from './examination.ts';
import type { OpenedEvidence } from './opened.ts';

/** Adds what no evidence of this kind can prove, and what this one in particular cannot. Honesty is part of the proof. */
export function addLimits(ex: Examination, { index, own, entries, decision }: OpenedEvidence): void {
  const last = own.at(-1)?.index ?? 0;
  ex.unproved.push(
    `What was recorded after entry ${last} about this decision, or names it beside what is here: the file ends where the site ended it, at ${index.tree_size} entries. Somebody with the whole ledger can tell (holdfast ledger verify).`,
  );
  if (index.omitted > 0)
    ex.unproved.push(`What ${index.omitted} more entries that name the decision say: they are not here.`);
  if (index.unsearched > 0)
    ex.unproved.push(
      `Whether ${index.unsearched} more entries name the decision: they lie in archive files that were not at hand.`,
    );
  if (entries.some(({ entry }) => entry.time_trust !== 'trusted'))
    ex.unproved.push(
      'That the times are right to the minute: for some entries the site had only a lower bound for the time, or doubted its clock. Their order is proved.',
    );
  if (decision.outcome !== null)
    ex.unproved.push(
      'What really happened at the target: the result and the digests of the output are what the gateway reported.',
    );
  if (own.some(({ entry }) => entry.data.id_token !== undefined))
    ex.unproved.push(
      'That the logins beside signatures are genuine: the site judged the tokens of its identity provider, and recorded what they said.',
    );
  if (decision.authority.received.length > 0)
    ex.unproved.push(
      'Who held the keys: a signature shows that a key was used, which the policy says is a person’s.',
    );
}
