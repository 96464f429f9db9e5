import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { auditLock, type LockFile } from './lock-audit.ts';

/*
 * `npm run audit [-- --signatures]`: holds the lock files against what they may say; exits 1 with what is wrong. With
 * --signatures it also has npm check the registry's signatures over every package, which asks the registry.
 */

/** Directories with a lock file, from the root on. */
export const LOCKED: readonly string[] = ['', 'packaging/runtimes'];
const NETWORK =
  /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|network|no dependencies to audit|ENOAUDIT|E40[0-9]/i;

/** What is wrong with the lock file in a directory. */
export function auditDirectory(root: string, dir: string): string[] {
  const lock = JSON.parse(readFileSync(join(root, dir, 'package-lock.json'), 'utf8')) as LockFile;
  return auditLock(lock, readFileSync(join(root, '.npmrc'), 'utf8'));
}

if (import.meta.main) {
  const root = join(import.meta.dirname, '..');
  for (const dir of LOCKED) {
    const wrong = auditDirectory(root, dir);
    for (const words of wrong) console.error(words);
    console.log(
      `${join(dir, 'package-lock.json')}: ${wrong.length === 0 ? 'as it should be' : `${wrong.length} defects`}`,
    );
    if (wrong.length > 0) process.exitCode = 1;
  }
  if (process.argv.includes('--signatures')) signatures(root);
}

function signatures(root: string): void {
  const { status, stdout, stderr } = spawnSync('npm', ['audit', 'signatures'], {
    cwd: root,
    encoding: 'utf8',
  });
  console.log(stdout.trim());
  if (status === 0) return;
  if (NETWORK.test(stderr)) {
    console.log('signatures of the registry: NOT CHECKED, it could not be asked');
    return;
  }
  console.error(stderr.trim());
  process.exitCode = 1;
}
