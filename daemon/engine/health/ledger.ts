import { type Degraded, type HealthFacts, iso } from './facts.ts';

/** A ledger that cannot be written. */
export function ledgerHealth({ trouble }: HealthFacts): Degraded[] {
  if (trouble === null) return [];
  return [
    {
      component: 'ledger',
      cause: trouble.cause,
      since: iso(trouble.since),
      effect: 'Nothing can be recorded, so every request is denied.',
      instruction: ledgerInstruction(trouble.cause),
    },
  ];
}

/** What a person can do about a ledger that cannot be written, by SQLite's or our own code. */
export function ledgerInstruction(cause: string): string {
  if (cause === 'SQLITE_FULL') {
    return 'The disk that holds the site is full. Free space on it; the daemon goes on by itself within a second or two.';
  }
  if (cause.startsWith('SQLITE_READONLY') || cause === 'database.readonly_disk') {
    return 'The ledger or its disk is read-only. Find out why (dmesg), make the disk writable again (mount -o remount,rw), and see that the files in state belong to the account of the daemon. It goes on by itself within a second or two; start it where it does not run.';
  }
  if (cause.startsWith('SQLITE_IOERR')) {
    return 'The disk reports errors. Check it (dmesg), copy the site directory elsewhere, then replace the disk.';
  }
  return 'Look into the daemon\'s log, run "holdfast ledger verify", and restart the daemon.';
}
