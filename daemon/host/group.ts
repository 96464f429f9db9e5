import { BoundaryError } from '../formats/boundary-error.ts';
import { readBounded } from './durable-file.ts';

const GROUP_FILE = '/etc/group';
const MAX_BYTES = 1_048_576;

/** Numeric id of a local group. Throws `BoundaryError` `group.unknown` when the host has none of that name. */
export function groupId(name: string): number {
  const lines = Buffer.from(readBounded(GROUP_FILE, MAX_BYTES)).toString('utf8').split('\n');
  for (const line of lines) {
    const [group, , gid] = line.split(':');
    if (group === name && gid !== undefined && /^[0-9]+$/.test(gid)) return Number(gid);
  }
  throw new BoundaryError(
    'group.unknown',
    `There is no group ${name} on this host, so the sockets cannot be given to it. Create it (groupadd ${name}) or change sockets.group.`,
  );
}
