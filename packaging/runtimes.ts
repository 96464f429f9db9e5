import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/*
 * The runtimes of all processors. npm installs for the machine that it runs on; `packaging/runtimes` is a package of its
 * own that is installed for all, by `npm ci` and the digests of its lock file.
 */

/** Processors that executables are made for, as Node names them. */
export const ARCHITECTURES = ['x64', 'arm64'] as const;
export type Architecture = (typeof ARCHITECTURES)[number];

/** Of the runtime, as the lock files have it. */
export const NODE_VERSION = '24.21.0';

export interface Runtime {
  /** Node's own executable. */
  node: string;
  /** Native addons by the names that the program asks for. */
  addons: Readonly<Record<'better_sqlite3' | 'koffi', string>>;
}

/** Installs the runtimes unless they are there, and says where they are. */
export function runtimes(root: string): Record<Architecture, Runtime> {
  const dir = join(root, 'packaging/runtimes');
  const modules = join(dir, 'node_modules');
  if (!isInstalled(dir, modules)) {
    rmSync(modules, { recursive: true, force: true });
    // `--force`: the machine that packages is of one processor only. Nothing of these packages is run by it.
    execFileSync(
      'npm',
      ['ci', '--force', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'],
      {
        cwd: dir,
        stdio: ['ignore', 'ignore', 'inherit'],
      },
    );
    copyFileSync(join(dir, 'package-lock.json'), join(modules, '.installed'));
  }
  const of = (arch: Architecture): Runtime => ({
    node: join(modules, `node-linux-${arch}/bin/node`),
    addons: {
      better_sqlite3: join(root, `node_modules/better-sqlite3/prebuilds/linux-${arch}.node`),
      koffi: join(modules, `@koromix/koffi-linux-${arch}/linux_${arch}/koffi.node`),
    },
  });
  return { x64: of('x64'), arm64: of('arm64') };
}

/** Whether what is installed is what the lock file says now. */
function isInstalled(dir: string, modules: string): boolean {
  const mark = join(modules, '.installed');
  return existsSync(mark) && readFileSync(mark).equals(readFileSync(join(dir, 'package-lock.json')));
}

/**
 * Lays the runtimes where pkg looks for what it would otherwise download (`HOME/.pkg-cache/sea`), with the marks of a
 * finished download, so that it fetches nothing.
 */
export function fillPackerCache(home: string, nodes: Readonly<Record<Architecture, string>>): void {
  const cache = join(home, '.pkg-cache/sea');
  for (const arch of ARCHITECTURES) {
    const name = `node-v${NODE_VERSION}-linux-${arch}`;
    const bin = join(cache, name, 'bin');
    mkdirSync(bin, { recursive: true });
    copyFileSync(nodes[arch], join(bin, 'node'));
    for (const mark of [
      join(bin, 'node.ok'),
      join(cache, `${name}.tar.gz`),
      join(cache, `${name}.tar.gz.ok`),
    ])
      writeFileSync(mark, '');
  }
}
