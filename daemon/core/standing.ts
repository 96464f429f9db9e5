import type { Entry, EntryType } from '../formats/entry.ts';
import type { JsonObject } from '../formats/json.ts';
import { cosignedBy } from './cosigned.ts';

/** What outlasts the entry that began it, beside decisions: each is followed until an entry closes it. */
export type StandingKind =
  | 'acknowledgement'
  | 'boot'
  | 'breakglass'
  | 'cosignature'
  | 'grant'
  | 'hold'
  | 'incident'
  | 'overdue'
  | 'legal_hold'
  | 'rotation'
  | 'shredded'
  | 'suspension'
  | 'withheld';

/** How one such thing stands after an entry. `closed` means that nothing waits for it any more. */
export interface Standing {
  kind: StandingKind;
  /** The entry's stream, or what the entry is about. */
  id: string;
  state: string;
}

type Rule = (entry: Entry) => Standing | readonly Standing[];

const ofStream =
  (kind: StandingKind, state: string): Rule =>
  ({ stream }) => ({ kind, id: stream, state });

/** An entry about an update that waits, or did. */
const ofHold =
  (state: string): Rule =>
  ({ data: { hold } }) => {
    const { id } = (hold ?? {}) as { id?: unknown };
    return typeof id === 'string' ? { kind: 'hold', id, state } : NOTHING;
  };

/** Entry type → what it begins, moves or closes. Types that are not in it leave nothing standing. */
const RULES: Readonly<Partial<Record<EntryType, Rule>>> = {
  'system.started': ({ data }) => {
    const { boot } = (data.clock ?? {}) as { boot?: unknown };
    return typeof boot === 'string' ? { kind: 'boot', id: boot, state: 'closed' } : NOTHING;
  },
  'anchor.cosigned': (entry) => cosignedBy(entry).map((id) => ({ kind: 'cosignature', id, state: 'closed' })),
  'breakglass.activated': activated,
  'breakglass.ended': ofStream('breakglass', 'ended'),
  'breakglass.overdue': ofStream('breakglass', 'overdue'),
  'breakglass.reviewed': ofStream('breakglass', 'closed'),
  'grant.issued': ofStream('grant', 'issued'),
  'grant.revoked': ofStream('grant', 'closed'),
  'grant.expired': ofStream('grant', 'closed'),
  'retention.held': ({ data }) => ({ kind: 'legal_hold', id: String(data.decision), state: 'held' }),
  'retention.released': ({ data }) => ({ kind: 'legal_hold', id: String(data.decision), state: 'closed' }),
  'incident.opened': ofStream('incident', 'open'),
  'incident.cleared': ofStream('incident', 'closed'),
  'policy.held': ofHold('held'),
  'policy.approved': ofHold('held'),
  'policy.rejected': ofHold('closed'),
  'policy.lapsed': ofHold('closed'),
  'policy.applied': ofHold('closed'),
  'anchor.overdue': ({ data }) => ({
    kind: 'overdue',
    id: String(data.environment),
    state: data.step === 'fresh' ? 'closed' : String(data.step),
  }),
  'outbox.acknowledged': ({ data }) =>
    (data.files as { sha256: string }[]).map(({ sha256 }) => ({
      kind: 'acknowledgement',
      id: sha256,
      state: 'closed',
    })),
  'envelope.shredded': ({ data }) => envelopes('shredded', data, 'closed'),
  'envelope.withheld': ({ data }) => envelopes('withheld', data, 'withheld'),
  'envelope.released': ({ data }) => envelopes('withheld', data, 'closed'),
  // The keys of the log itself are found by the checkpoints that they signed.
  'key.rotated': ({ data: { name, step } }) =>
    name === 'envelope'
      ? { kind: 'rotation', id: name, state: step === 'finished' ? 'closed' : 'rewrapping' }
      : NOTHING,
  'key.suspended': ({ data }) => ({ kind: 'suspension', id: String(data.suspended), state: 'suspended' }),
  'key.reinstated': ({ data }) => ({ kind: 'suspension', id: String(data.reinstated), state: 'closed' }),
};

/** A session that a sealed grant opened uses that grant up for ever. */
function activated({ stream, data }: Entry): Standing[] {
  const session: Standing = { kind: 'breakglass', id: stream, state: 'active' };
  const grant = data.grant as { id: string } | undefined;
  return grant === undefined ? [session] : [session, { kind: 'grant', id: grant.id, state: 'closed' }];
}

/** Envelopes by decision, or by `decision/field` where an entry names fields. What is shredded waits for nothing more. */
function envelopes(kind: 'shredded' | 'withheld', data: JsonObject, state: string): Standing[] {
  const fields = data.fields as string[] | null;
  return (data.decisions as string[]).flatMap((id): Standing[] =>
    fields === null ? [{ kind, id, state }] : fields.map((field) => ({ kind, id: `${id}/${field}`, state })),
  );
}

const NOTHING: readonly Standing[] = [];

/** What an entry leaves standing. Pure, so that writing, rebuilding and checking agree. */
export function standingAfter(entry: Entry): readonly Standing[] {
  const standing = RULES[entry.type]?.(entry) ?? NOTHING;
  return 'kind' in standing ? [standing] : standing;
}
