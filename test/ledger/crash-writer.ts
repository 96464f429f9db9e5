import { writeSync } from 'node:fs';
import { openHeadStore, saveHead } from '../../daemon/ledger/head-store.ts';
import { commitBatch, open, streamNames } from './fixture.ts';

/*
 * A process to be killed: appends batches to the ledger named by its arguments for as long as it lives and reports the
 * size after every commit on stdout, unbuffered. Now and then it stores the head and moves the log, as the daemon does.
 */
const [ledgerPath = '', headPath = ''] = process.argv.slice(2);
const files = { ledger: ledgerPath, head: headPath };
const ledger = open(files);
const heads = openHeadStore(files.head);
heads.read(ledger.origin);
for (let batch = 0; ; batch++) {
  commitBatch(ledger, streamNames(ledger.size, 1 + (batch % 40)), `batch ${batch}`);
  writeSync(1, `${ledger.size}\n`);
  if (batch % 5 === 4) saveHead(heads, ledger);
  if (batch % 13 === 12) ledger.settle();
}
