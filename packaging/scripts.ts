import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { HEAD_KIND, LEDGER_KIND } from '../daemon/ledger/schema.ts';

/* The shell scripts of an installation; they run as root on a host, before or without the program. */

const DIR = join(import.meta.dirname, 'scripts');
const INCLUDE = /^#include (\S+)\n/gm;
const BLANK = /@([A-Z_]+)@/g;

export interface ScriptFacts {
  version: string;
  /** As `uname -m` says it. */
  machine: string;
  /** Formats of the ledger and the head store; those of the sources, unless a test plays another release. */
  formats?: { ledger: number; head: number };
}

/** A script as it is shipped: what it includes put in, and its blanks filled. Throws on a blank that nothing fills. */
export function script(name: string, { version, machine, formats }: ScriptFacts): string {
  const facts: Readonly<Record<string, string>> = {
    VERSION: version,
    MACHINE: machine,
    LEDGER_FORMAT: String(formats?.ledger ?? LEDGER_KIND.version),
    HEAD_FORMAT: String(formats?.head ?? HEAD_KIND.version),
  };
  return read(name)
    .replace(INCLUDE, (_, included: string) => read(included))
    .replace(BLANK, (blank, fact: string) => {
      const value = facts[fact];
      if (value === undefined) throw new Error(`${name}: nothing fills ${blank}`);
      return value;
    });
}

function read(name: string): string {
  return readFileSync(join(DIR, name), 'utf8');
}
