import { statSync } from 'node:fs';
import { BoundaryError } from '../formats/boundary-error.ts';
import { parsePolicy, type TlogPolicy } from '../formats/tlog-policy.ts';
import { readBounded } from './durable-file.ts';

const MAX_BYTES = 256 * 1024;

/**
 * The site's own tlog-policy file (`trust/tlog-policy`): which witnesses it believes, and how many of them. Read again when
 * it was changed, so that an operator who adds a witness need not restart anything.
 */
export class TlogPolicyFile {
  readonly #path: string;
  #known: { stamp: string; policy: TlogPolicy } | null = null;

  constructor(path: string) {
    this.#path = path;
  }

  /** Null when there is no such file. Throws `BoundaryError` `tlog_policy.malformed`, `file.*`: then nobody is believed. */
  read(): TlogPolicy | null {
    const stat = statSync(this.#path, { throwIfNoEntry: false });
    if (stat === undefined) return null;
    const stamp = `${stat.ino} ${stat.size} ${stat.mtimeMs}`;
    if (this.#known?.stamp !== stamp) {
      const text = Buffer.from(readBounded(this.#path, MAX_BYTES)).toString('utf8');
      this.#known = { stamp, policy: parsePolicy(text) };
    }
    return this.#known.policy;
  }

  /** The same, null also for a file that cannot be used: then no witness is believed. Whoever brings cosignatures says why. */
  usable(): TlogPolicy | null {
    try {
      return this.read();
    } catch (error) {
      if (error instanceof BoundaryError) return null;
      throw error;
    }
  }
}
