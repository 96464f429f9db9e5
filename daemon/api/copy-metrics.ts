import { Gauge, type Registry } from '@prometheus-io/client';
import type { JsonObject } from '../formats/json.ts';

/** Says at `/metrics` how far the second copy is behind; nothing at a site that keeps none. */
export function measureCopy(registry: Registry, read: () => JsonObject | null): void {
  const gauge = (name: string, help: string, member: string) =>
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        const value = read()?.[member];
        if (typeof value === 'number') this.set(value);
        else this.reset();
      },
    });
  gauge('holdfast_copy_entries', 'Entries in the second copy of the ledger.', 'entries');
  gauge('holdfast_copy_behind_entries', 'Entries that the second copy lacks.', 'behind_entries');
  gauge('holdfast_copy_behind_seconds', 'For how long the second copy has lacked some.', 'behind_seconds');
}
