import { eventId, type SecurityEvent } from './security-event.ts';

/*
 * RFC 5424: `<PRI>1 TIMESTAMP HOSTNAME APP-NAME PROCID MSGID [SD-ID name="value"…] BOM MSG`, one line for an event.
 * PRI = facility * 8 + severity.
 */

/** §6.2.1: log audit. */
const FACILITY = 13;
/** Our severities 1 to 5 → informational, notice, warning, error, critical (§6.2.1). */
const SEVERITY = { 1: 6, 2: 5, 3: 4, 4: 3, 5: 2 } as const;
/** §6.3.2: a name with a private enterprise number; 32473 is the one for documentation (RFC 5612) until there is one of ours. */
const SD_ID = 'holdfast@32473';
/** §6.4: what comes after it is UTF-8. */
const BOM = '\ufeff';
const HOST_MAX = 255;
const MSGID_MAX = 32;

/** One event as a line without its end. */
export function toSyslog(event: SecurityEvent): string {
  const priority = FACILITY * 8 + SEVERITY[event.severity];
  const time = new Date(event.at).toISOString();
  const host = printable(event.site, HOST_MAX);
  const { subject, action, policy, risk } = event;
  const members: [name: string, value: string | number | null][] = [
    ['id', eventId(event)],
    ['index', event.index],
    ['sha256', event.hash],
    ['stream', event.stream],
    ['activity', event.activity],
    ['verdict', event.verdict],
    ['outcome', event.outcome],
    ['actor', event.actor.id],
    ['role', event.actor.role],
    ['subject', subject === null ? null : `${subject.type}:${subject.id}`],
    ['class', action?.class ?? null],
    ['environment', action?.environment ?? null],
    ['policy', policy?.digest ?? null],
    ['risk', risk === null ? null : `${risk.band} ${risk.score}`],
    ['reason', event.reason],
    ['timeTrust', event.timeTrust],
  ];
  const data = members.flatMap(([name, value]) => (value === null ? [] : [` ${name}="${quoted(value)}"`]));
  const type = printable(event.type, MSGID_MAX);
  return `<${priority}>1 ${time} ${host} holdfast - ${type} [${SD_ID}${data.join('')}] ${BOM}${oneLine(event.message)}`;
}

/** §6.3.3: `"`, `\` and `]` are escaped. */
function quoted(value: string | number): string {
  return oneLine(String(value)).replace(/["\\\]]/g, '\\$&');
}

/** §6: PRINTUSASCII; an empty field is `-`. */
function printable(text: string, max: number): string {
  return text.replace(/[^\u0021-\u007e]/g, '_').slice(0, max) || '-';
}

function oneLine(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, ' ');
}
