import { readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { type Architecture, NODE_VERSION } from './runtimes.ts';

/* What other people's work is inside an executable: npm packages as the lock files pin them, and the runtime. */

/** An npm package of which something is inside. */
export interface Part {
  /** Its directory, from the root of the checkout on. */
  dir: string;
  name: string;
  version: string;
  /** SPDX identifier or expression, as its manifest declares it. */
  licence: string;
  /** SHA-512 of the registry's tarball, in hex. */
  sha512: string;
  /** Directories of the packages inside that it depends on. */
  needs: string[];
}

interface LockedPackage {
  version?: string;
  integrity?: string;
  dependencies?: Record<string, string>;
}

const RUNTIMES = 'packaging/runtimes';

/**
 * The packages in `dirs` (from the root on) and those that an executable for `arch` takes its runtime and addons from. Throws
 * when a lock file does not pin one of them, or what is installed is another version.
 */
export function partsOf(root: string, dirs: readonly string[], arch: Architecture): Part[] {
  const runtime = [`${RUNTIMES}/node_modules/@koromix/koffi-linux-${arch}`, nodeDir(arch)];
  const all = [...dirs, ...runtime];
  const locks = { '': lockOf(root, ''), [RUNTIMES]: lockOf(root, RUNTIMES) };
  return all.map((dir) => {
    const [base, lock] = dir.startsWith(RUNTIMES) ? [RUNTIMES, locks[RUNTIMES]] : ['', locks['']];
    return partOf(root, dir, lock?.[relative(base, dir)] ?? {}, all);
  });
}

/** Where the runtime for `arch` and its licence texts are, from the root on. */
export function nodeDir(arch: Architecture): string {
  return `${RUNTIMES}/node_modules/node-linux-${arch}`;
}

/** The part that is the runtime itself. */
export function isRuntime({ name, version }: Part): boolean {
  return name.startsWith('node-linux-') && version === NODE_VERSION;
}

function lockOf(root: string, base: string): Record<string, LockedPackage> {
  const text = readFileSync(join(root, base, 'package-lock.json'), 'utf8');
  return (JSON.parse(text) as { packages: Record<string, LockedPackage> }).packages;
}

function partOf(root: string, dir: string, locked: LockedPackage, all: readonly string[]): Part {
  const manifest = JSON.parse(readFileSync(join(root, dir, 'package.json'), 'utf8')) as {
    name: string;
    version: string;
    license?: string;
  };
  const { name, version, license = '' } = manifest;
  const pinned = /^sha512-([A-Za-z0-9+/]{86}==)$/.exec(locked.integrity ?? '')?.[1];
  if (pinned === undefined) throw new Error(`${dir} is not pinned by a SHA-512 in the lock file`);
  if (locked.version !== version)
    throw new Error(`${dir} is ${version}, the lock file says ${locked.version}: run npm ci`);
  const needs = Object.keys(locked.dependencies ?? {}).flatMap((needed) => resolve(dir, needed, all) ?? []);
  return {
    dir,
    name,
    version,
    licence: license,
    sha512: Buffer.from(pinned, 'base64').toString('hex'),
    needs: needs.sort(),
  };
}

/** The package that `needed` means to code in `dir`: the nearest `node_modules` on the way up that has it. */
function resolve(dir: string, needed: string, all: readonly string[]): string | undefined {
  for (let at = dir; ; ) {
    const candidate = join(at, 'node_modules', needed);
    if (all.includes(candidate)) return candidate;
    const up = at.lastIndexOf('/node_modules/');
    if (up < 0) return at === '' ? undefined : all.find((one) => one === `node_modules/${needed}`);
    at = at.slice(0, up);
  }
}
