import { refuse } from '../../core/refusal.ts';
import { type BackupRecord, recordBackup } from '../backups.ts';
import type { Batch } from '../context.ts';
import type { EngineCall } from '../protocol.ts';
import { type AfterCommit, problem, reply } from '../reply.ts';

/** `backups.record`: somebody made a backup. Its head must be one that this ledger had. */
export function recordMade(batch: Batch, call: EngineCall): AfterCommit {
  const {
    actor = null,
    scheduled,
    ...made
  } = JSON.parse(call.body ?? '{}') as BackupRecord & {
    actor?: string | null;
  };
  const { ledger } = batch.state;
  if (made.ledger.origin !== ledger.origin || made.ledger.size > ledger.size) {
    const refusal = refuse(
      'backup.other_log',
      `The backup goes up to entry ${made.ledger.size} of ${made.ledger.origin}, and this is ${ledger.origin} with ${ledger.size}. Nothing was recorded: it is no backup of this ledger.`,
    );
    return () => problem(refusal);
  }
  // Only the daemon itself keeps a schedule.
  const own = call.peer.socket === 'internal' && scheduled === true;
  const { index } = recordBackup(batch, { ...made, scheduled: own }, actor);
  return () => reply(200, { record_id: index });
}
