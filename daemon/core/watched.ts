import type { Entry } from '../formats/entry.ts';

/** What anomaly rules look back at. */
export type WatchedKind =
  /** A signed yes that counted; of a person. */
  | 'approval'
  /** An exception, or what break-glass allowed; of the site. */
  | 'override'
  /** An anomaly that is on record; of a rule and a person. */
  | 'anomaly';

export interface Watched {
  kind: WatchedKind;
  who: string;
}

/** Whose the things are that belong to the site as a whole. */
export const ANYBODY = '-';

const NOTHING: readonly Watched[] = [];

/** What of an entry is looked back at. Pure, so that writing, rebuilding and checking agree. */
export function watchedBy({ type, data }: Entry): readonly Watched[] {
  switch (type) {
    case 'approval.added':
      return data.answer === 'approve' ? [{ kind: 'approval', who: String(data.principal) }] : NOTHING;
    case 'exception.granted':
      return [
        { kind: 'approval', who: String(data.principal) },
        { kind: 'override', who: ANYBODY },
      ];
    case 'decision.authorized':
      return data.breakglass === undefined ? NOTHING : [{ kind: 'override', who: ANYBODY }];
    case 'anomaly.detected':
      return [{ kind: 'anomaly', who: anomalyKey(String(data.rule), data.principal as string | null) }];
    default:
      return NOTHING;
  }
}

/** What is recorded once while it is quiet: a rule about a person, or about the site. */
export function anomalyKey(rule: string, principal: string | null): string {
  return `${rule} ${principal ?? ANYBODY}`;
}
