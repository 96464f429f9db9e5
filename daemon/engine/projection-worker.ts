import { parentPort, workerData } from 'node:worker_threads';
import { openDatabase } from '../ledger/database.ts';
import { LEDGER_KIND } from '../ledger/schema.ts';
import { beginCheck } from './projection-check.ts';

/** What the thread of `checkProjectionsAside` is started with. */
export interface ProjectionWorkerData {
  path: string;
  archive: string;
  entries: number;
  grants: SharedArrayBuffer;
}

/* One check over one snapshot of the file; its rest, and its findings, when a message says that every entry was seen. */
const { path, archive, entries, grants } = workerData as ProjectionWorkerData;
const database = openDatabase(path, { kind: LEDGER_KIND, readonly: true });
database.beginRead();
const rest = beginCheck(database, archive, entries);
parentPort?.once('message', () => {
  parentPort?.postMessage(rest(new Float64Array(grants)));
  database.close();
});
