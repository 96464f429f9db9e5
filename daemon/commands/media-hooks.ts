import { spawn } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { errorCode } from '../host/durable-file.ts';

/** A lamp that does not light up within this is not waited for. */
const PATIENCE_MS = 30_000;
const MAX_HOOKS = 16;
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/;

export interface HookRun {
  name: string;
  /** Null when it was ended by a signal, or not started. */
  code: number | null;
  /** Why it was not run, or did not end well. */
  trouble: string | null;
}

/**
 * Runs the programs of a directory, one after the other, in the order of their names, with `words` as arguments: lamps,
 * beeps, displays. Only those that belong to root or to this user and that nobody else may change. Never rejects.
 */
export async function runHooks(directory: string, words: readonly string[]): Promise<HookRun[]> {
  const runs: HookRun[] = [];
  for (const name of hooksIn(directory).slice(0, MAX_HOOKS)) {
    const path = join(directory, name);
    const trouble = unfitness(path);
    runs.push(trouble === null ? await runHook(path, name, words) : { name, code: null, trouble });
  }
  return runs;
}

function hooksIn(directory: string): string[] {
  try {
    return readdirSync(directory)
      .filter((name) => NAME.test(name))
      .sort();
  } catch (error) {
    if (errorCode(error) === null) throw error;
    return [];
  }
}

function unfitness(path: string): string | null {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined || !stat.isFile()) return 'it is not a file';
  if ((stat.mode & 0o022) !== 0) return 'others may change it; chmod go-w it';
  if (stat.uid !== 0 && stat.uid !== process.geteuid?.()) return 'it belongs to neither root nor this user';
  return (stat.mode & 0o111) === 0 ? 'it is not executable; chmod +x it' : null;
}

function runHook(path: string, name: string, words: readonly string[]): Promise<HookRun> {
  return new Promise((resolve) => {
    const child = spawn(path, [...words], {
      cwd: '/',
      env: { LANG: 'C.UTF-8', PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
      stdio: ['ignore', 'inherit', 'inherit'],
      shell: false,
      timeout: PATIENCE_MS,
      killSignal: 'SIGKILL',
    });
    child.once('error', (error) =>
      resolve({ name, code: null, trouble: errorCode(error) ?? 'cannot be run' }),
    );
    child.once('close', (code, signal) => {
      const trouble = signal !== null ? `ended by ${signal}` : code === 0 ? null : `exit code ${code}`;
      resolve({ name, code, trouble });
    });
  });
}
