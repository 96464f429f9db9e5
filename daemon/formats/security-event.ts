/*
 * What a security information system (SIEM) is told of one ledger entry, before it is written as OCSF, CEF or syslog. It
 * holds what a summary shows and no payload: those systems keep their own copies, under their own rules.
 */

/** What sort of thing happened: a governed action, a change of who or what rules, an elevation, a finding, or bookkeeping. */
export type SecurityEventKind = 'action' | 'change' | 'elevation' | 'finding' | 'record';

/** 1 informational, 2 low, 3 medium, 4 high, 5 critical: OCSF `severity_id`. */
export type Severity = 1 | 2 | 3 | 4 | 5;

export interface SecurityEvent {
  /** Of the log; with `index` it names the event for ever, so that whoever gets one twice can tell. */
  origin: string;
  index: number;
  /** Hex SHA-256 of the entry's bytes. */
  hash: string;
  /** Type of the entry, e.g. `decision.denied`. */
  type: string;
  /** Milliseconds since 1970. */
  at: number;
  /** `trusted`, `floor` or `uncertain`. */
  timeTrust: string;
  site: string;
  /** What the entry is part of: a decision, an incident, or a topic. */
  stream: string;
  kind: SecurityEventKind;
  /** What was done, in one word. */
  activity: string;
  severity: Severity;
  outcome: 'success' | 'failure' | 'pending' | 'unknown';
  /** Null where nothing was allowed or denied. */
  verdict: 'allow' | 'deny' | 'pending' | null;
  message: string;
  actor: { id: string | null; role: string | null };
  /** What it was about: a target, a key, a decision. */
  subject: { type: string; id: string } | null;
  /** Action class and environment of a decision. */
  action: { class: string; environment: string | null } | null;
  policy: { digest: string; version: string } | null;
  risk: { score: number; band: string } | null;
  reason: string | null;
}

/** The id under which an event is known in every format. */
export function eventId({ origin, index }: Pick<SecurityEvent, 'origin' | 'index'>): string {
  return `${origin}#${index}`;
}
