import { rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { generateIdentity, identityToRecipient } from 'age-encryption';
import { ApiClient } from '../../daemon/api/client.ts';
import { sitePaths } from '../../daemon/host/site.ts';
import type { LedgerBench } from './ledger-figures.ts';
import type { Figure } from './report.ts';
import { runCommand, startRole } from './site.ts';
import { median } from './statistics.ts';

const PROOFS = 200;
/** Anchors, each after something new to anchor. */
const ANCHORS = 15;

/** What leaves a site with a large ledger: proofs, permits, anchors, backups. */
export async function exportFigures(bench: LedgerBench, large: string): Promise<Figure[]> {
  const server = bench.own(await startRole(large, 'daemon'));
  const client = new ApiClient({
    socketPath: join(sitePaths(large).run, 'operator.sock'),
    timeoutMs: 60_000,
  });
  try {
    return [
      ...(await proofFigures(bench, client)),
      await anchorFigure(bench, client),
      await backupFigure(bench, large),
    ];
  } finally {
    client.close();
    await server.stop();
  }
}

/** Over the socket, each of another entry. */
async function proofFigures({ plan }: LedgerBench, client: ApiClient): Promise<Figure[]> {
  const { size } = await client.entries({ limit: 1 });
  const at = Array.from({ length: PROOFS }, (_, i) => Math.floor(((i + 0.5) * size) / PROOFS));
  const proofs = await timed(at, (index) => client.proof(index));
  const ids: string[] = [];
  for (const index of at) {
    const { entries } = await client.entries({ from: index, limit: 1 });
    const stream = entries[0]?.entry.stream ?? '';
    if (stream.startsWith('dec_')) ids.push(stream);
  }
  const permits = await timed(ids, (id) => client.getDecision(id));
  const entries = plan.large.toLocaleString('en');
  const goal = { of: 'ours', at: 'most', value: 5 } as const;
  return [
    { name: `proof export, p50, ${entries} entries`, unit: 'ms', ours: median(proofs), goal },
    { name: `permit export, p50, ${entries} entries`, unit: 'ms', ours: median(permits), goal },
  ];
}

async function anchorFigure({ plan, questions }: LedgerBench, client: ApiClient): Promise<Figure> {
  const times: number[] = [];
  for (let round = 0; round < ANCHORS; round++) {
    const [question] = questions;
    if (question === undefined) throw new Error('there is nothing to ask');
    await client.createDecision(question as unknown as Parameters<ApiClient['createDecision']>[0]);
    const started = performance.now();
    const { unchanged } = await client.exportAnchor();
    times.push(performance.now() - started);
    if (unchanged) throw new Error('the anchor was not made anew');
  }
  const entries = plan.large.toLocaleString('en');
  const goal = { of: 'ours', at: 'most', value: 50 } as const;
  return { name: `anchor export, p50, ${entries} entries`, unit: 'ms', ours: median(times), goal };
}

/** The whole command beside the running daemon, by the size of what goes in. */
async function backupFigure({ plan, scratch, progress }: LedgerBench, large: string): Promise<Figure> {
  const recipient = await identityToRecipient(await generateIdentity());
  const bytes = statSync(sitePaths(large).ledger).size;
  const rates: number[] = [];
  for (let run = 1; run <= plan.verifications; run++) {
    const file = join(scratch, `backup-${run}.age`);
    const started = performance.now();
    await runCommand(['backup', file, '--to', recipient, '--dir', large, '--json']);
    const seconds = (performance.now() - started) / 1_000;
    rates.push(bytes / 1_000_000 / seconds);
    progress(
      `backup ${run} of ${plan.verifications}: ${(bytes / 1e6).toFixed(0)} MB in ${seconds.toFixed(1)} s`,
    );
    rmSync(file);
  }
  const goal = { of: 'ours', at: 'least', value: 50 } as const;
  return { name: 'backup, encrypted, whole command', unit: 'MB/s', ours: median(rates), goal };
}

async function timed<T>(items: readonly T[], task: (item: T) => Promise<unknown>): Promise<number[]> {
  const times: number[] = [];
  for (const item of items) {
    const started = performance.now();
    await task(item);
    times.push(performance.now() - started);
  }
  return times;
}
