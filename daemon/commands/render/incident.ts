import type { Incident } from '../../api/client.ts';
import { CAUSE_WORDS, haltWords } from '../../core/incident.ts';
import { fitted, instant, moment, paint, plain, table } from './text.ts';

/** One incident in full. */
export function renderIncident(incident: Incident): string {
  const { state, cause, halt, cleared, reporter } = incident;
  const head =
    state === 'open'
      ? `${paint('red', paint('bold', 'OPEN'))}  halted: ${plain(haltWords(halt))}`
      : `${paint('green', paint('bold', 'CLEARED'))}  ${plain(haltWords(halt))} was halted`;
  return [
    head,
    fitted([
      ['incident', incident.incident_id],
      ['cause', CAUSE_WORDS[cause]],
      ['detail', plain(incident.detail)],
      ['reported by', plain(reporterWords(reporter))],
      ['opened', instant(incident.opened_at)],
      ...evidenceRows(incident),
      ['record', `entry ${incident.record_id}, digest ${incident.digest}`],
      ...clearedRows(cleared),
    ]),
  ].join('\n');
}

/** Incidents one by line. */
export function renderIncidents(incidents: readonly Incident[]): string {
  return table(
    ['incident', 'opened', 'halts', 'cause', 'state'],
    incidents.map(({ incident_id, opened_at, halt, cause, state }) => [
      incident_id,
      moment(opened_at),
      plain(haltWords(halt)),
      cause.replaceAll('_', ' '),
      state,
    ]),
  );
}

/** What an incident is about, for whoever is about to sign that it may go on. */
export function incidentRows(incident: Incident): [string, string][] {
  return [
    ['halted', plain(haltWords(incident.halt))],
    ['because', CAUSE_WORDS[incident.cause]],
    ['detail', plain(incident.detail)],
    ['reported by', plain(reporterWords(incident.reporter))],
    ['opened', moment(incident.opened_at)],
    ...evidenceRows(incident),
  ];
}

function reporterWords({ kind, id, role }: Incident['reporter']): string {
  if (kind === 'daemon') return 'the daemon itself';
  return kind === 'audience' ? `the audience ${id}` : `${id} (${role})`;
}

function evidenceRows({ evidence }: Incident): [string, string][] {
  return Object.entries(evidence).map(([name, value]) => [
    name.replaceAll('_', ' '),
    plain(typeof value === 'string' ? value : JSON.stringify(value)),
  ]);
}

function clearedRows(cleared: Incident['cleared']): [string, string][] {
  if (cleared === null) return [];
  const { at, principal, role, reason } = cleared;
  return [
    ['cleared', `${instant(at)} by ${plain(`${principal} (${role})`)}`],
    ['because', plain(reason ?? '')],
  ];
}
