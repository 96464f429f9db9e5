import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { verifyLedger } from '../../daemon/ledger/verify.ts';
import { commitBatch, create, filesIn, open, storeHead, streamNames, TRUST } from './fixture.ts';

/*
 * Not a test: prints what appending, opening and verifying cost. `node test/ledger/verify-speed.ts [ENTRIES] [BATCH]`.
 * CPU time beside wall time, because the machine may be busy with other things.
 */
const entries = Number(process.argv[2] ?? 200_000);
const batch = Number(process.argv[3] ?? 20);
const directory = mkdtempSync(join(tmpdir(), 'holdfast-speed-'));
process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
const files = filesIn(directory);
const filler = 'x'.repeat(500);

async function measure(what: string, work: () => unknown): Promise<void> {
  const cpu = process.cpuUsage();
  const started = performance.now();
  await work();
  const seconds = (performance.now() - started) / 1_000;
  const { user, system } = process.cpuUsage(cpu);
  const each = (user + system) / entries;
  const rate = Math.round(entries / seconds);
  console.log(`${what}: ${seconds.toFixed(2)} s, ${rate} entries/s, ${each.toFixed(1)} us of CPU each`);
}

const ledger = create(files);
await measure('append', () => {
  while (ledger.size < entries) commitBatch(ledger, streamNames(ledger.size, batch), filler);
});
storeHead(files, ledger);
ledger.close();
await measure('open', () => open(files).close());
for (const threads of [2, 1]) {
  await measure(`verify on ${threads} threads`, async () => {
    const options = { ledgerPath: files.ledger, headPath: files.head, trust: TRUST, inPlace: true, threads };
    const { code } = await verifyLedger(options);
    if (code !== 0) throw new Error(`the ledger verifies as ${code}`);
  });
}
console.log(`memory: ${Math.round(process.memoryUsage().rss / 1e6)} MB`);
