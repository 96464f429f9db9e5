import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/*
 * libfaketime (Debian: libfaketime): gives the processes of a test another wall clock, which can be set while they run. Their
 * monotonic clock stays the machine's.
 */

/** The library, where it is installed. */
export const LIBFAKETIME = findLibrary();

function findLibrary(): string | null {
  for (const directory of listed('/usr/lib').map((name) => join('/usr/lib', name, 'faketime'))) {
    if (listed(directory).includes('libfaketime.so.1')) return join(directory, 'libfaketime.so.1');
  }
  return null;
}

function listed(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

/** A wall clock for processes that are started with `env`. */
export class FakedClock {
  readonly env: Readonly<Record<string, string>>;
  readonly #file: string;

  constructor(directory: string) {
    this.#file = join(directory, 'faketime');
    this.env = {
      LD_PRELOAD: LIBFAKETIME ?? '',
      FAKETIME_TIMESTAMP_FILE: this.#file,
      FAKETIME_NO_CACHE: '1',
      DONT_FAKE_MONOTONIC: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
    };
    this.set('+0');
  }

  /** `+0` is the right time, `+1y` a year ahead, `@1970-01-01 00:00:10` what a dead battery leaves. At once, in all processes. */
  set(specification: string): void {
    writeFileSync(this.#file, `${specification}\n`);
  }
}
