import { Gauge, type Registry } from '@prometheus-io/client';
import { COMPONENTS } from '../core/component.ts';
import type { JsonObject } from '../formats/json.ts';

/** What is read of a status document; anything may be missing while the ledger is. */
interface Status {
  ready?: boolean;
  degraded?: { component: string }[];
  incidents?: { open: number; site_halted: boolean } | null;
  disk?: { free_bytes: number | null; held_bytes: number; level: string };
  decisions?: { unknown: number } | null;
  anomalies?: { last_day: number } | null;
}

/** How long one look at the status serves: a scrape reads many gauges. */
const FRESH_MS = 1_000;

/** Says at `/metrics` what `GET /v1/status` says: readiness, what is degraded, halts, the disk. */
export function measureHealth(registry: Registry, read: () => Promise<JsonObject | null>): void {
  let known: { at: number; status: Promise<Status> } | null = null;
  const status = (): Promise<Status> => {
    const at = performance.now();
    if (known === null || at - known.at > FRESH_MS)
      known = {
        at,
        status: read().then(
          (found) => (found ?? {}) as Status,
          () => ({}),
        ),
      };
    return known.status;
  };
  const gauge = (name: string, help: string, value: (status: Status) => number | null) =>
    new Gauge({
      name,
      help,
      registers: [registry],
      async collect() {
        const found = value(await status());
        if (found === null) this.reset();
        else this.set(found);
      },
    });
  gauge('holdfast_ready', '1 while it would allow what policy allows.', ({ ready }) => (ready ? 1 : 0));
  gauge(
    'holdfast_incidents_open',
    'Open incidents, each with a halt.',
    ({ incidents }) => incidents?.open ?? null,
  );
  gauge('holdfast_site_halted', '1 while an incident halts the whole site.', ({ incidents }) =>
    incidents?.site_halted === true ? 1 : 0,
  );
  gauge(
    'holdfast_outcomes_unknown',
    'Executions that ended nobody knows how, and wait to be reconciled.',
    ({ decisions }) => decisions?.unknown ?? null,
  );
  gauge(
    'holdfast_anomalies_last_day',
    'Anomalies of approvals and limits that were announced within a day.',
    ({ anomalies }) => anomalies?.last_day ?? null,
  );
  gauge(
    'holdfast_disk_free_bytes',
    'Free bytes on the disk under the ledger.',
    ({ disk }) => disk?.free_bytes ?? null,
  );
  gauge(
    'holdfast_disk_reserve_bytes',
    'Bytes kept back for when that disk is full.',
    ({ disk }) => disk?.held_bytes ?? null,
  );
  new Gauge({
    name: 'holdfast_degraded',
    help: '1 for each component that is degraded.',
    labelNames: ['component'],
    registers: [registry],
    async collect() {
      const { degraded = [] } = await status();
      for (const component of COMPONENTS)
        this.set({ component }, degraded.some((one) => one.component === component) ? 1 : 0);
    },
  });
}
