import { eventId, type SecurityEvent } from './security-event.ts';

/*
 * Common Event Format: `CEF:0|vendor|product|version|class|name|severity|extension`. The header escapes `\` and `|`, the
 * extension `\`, `=` and line ends; it is UTF-8 and one line.
 */

/** Our severities 1 to 5 on CEF's scale of 0 to 10. */
const SEVERITY = { 1: 1, 2: 3, 3: 5, 4: 8, 5: 10 } as const;

/** One event as a line without its end; `version` is the product's. */
export function toCef(event: SecurityEvent, version: string): string {
  const header = ['CEF:0', 'Holdfast', 'Holdfast', version, event.type, event.message];
  const { subject, action, policy, risk } = event;
  const extension: [key: string, value: string | number | null][] = [
    ['rt', event.at],
    ['dvchost', event.site],
    ['externalId', eventId(event)],
    ['act', event.verdict ?? event.activity],
    ['outcome', event.outcome],
    ['suser', event.actor.id],
    ['spriv', event.actor.role],
    ['request', action?.class ?? null],
    ['reason', event.reason],
    ...labelled('cs1', 'stream', event.stream),
    ...labelled('cs2', 'subject', subject === null ? null : `${subject.type}:${subject.id}`),
    ...labelled('cs3', 'environment', action?.environment ?? null),
    ...labelled('cs4', 'policy', policy === null ? null : `${policy.version} ${policy.digest}`),
    ...labelled('cs5', 'entrySha256', event.hash),
    ...labelled('cs6', 'timeTrust', event.timeTrust),
    ...labelled('cn1', 'ledgerIndex', event.index),
    ...labelled('cn2', 'riskPercent', risk === null ? null : Math.round(risk.score * 100)),
  ];
  const members = extension.flatMap(([key, value]) => (value === null ? [] : [`${key}=${escaped(value)}`]));
  return `${[...header.map(headerText), SEVERITY[event.severity], members.join(' ')].join('|')}`;
}

function labelled(
  key: string,
  label: string,
  value: string | number | null,
): [string, string | number | null][] {
  return value === null
    ? []
    : [
        [key, value],
        [`${key}Label`, label],
      ];
}

function headerText(text: string): string {
  return oneLine(text).replace(/[\\|]/g, '\\$&');
}

function escaped(value: string | number): string {
  return String(value)
    .replace(/[\\=]/g, '\\$&')
    .replace(/\r\n|[\n\u2028\u2029]/g, '\\n')
    .replace(/\r/g, '\\r')
    .replace(CONTROL, ' ');
}

/** Where no escape is defined, what could end or colour a line becomes a space. */
function oneLine(text: string): string {
  return text.replace(/[\r\n\u2028\u2029]+/g, ' ').replace(CONTROL, ' ');
}

const CONTROL = /[\u0000-\u001f\u007f-\u009f]/g;
