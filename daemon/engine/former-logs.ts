import { existsSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { noDecision } from '../core/lifecycle.ts';
import { type Refusal, refuse } from '../core/refusal.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import type { KeyEncryptionKey } from '../host/key-wrap.ts';
import { loadSealer, type Sealer } from '../host/sealer.ts';
import { type Database, openDatabase } from '../ledger/database.ts';
import { LEDGER_KIND, structureDefects } from '../ledger/schema.ts';

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
  /** The decision of that id; null when none of those that can be read has it. */
  decided(id: string): FormerDecision | null;
  /**
   * The decision that an idempotency key (its scope in bytes, before the MAC) was answered with; null where none is known,
   * and the places of the logs that cannot say so, which may have answered it.
   */
  answered(scope: () => Uint8Array): FormerDecision | { unreadable: string[] } | null;
  /** Places of those that cannot be read as they should be. */
  unreadable(): string[];
}

/** A site that was never restored. */
export const NO_FORMER_LOGS: FormerLogs = {
  decided: () => null,
  answered: () => null,
  unreadable: () => [],
};

interface Opened {
  origin: string;
  database: Database;
  /** Null where the log lies here without its keys. */
  sealer: Sealer | null;
}

/**
 * The former logs under `state/former`, newest first. Each is opened when it is first asked. One that cannot be read is told
 * to `report` once, and tried again whenever something is asked: it may have been somebody's passing trouble.
 */
export function openFormerLogs(
  directory: string,
  sealingKey: string,
  kek: KeyEncryptionKey | null,
  report: (message: string, error: unknown) => void,
): FormerLogs {
  const logs = (existsSync(directory) ? readdirSync(directory) : [])
    .filter((name) => /^[1-9]\d{0,5}$/.test(name))
    .sort((a, b) => Number(b) - Number(a))
    .map((name) => new FormerLog(join(directory, name), { sealingKey, kek, report }));
  if (logs.length === 0) return NO_FORMER_LOGS;
  const unreadable = (): string[] => logs.filter((log) => !log.isReadable).map(({ place }) => place);
  return {
    decided: (id) => first(logs, (log) => log.decided(id)),
    answered: (scope) => {
      const found = first(logs, (log) => log.answered(scope));
      if (found !== null) return found;
      const silent = unreadable();
      return silent.length === 0 ? null : { unreadable: silent };
    },
    unreadable: () => {
      for (const log of logs) log.open();
      return unreadable();
    },
  };
}

function first<T>(logs: readonly FormerLog[], ask: (log: FormerLog) => T | null): T | null {
  for (const log of logs) {
    const found = ask(log);
    if (found !== null) return found;
  }
  return null;
}

interface Surroundings {
  sealingKey: string;
  kek: KeyEncryptionKey | null;
  report: (message: string, error: unknown) => void;
}

/** One of them. Nothing that is wrong with it gets out: this log does not depend on it. */
class FormerLog {
  readonly place: string;
  readonly #path: string;
  readonly #surroundings: Surroundings;
  #opened: Opened | null = null;
  #reported = false;

  constructor(path: string, surroundings: Surroundings) {
    this.#path = path;
    this.place = `state/former/${basename(path)}`;
    this.#surroundings = surroundings;
  }

  /** As it was when it was last asked. */
  get isReadable(): boolean {
    return this.#opened !== null;
  }

  open(): void {
    this.#ask(() => null);
  }

  decided(id: string): FormerDecision | null {
    return this.#ask((log) =>
      this.#known(log, one(log.database, 'SELECT id FROM decisions WHERE id = ?', id)),
    );
  }

  answered(scope: () => Uint8Array): FormerDecision | null {
    return this.#ask((log) => {
      if (log.sealer === null) return null;
      const key = log.sealer.mac(scope());
      return this.#known(log, one(log.database, 'SELECT decision FROM idempotency WHERE key = ?', key));
    });
  }

  #known({ origin, sealer }: Opened, decision: string | null): FormerDecision | null {
    return decision === null ? null : { decision, origin, place: this.place, keys: sealer !== null };
  }

  /** Null also when it cannot be read. */
  #ask<T>(question: (log: Opened) => T | null): T | null {
    try {
      this.#opened ??= opened(this.#path, this.#surroundings);
      return question(this.#opened);
    } catch (error) {
      this.#opened?.database.close();
      this.#opened = null;
      if (!this.#reported) {
        const message = `engine: the former log ${this.place} cannot be read; what was asked for there cannot be told`;
        this.#surroundings.report(message, error);
        this.#reported = true;
      }
      return null;
    }
  }
}

function perhapsFormer(id: string | undefined, silent: readonly string[]): Refusal {
  return refuse(
    'decision.not_found',
    `There is no decision ${id} in this log; nothing was done. It may have been decided in one that ended when this site was restored, which cannot be read: ${silent.join(', ')}. ${MEND}`,
  );
}

/** What to do about it. */
export const MEND =
  'Restore it from the backup (docs/operate/backup-and-restore.md), or, if nothing of it will be asked again, move it out of state/former and start the daemon again.';

/** "There is no such decision", and where it was made if that was in a former log. */
export function unknownDecision(former: FormerLogs, id: string | undefined): Refusal {
  const found = id === undefined ? null : former.decided(id);
  if (found === null) {
    const silent = former.unreadable();
    return silent.length === 0 ? noDecision(id) : perhapsFormer(id, silent);
  }
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

/** Tables that are asked here. */
const ASKED = ['decisions', 'idempotency'];

function opened(path: string, { sealingKey, kek }: Surroundings): Opened {
  const database = openDatabase(join(path, 'ledger.sqlite'), { kind: LEDGER_KIND, readonly: true });
  try {
    // It came with a backup, which anybody may have written: nothing in it may compute what it answers.
    const wrong = [...structureDefects(database), ...missingTables(database)];
    if (wrong.length > 0)
      throw new BoundaryError('ledger.structure', `It is no ledger: ${wrong.slice(0, 5).join('; ')}.`);
    const note = database
      .prepareColumn<string>('SELECT note FROM checkpoints ORDER BY size DESC LIMIT 1')
      .get();
    const origin = note?.split('\n', 1)[0] ?? 'unknown';
    const keys = join(path, 'keys');
    const hasKeys = existsSync(keys) && readdirSync(keys).some((name) => name.endsWith('.key'));
    return { origin, database, sealer: hasKeys ? loadSealer(join(keys, sealingKey), kek) : null };
  } catch (error) {
    database.close();
    throw error;
  }
}

function missingTables(database: Database): string[] {
  const tables = database.prepareColumn<string>("SELECT name FROM sqlite_schema WHERE type = 'table'").all();
  return ASKED.filter((name) => !tables.includes(name)).map((name) => `table ${name} is missing`);
}
