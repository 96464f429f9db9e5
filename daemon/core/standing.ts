import type { Entry, EntryType } from '../formats/entry.ts';

/** What outlasts the entry that began it, beside decisions: each is followed until an entry closes it. */
export type StandingKind = 'breakglass' | 'grant' | 'hold' | 'incident' | 'suspension';

/** How one such thing stands after an entry. `closed` means that nothing waits for it any more. */
export interface Standing {
  kind: StandingKind;
  /** The entry's stream, or what the entry is about. */
  id: string;
  state: string;
}

type Rule = (entry: Entry) => Standing;

const ofStream =
  (kind: StandingKind, state: string): Rule =>
  ({ stream }) => ({ kind, id: stream, state });

/** Entry type → what it begins, moves or closes. Types that are not in it leave nothing standing. */
const RULES: Readonly<Partial<Record<EntryType, Rule>>> = {
  'breakglass.activated': ofStream('breakglass', 'active'),
  'breakglass.ended': ofStream('breakglass', 'ended'),
  'breakglass.reviewed': ofStream('breakglass', 'closed'),
  'incident.opened': ofStream('incident', 'open'),
  'incident.cleared': ofStream('incident', 'closed'),
  'key.suspended': ({ data }) => ({ kind: 'suspension', id: String(data.suspended), state: 'suspended' }),
};

/** What an entry leaves standing; null when nothing. Pure, so that writing, rebuilding and checking agree. */
export function standingAfter(entry: Entry): Standing | null {
  return RULES[entry.type]?.(entry) ?? null;
}
