import { decodeEntry } from '../formats/entry.ts';
import type { JsonObject } from '../formats/json.ts';
import type { Batch, EngineState, Recorded } from './context.ts';

const STREAM = 'backup';

/** A backup that was written, as it goes on record. */
export interface BackupRecord {
  /** File name, without directories: where it goes afterwards is nobody's to say. */
  file: string;
  /** Hex SHA-256 of the encrypted file. */
  digest: string;
  size: number;
  /** age recipients that can open it. */
  recipients: string[];
  /** Whether secret keys are in it. */
  keys: boolean;
  /** The signed head that it goes up to. */
  ledger: { origin: string; size: number; root: string };
  scheduled: boolean;
}

/** Records that a backup was made: one `backup.created`. The entry is above what is in the backup. */
export function recordBackup(batch: Batch, backup: BackupRecord, actor: string | null): Recorded {
  const by = backup.scheduled ? { id: null, role: 'system' } : { id: actor, role: null };
  return batch.record(STREAM, 'backup.created', by, backup as unknown as JsonObject);
}

/** When the newest backup on record was made, and up to where it goes; null when there is none. */
export function backupSummary(state: EngineState | null): JsonObject | null {
  const newest = state?.ledger.stream(STREAM, 1)[0];
  if (newest === undefined) return null;
  const { type, at, data } = decodeEntry(newest.bytes);
  if (type !== 'backup.created') return null;
  const { file, ledger } = data;
  return { at, file: file ?? null, size: (ledger as JsonObject).size ?? null };
}
