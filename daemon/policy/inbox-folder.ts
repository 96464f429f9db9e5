import { readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { BoundaryError } from '../formats/boundary-error.ts';
import { errorCode, makeDir } from '../host/durable-file.ts';

const REFUSED = 'refused';
/** Refused ones that are kept for people to look at. */
const KEPT_REFUSED = 100;
const MAX_STUCK = 10_000;

/**
 * A folder of the inbox, which others write to and the daemon empties. What did its work is removed; what was refused goes
 * into `refused/`, so that the right one can arrive under its name; what cannot be moved is not looked at again before it
 * changes.
 */
export class InboxFolder {
  readonly path: string;
  readonly #pattern: RegExp;
  /** Names that could not be moved, and what they looked like then. */
  readonly #stuck = new Map<string, string>();

  constructor(path: string, pattern: RegExp) {
    this.path = path;
    this.#pattern = pattern;
  }

  /** Names that were not looked at yet: cheap, because it is asked all the time. None where there is no such folder. */
  waiting(): string[] {
    try {
      return readdirSync(this.path)
        .filter((name) => this.#pattern.test(name) && this.#stuck.get(name) !== this.#stamp(name))
        .sort();
    } catch (error) {
      if (errorCode(error) === null) throw error;
      return [];
    }
  }

  /** Removes what was dealt with. */
  clear(names: readonly string[]): void {
    for (const name of names) this.#away(name, () => rmSync(join(this.path, name), { force: true }));
  }

  setAside(names: readonly string[]): void {
    if (names.length === 0) return;
    const aside = join(this.path, REFUSED);
    for (const name of names)
      this.#away(name, () => {
        makeDir(aside, 0o770);
        renameSync(join(this.path, name), join(aside, name));
      });
    forgetOldest(aside);
  }

  /** The inbox is the sync process's too: what may not be moved stays, and is not looked at again as it is. */
  #away(name: string, act: () => void): void {
    const stamp = this.#stamp(name);
    try {
      act();
      this.#stuck.delete(name);
    } catch (error) {
      if (errorCode(error) === null && !(error instanceof BoundaryError)) throw error;
      if (this.#stuck.size >= MAX_STUCK) this.#stuck.clear();
      this.#stuck.set(name, stamp);
    }
  }

  #stamp(name: string): string {
    const stat = statSync(join(this.path, name), { throwIfNoEntry: false });
    return stat === undefined ? 'gone' : `${stat.ino} ${stat.size} ${stat.mtimeMs}`;
  }
}

function forgetOldest(dir: string): void {
  try {
    const files = readdirSync(dir).map((name) => ({ name, at: statSync(join(dir, name)).mtimeMs }));
    const old = files.sort((a, b) => b.at - a.at).slice(KEPT_REFUSED);
    for (const { name } of old) rmSync(join(dir, name), { force: true, recursive: true });
  } catch (error) {
    // Tidying up is no reason to fail; the next refusal tries again.
    if (errorCode(error) === null) throw error;
  }
}
