import type { Component } from '../../core/component.ts';
import type { Degraded } from '../../engine/health/facts.ts';
import type { JsonObject } from '../../formats/json.ts';
import { type Check, fail, type Patient, pass, warn } from './check.ts';

/** Every component that can be degraded; one line each, good news too. */
const WELL: Readonly<Record<Component, string>> = {
  ledger: 'the ledger can be written',
  policy: 'policy is in force and fresh',
  identity: 'callers are known as the site demands',
  time: 'the clock is believable',
  disk: 'the disk has room, and the reserve for when it has none',
  gateway: 'the self-test found nothing wrong with the gateway, or was not made',
  incident: 'no incident is open, nothing is halted',
  breakglass: 'no break-glass session is open or unreviewed',
  keys: 'the ledger key is no older than it may get',
  secrets: 'the keys that sensitive values lie under are there',
  former_logs: 'the logs of before a restore, where there are any, can be read',
  anchor: 'anchors leave the site as the policy demands',
  copy: 'the second copy of the ledger, where one is kept, is up to date',
  backup: 'backups, where they are scheduled, are made',
  search: 'the search index follows the ledger',
  retention: 'ledger, archive and envelopes take no more of the disk than the policy lets them',
  integrity: 'the background check of the ledger found nothing wrong',
  siem: 'SIEM feeds, where there are any, go on',
};

/** What the daemon says of its own components. */
export function checkHealth({ status: { daemon } }: Patient): Check[] {
  if (daemon === null) return [];
  const degraded = (daemon.degraded ?? []) as unknown as Degraded[];
  const ready = daemon.ready === true;
  const components = new Set([...Object.keys(WELL), ...degraded.map(({ component }) => component)]);
  return [
    ...[...components].flatMap((component) => {
      const found = degraded.filter((one) => one.component === component);
      if (found.length === 0) return [pass(`health.${component}`, WELL[component as Component])];
      return found.map((one) => troubled(one, ready));
    }),
    ...checkUnknown(daemon),
  ];
}

/** While anything is allowed at all, what is degraded is a warning. */
function troubled({ component, cause, effect, instruction }: Degraded, ready: boolean): Check {
  const make = ready && component !== 'incident' ? warn : fail;
  return make(`health.${component}`, `${cause}. ${effect}`, instruction);
}

function checkUnknown({ decisions }: JsonObject): Check[] {
  const { unknown } = (decisions ?? {}) as { unknown?: number };
  if (typeof unknown !== 'number') return [];
  if (unknown === 0) return [pass('decisions.unknown', 'every outcome is known')];
  const fix =
    'Find them with "holdfast ledger audit", look at the machine, then: holdfast decision reconcile ID';
  return [warn('decisions.unknown', `${unknown} executions ended nobody knows how`, fix)];
}
