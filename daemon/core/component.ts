/** What of a site can be degraded: status, doctor and metrics each say how every one of them is. */
export const COMPONENTS = [
  'ledger',
  'policy',
  'identity',
  'time',
  'disk',
  'gateway',
  'incident',
  'breakglass',
  'keys',
  'secrets',
  'former_logs',
  'anchor',
  'copy',
  'backup',
  'search',
  'retention',
  'integrity',
  'siem',
] as const;

export type Component = (typeof COMPONENTS)[number];
