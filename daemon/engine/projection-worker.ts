import { parentPort, workerData } from 'node:worker_threads';
import { openDatabase } from '../ledger/database.ts';
import { LEDGER_KIND } from '../ledger/schema.ts';
import { checkProjections } from './projection-check.ts';

/** Thread of `checkProjectionsAside`: one check over one snapshot of the file, then its findings. */
const { path, archive } = workerData as { path: string; archive: string };
const database = openDatabase(path, { kind: LEDGER_KIND, readonly: true });
database.beginRead();
parentPort?.postMessage(checkProjections(database, archive));
database.close();
