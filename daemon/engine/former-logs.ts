import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { noDecision } from '../core/lifecycle.ts';
import { type Refusal, refuse } from '../core/refusal.ts';
import type { KeyEncryptionKey } from '../host/key-wrap.ts';
import { loadSealer, type Sealer } from '../host/sealer.ts';
import { type Database, openDatabase } from '../ledger/database.ts';
import { LEDGER_KIND } from '../ledger/schema.ts';

/*
 * The logs that this site had before it was restored, as they lie in `state/former/<n>` (docs/decisions/0035). They are
 * closed: what was decided in them can only be looked up. Asked for what this log does not know, and nothing else, so that
 * a site that was never restored pays nothing.
 */

/** A decision of a log that ended. */
export interface FormerDecision {
  decision: string;
  /** Name of its log, and where that lies in the site. */
  origin: string;
  place: string;
  /** Whether the keys of its sealed values lie there, too. */
  keys: boolean;
}

/** What is asked of them. */
export interface FormerLogs {
  /** The decision of that id; null when none of them has it. */
  decided(id: string): FormerDecision | null;
  /** The decision that an idempotency key (its scope in bytes, before the MAC) was answered with; null where none is known. */
  answered(scope: () => Uint8Array): FormerDecision | null;
}

/** A site that was never restored. */
export const NO_FORMER_LOGS: FormerLogs = { decided: () => null, answered: () => null };

interface Opened {
  origin: string;
  place: string;
  database: Database;
  sealer: Sealer | null;
}

/**
 * The former logs under `state/former`, newest first. Each is opened when it is first asked. One that cannot be opened (or
 * whose keys cannot) is told to `report` once, and knows nothing.
 */
export function openFormerLogs(
  directory: string,
  sealingKey: string,
  kek: KeyEncryptionKey | null,
  report: (message: string, error: unknown) => void,
): FormerLogs {
  const numbers = existsSync(directory)
    ? readdirSync(directory).filter((name) => /^[1-9]\d{0,5}$/.test(name))
    : [];
  if (numbers.length === 0) return NO_FORMER_LOGS;
  let opened: Opened[] | null = null;
  const logs = (): Opened[] => {
    opened ??= numbers
      .sort((a, b) => Number(b) - Number(a))
      .flatMap((name) => open(join(directory, name), `state/former/${name}`, sealingKey, kek, report));
    return opened;
  };
  const known = ({ origin, place, sealer }: Opened, decision: string): FormerDecision => ({
    decision,
    origin,
    place,
    keys: sealer !== null,
  });
  return {
    decided: (id) => {
      const log = logs().find(({ database }) => one(database, 'SELECT id FROM decisions WHERE id = ?', id));
      return log === undefined ? null : known(log, id);
    },
    answered: (scope) => {
      for (const log of logs()) {
        if (log.sealer === null) continue;
        const key = log.sealer.mac(scope());
        const decision = one(log.database, 'SELECT decision FROM idempotency WHERE key = ?', key);
        if (decision !== null) return known(log, decision);
      }
      return null;
    },
  };
}

/** "There is no such decision", and where it was made if that was in a former log. */
export function unknownDecision(former: FormerLogs, id: string | undefined): Refusal {
  const found = id === undefined ? null : former.decided(id);
  if (found === null) return noDecision(id);
  const values = found.keys
    ? `Its sensitive values cannot be shown, withheld or destroyed by themselves any more: destroying the key files in ${found.place}/keys destroys all that were sealed in that log`
    : 'Its sensitive values are sealed under keys that this site does not have';
  return refuse(
    'decision.not_found',
    `${id} was decided in the log ${found.origin}, which ended when this site was restored; nothing was done, and nothing can be done to it. It is kept, and can be verified, in ${found.place}. ${values} (docs/operate/backup-and-restore.md).`,
  );
}

function one(database: Database, sql: string, key: string): string | null {
  return database.prepareColumn<string>(sql).get(key) ?? null;
}

function open(
  path: string,
  place: string,
  sealingKey: string,
  kek: KeyEncryptionKey | null,
  report: (message: string, error: unknown) => void,
): Opened[] {
  try {
    const database = openDatabase(join(path, 'ledger.sqlite'), { kind: LEDGER_KIND, readonly: true });
    const note = database
      .prepareColumn<string>('SELECT note FROM checkpoints ORDER BY size DESC LIMIT 1')
      .get();
    const origin = note?.split('\n', 1)[0] ?? 'unknown';
    const keys = join(path, 'keys');
    const hasKeys = existsSync(keys) && readdirSync(keys).some((name) => name.endsWith('.key'));
    const sealer = hasKeys ? loadSealer(join(keys, sealingKey), kek) : null;
    return [{ origin, place, database, sealer }];
  } catch (error) {
    report(
      `engine: the former log ${place} cannot be read; what was asked for there is not known any more`,
      error,
    );
    return [];
  }
}
