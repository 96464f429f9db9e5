import { parentPort, workerData } from 'node:worker_threads';
import { openDatabase } from './database.ts';
import { LEDGER_KIND } from './schema.ts';
import { type SharedMarks, StreamMarks } from './stream-marks.ts';
import { EntryRows } from './verify-archive.ts';
import { type LedgerTrust, pageDefects, type Range, RangeVerifier } from './verify-range.ts';

/** A `Range` is answered with its `RangeResult`, `pages` with the `Finding[]` of `pageDefects`. */
export type VerifyTask = Range | 'pages';

/** What a verifying thread is started with. */
export interface VerifyWorkerData {
  path: string;
  trust: LedgerTrust;
  marks: SharedMarks;
  /** Where archive files lie. */
  archive: string;
}

const { path, trust, marks, archive } = workerData as VerifyWorkerData;
const database = openDatabase(path, { kind: LEDGER_KIND, readonly: true });
database.beginRead();
const verifier = new RangeVerifier(database, trust, new StreamMarks(marks), new EntryRows(database, archive));

parentPort?.on('message', (task: VerifyTask) => {
  parentPort?.postMessage(task === 'pages' ? pageDefects(database) : verifier.verify(task));
});
parentPort?.on('close', () => database.close());
