import { parentPort, workerData } from 'node:worker_threads';
import { openDatabase } from './database.ts';
import { LEDGER_KIND } from './schema.ts';
import { type SharedMarks, StreamMarks } from './stream-marks.ts';
import { type LedgerTrust, type Range, RangeVerifier } from './verify-range.ts';

/** What a verifying thread is started with. It then answers each `Range` it is sent with a `RangeResult`. */
export interface VerifyWorkerData {
  path: string;
  trust: LedgerTrust;
  marks: SharedMarks;
}

const { path, trust, marks } = workerData as VerifyWorkerData;
const database = openDatabase(path, { kind: LEDGER_KIND, readonly: true });
database.beginRead();
const verifier = new RangeVerifier(database, trust, new StreamMarks(marks));

parentPort?.on('message', (range: Range) => {
  parentPort?.postMessage(verifier.verify(range));
});
parentPort?.on('close', () => database.close());
