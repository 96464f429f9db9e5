import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { verifyLedger } from '../../daemon/ledger/verify.ts';
import { temporaryDir } from '../host/temporary.ts';
import { check, create, type Files, filesIn, grow, open, storeHead, TRUST } from './fixture.ts';

const WRITER = join(import.meta.dirname, 'crash-writer.ts');
const ROUNDS = 8;

/** Runs the writer until it has reported `commits` batches, kills it, and returns the last size that it reported. */
function killedAfter(files: Files, commits: number): Promise<number> {
  const child = spawn(process.execPath, [WRITER, files.ledger, files.head], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.setEncoding('utf8');
  child.stdout.on('data', (text: string) => {
    output += text;
    // The kill arrives somewhere inside one of the next batches.
    if (output.split('\n').length > commits) child.kill('SIGKILL');
  });
  return new Promise((resolve, reject) => {
    child.once('close', (_, signal) => {
      const sizes = output.split('\n').slice(0, -1);
      if (signal === 'SIGKILL') resolve(Number(sizes.at(-1)));
      else reject(new Error(`the writer ended by itself (${signal})`));
    });
  });
}

test('a writer killed at any moment loses nothing that it has reported', async () => {
  const files = filesIn(temporaryDir());
  const ledger = create(files);
  grow(ledger, 10, 5);
  storeHead(files, ledger);
  ledger.close();
  for (let round = 0; round < ROUNDS; round++) {
    const reported = await killedAfter(files, 3 + 11 * round);
    const report = await verifyLedger({
      ledgerPath: files.ledger,
      headPath: files.head,
      trust: TRUST,
      inPlace: true,
    });
    expect([0, 11]).toContain(report.code);
    expect(report.entries).toBeGreaterThanOrEqual(reported);
    const again = open(files);
    expect(again.size).toBe(report.entries);
    grow(again, 3, 1);
    storeHead(files, again);
    again.close();
    const { entries, headSize } = check(files);
    expect(entries).toHaveLength(report.entries + 3);
    expect(headSize).toBe(entries.length);
  }
});
