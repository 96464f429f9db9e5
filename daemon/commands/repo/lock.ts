import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { BoundaryError } from '../../formats/boundary-error.ts';
import { lockWriter, type WriterLock } from '../../ledger/writer-lock.ts';

/** Commands that write into the publisher's directory, their first argument. Two at once would publish half of each. */
const WRITERS: ReadonlySet<string> = new Set([
  'publish',
  'delegate',
  'undelegate',
  'add-key',
  'rotate',
  'revoke',
  'renew',
  'merge',
  'finish',
  'refresh',
  'discard',
  'prune',
]);

const held = new Map<string, WriterLock>();

/**
 * Before a command of `repo` that writes: this process alone writes into the publisher's directory, until it ends, however
 * it ends. Throws BoundaryError `publish.in_use` when another one does.
 */
export function lockPublisher(_repo: Command, command: Command): void {
  const [dir] = command.args;
  if (!WRITERS.has(command.name()) || dir === undefined) return;
  const path = resolve(dir);
  const isPublisher =
    existsSync(join(path, 'publisher.json')) || existsSync(join(path, 'keys', 'targets.key'));
  if (!isPublisher || held.has(path)) return;
  try {
    held.set(path, lockWriter(join(path, '.publisher')));
  } catch (cause) {
    if (!(cause instanceof BoundaryError)) throw cause;
    throw new BoundaryError(
      'publish.in_use',
      `Another command is changing ${path} at this moment; nothing was done. Repeat this one when it has ended.`,
      { at: path, cause },
    );
  }
}
