import { lstatSync, type Stats } from 'node:fs';
import { join } from 'node:path';
import { BoundaryError } from '../formats/boundary-error.ts';
import { errorCode, readBounded } from './durable-file.ts';

/**
 * Reads a credential that the service manager (systemd.exec "Credentials") or an operator put into a directory for this
 * process. Null when there is none of that name. Throws BoundaryError `credential.exposed`, `credential.wrong_owner`,
 * `file.*`: a secret that others could have read or put there is not used.
 */
export function readCredential(directory: string, name: string, max: number): Uint8Array | null {
  const path = join(directory, name);
  const stat = found(path);
  if (stat === undefined) return null;
  // systemd gives them to root and lets the service in by an access list, whose mask shows as the group's rights.
  const allowed = stat.uid === 0 ? 0o007 : 0o077;
  if ((stat.mode & allowed) !== 0) {
    const mode = (stat.mode & 0o777).toString(8).padStart(4, '0');
    throw new BoundaryError(
      'credential.exposed',
      `The credential ${path} has mode ${mode}, so others may have read it; it was not used. Find out who could read it, then \`chmod 600\` it or replace it.`,
      { at: path },
    );
  }
  if (stat.uid !== 0 && stat.uid !== process.geteuid?.()) {
    throw new BoundaryError(
      'credential.wrong_owner',
      `The credential ${path} belongs to user ${stat.uid}, neither root nor the user of this process; it was not used.`,
      { at: path },
    );
  }
  return readBounded(path, max);
}

/** systemd closes the directory to the service, too, when a unit may have credentials and none was there to be given. */
function found(path: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch (error) {
    if (errorCode(error) === 'EACCES') return undefined;
    throw error;
  }
}
