import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { run } from './run.ts';

const OPTIONS = ['--quiet', '--no-input', '--disable-pip-version-check', '--timeout', '10', '--retries', '0'];

/** A Python with these packages, in an environment of its own at `venv`; null where there is no Python or no registry. */
export async function pythonWith(venv: string, packages: readonly string[]): Promise<string | null> {
  const bin = join(venv, 'bin', 'python3');
  const made = await run('python3', ['-m', 'venv', venv]).catch(() => null);
  if (made?.code !== 0 || !existsSync(bin)) return null;
  const pip = await run(bin, ['-m', 'pip', 'install', ...OPTIONS, ...packages]);
  return pip.code === 0 ? bin : null;
}
