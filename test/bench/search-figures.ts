import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ApiClient, type SearchCall } from '../../daemon/api/client.ts';
import { sitePaths } from '../../daemon/host/site.ts';
import type { LedgerBench } from './ledger-figures.ts';
import type { Figure } from './report.ts';
import { startRole } from './site.ts';
import { percentile } from './statistics.ts';

/** What is asked of the large ledger: nearly everything, a sixty-fourth, one entry, and things that never meet. */
const QUERIES: readonly (SearchCall & { what: 'common' | 'selective' })[] = [
  { what: 'common', q: 'relay' },
  { what: 'common', class: 'read_telemetry', result: 'authorized' },
  { what: 'common', q: 'hourly check', actor: 'agent:ops-1', order: 'oldest' },
  { what: 'selective', target: 'sensor:relay-7' },
  { what: 'selective', target: 'sensor:relay-7', order: 'oldest' },
  { what: 'selective', type: 'policy.applied' },
  { what: 'selective', type: 'system.started', class: 'read_telemetry' },
  { what: 'selective', target: 'sensor:relay-7', q: 'pass nowhere' },
];
const LIMIT = 50;
/** Pages of each query that are walked in a row. */
const PAGES = 4;

/** How fast the ledger is searched once it is indexed, over the socket, and how fast a new index is made. */
export async function searchFigures(bench: LedgerBench, large: string): Promise<Figure[]> {
  const { plan, progress } = bench;
  const server = bench.own(await startRole(large, 'daemon'));
  const client = new ApiClient({ socketPath: join(sitePaths(large).run, 'operator.sock') });
  try {
    const started = performance.now();
    await indexed(client);
    const rate = plan.large / ((performance.now() - started) / 1_000);
    progress(`indexed ${plan.large} entries at ${rate.toFixed(0)} a second`);
    const times = { common: [] as number[], selective: [] as number[] };
    for (let round = 0; round < plan.rounds * 3; round++) {
      for (const { what, ...query } of QUERIES) times[what].push(...(await walk(client, query)));
    }
    const entries = plan.large.toLocaleString('en');
    const figure = (what: keyof typeof times): Figure => ({
      name: `search p95, ${what} terms, 50 hits, ${entries} entries`,
      unit: 'ms',
      ours: percentile(Float64Array.from(times[what]).sort(), 95),
      goal: { of: 'ours', at: 'most', value: 200 },
    });
    return [
      figure('common'),
      figure('selective'),
      { name: 'search index made anew, beside a running daemon', unit: 'entries/s', ours: rate },
    ];
  } finally {
    client.close();
    await server.stop();
  }
}

/** Resolves when the index has everything. */
async function indexed(client: ApiClient): Promise<void> {
  for (;;) {
    const { host } = (await client.status()) as { host?: { search?: { behind?: number } | null } };
    if (host?.search?.behind === 0) return;
    await sleep(100);
  }
}

/** Milliseconds of each page. */
async function walk(client: ApiClient, query: SearchCall): Promise<number[]> {
  const times: number[] = [];
  let after: string | undefined;
  while (times.length < PAGES) {
    const started = performance.now();
    const page = await client.search({ ...query, limit: LIMIT, ...(after === undefined ? {} : { after }) });
    times.push(performance.now() - started);
    if (page.next === null) break;
    after = page.next;
  }
  return times;
}
