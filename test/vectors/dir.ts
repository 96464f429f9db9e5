import { existsSync } from 'node:fs';

/** The folder of published test vectors, from `VECTORS_DIR`; null where it is unset or missing, and their tests are skipped. */
export function vectorsDir(): string | null {
  const dir = process.env.VECTORS_DIR;
  return dir !== undefined && dir !== '' && existsSync(dir) ? dir : null;
}
