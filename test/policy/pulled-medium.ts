import type { Dirent } from 'node:fs';
import { type Medium, realMedium } from '../../daemon/policy/medium.ts';

/** A stick that works for so many steps and is gone then. `done` counts them. */
export function pulledAfter(steps: number): Medium & { done: number } {
  const medium = {
    done: 0,
    step(): void {
      if (this.done >= steps) throw Object.assign(new Error('gone'), { code: 'EIO' });
      this.done += 1;
    },
    async open(path: string, flags: number) {
      this.step();
      return realMedium.open(path, flags);
    },
    async *list(path: string) {
      for await (const entry of realMedium.list(path)) {
        this.step();
        yield entry;
      }
    },
    async stat(file: Parameters<Medium['stat']>[0]) {
      this.step();
      return realMedium.stat(file);
    },
    async read(...args: Parameters<Medium['read']>) {
      this.step();
      return realMedium.read(...args);
    },
  };
  return medium;
}

/** A file system that makes up one more name in every directory, as only a hostile one can. */
export function naming(name: string): Medium {
  return {
    ...realMedium,
    async *list(path) {
      let last: Dirent | undefined;
      for await (const entry of realMedium.list(path)) {
        last = entry;
        yield entry;
      }
      if (last !== undefined) yield Object.assign(Object.create(last) as Dirent, { name });
    },
  };
}
