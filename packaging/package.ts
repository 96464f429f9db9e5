import { mkdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { bundle } from './bundle.ts';
import { makeExecutables } from './executables.ts';
import { writeManual } from './man.ts';
import { ARCHITECTURES, runtimes } from './runtimes.ts';

/* `npm run package`: everything that is shipped, from a checkout with its packages installed, into `dist/`. */

const root = join(import.meta.dirname, '..');
const out = join(root, 'dist');

rmSync(out, { recursive: true, force: true });
mkdirSync(out);
const program = await bundle(root);
console.log(`program: ${mib(program.code.length)} of ${program.packages.length} packages`);
console.log(`manual: ${await writeManual(out)} pages, and completions`);
const executables = await makeExecutables({ root, bundle: program, runtimes: runtimes(root), out });
for (const arch of ARCHITECTURES)
  console.log(`${executables[arch]}: ${mib(statSync(executables[arch]).size)}`);

function mib(bytes: number): string {
  return `${(bytes / 1_048_576).toFixed(1)} MiB`;
}
