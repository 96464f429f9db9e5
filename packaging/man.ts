import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { wholeProgram } from '../daemon/commands/program.ts';
import { completionFor, SHELLS } from '../daemon/commands/reference/completion.ts';
import { manualPages } from '../daemon/commands/reference/man.ts';
import { specOf } from '../daemon/commands/reference/spec.ts';
import { VERSION } from '../daemon/host/version.ts';

/* Manual pages and shell completions, made of the commands themselves: `man/*.1` and `completions/*` under `out`. */

/** The day that pages of this version carry; moves on with the version, so that every build of it is the same. */
const EDITION = { version: VERSION, date: '2026-11-21' };

/** Where each shell looks for a file of this name. */
const FILES = { bash: 'holdfast', zsh: '_holdfast', fish: 'holdfast.fish' } as const;

/** Writes all of them; the result depends on nothing but the sources. Returns how many pages there are. */
export async function writeManual(out: string): Promise<number> {
  const root = specOf(await wholeProgram());
  const pages = manualPages(root, EDITION);
  mkdirSync(join(out, 'man'), { recursive: true });
  for (const { name, text } of pages) writeFileSync(join(out, 'man', name), text);
  for (const shell of SHELLS) {
    const folder = join(out, 'completions', shell);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, FILES[shell]), completionFor(shell, root));
  }
  return pages.length;
}
