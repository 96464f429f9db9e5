import type { Command } from 'commander';
import type { ApiClient, Disclosed, ReadingSubject } from '../api/client.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import { actorForRecord, type Site } from './access.ts';

/** What somebody says who opens payload values or takes evidence away. */
export interface ReadOptions {
  reason?: string;
  breakglass?: string;
  actor?: string;
}

/** Adds `--reason` and `--actor`, which are recorded. */
export function withReason(command: Command): Command {
  return command
    .option('--reason <text>', 'why; it is recorded')
    .option('--actor <id>', 'who reads, where the sockets do not know their callers');
}

/**
 * Puts a read on record before anything is shown. Throws BoundaryError `reason.missing`; and what the client throws: then
 * nothing may be shown, because nothing is recorded.
 */
export function recordRead(
  client: ApiClient,
  site: Site,
  right: 'raw' | 'export',
  subject: ReadingSubject,
  options: ReadOptions,
): Promise<Disclosed> {
  const { reason, breakglass } = options;
  if (reason === undefined || reason.trim() === '') {
    throw new BoundaryError(
      'reason.missing',
      'Say why with --reason TEXT: whoever opens payload values or takes evidence away is on record with it. Nothing was shown.',
      { at: '--reason' },
    );
  }
  const actor = actorForRecord(options.actor, site);
  return client.disclose({
    right,
    subject,
    reason,
    ...(breakglass === undefined ? {} : { breakglass }),
    ...(actor === null ? {} : { actor: { id: actor } }),
  });
}
