import { Gauge, type Registry } from '@prometheus-io/client';
import type { JsonObject } from '../formats/json.ts';

/** Says at `/metrics` how far the background check of the ledger is, and how much room the ledger takes. */
export function measureKeeping(
  registry: Registry,
  read: { integrity: () => JsonObject; retention: () => JsonObject | null },
): void {
  const gauge = (name: string, help: string, value: () => unknown): void => {
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        const known = value();
        if (typeof known === 'number') this.set(known);
        else this.reset();
      },
    });
  };
  const last = (member: string) => (read.integrity().last as JsonObject | null)?.[member];
  gauge(
    'holdfast_integrity_checked_entries',
    'Entries that this pass of the background check has looked at.',
    () => read.integrity().checked,
  );
  gauge(
    'holdfast_integrity_findings',
    'What the background check found wrong since the start.',
    () => read.integrity().findings,
  );
  gauge(
    'holdfast_integrity_last_pass_seconds',
    'When the last whole pass of the background check ended; seconds since 1970.',
    () => seconds(last('finished_at')),
  );
  const room = (member: string) => () => read.retention()?.[member];
  gauge('holdfast_ledger_file_bytes', "Size of the ledger's database and its log.", room('ledger_bytes'));
  gauge('holdfast_ledger_reusable_bytes', "Free room inside the ledger's database.", room('reusable_bytes'));
  gauge('holdfast_archive_bytes', 'Size of the archive files at the site.', room('archive_bytes'));
}

function seconds(iso: unknown): number | undefined {
  return typeof iso === 'string' ? Date.parse(iso) / 1_000 : undefined;
}
