import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Member } from '../../packaging/archive.ts';
import { hostFiles } from '../../packaging/layout.ts';
import { ROOT } from '../structure/sources.ts';

/* What `npm run package` made, for tests that install it. */

const packaged = process.env.HOLDFAST_PACKAGED;
const DIST = packaged === undefined ? join(ROOT, 'dist') : dirname(packaged);

/** The path of something that was packaged; null where nothing was. */
export function packagedFile(name: string): string | null {
  const path = join(DIST, name);
  if (existsSync(path)) return path;
  if (packaged !== undefined) throw new Error(`${path} should have been packaged`);
  return null;
}

/** The files of an installation, around this executable. */
export function filesAround(executable: Uint8Array): Member[] {
  return hostFiles({
    root: ROOT,
    executable,
    licences: 'Licences.\n',
    sbom: '{}\n',
    generated: DIST,
    manifest: null,
  });
}

/** The x64 executable. */
export function executableX64(): Uint8Array | null {
  const path = packagedFile('holdfast-linux-x64');
  return path === null ? null : readFileSync(path);
}
