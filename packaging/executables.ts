import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Bundle } from './bundle.ts';
import { RUNTIME_OPTIONS } from './runtime-options.ts';
import { ARCHITECTURES, type Architecture, fillPackerCache, NODE_VERSION, type Runtime } from './runtimes.ts';

/*
 * Single executable applications (Node's SEA, put together by pkg): a runtime, the program, and the files that it carries,
 * in one file for each processor.
 */

/** pkg's own builder for a single file; what its command line calls. */
type PackSea = (
  entry: string,
  options: {
    targets: { nodeRange: string; platform: string; arch: string; output: string }[];
    seaConfig: object;
    signature: boolean;
  },
) => Promise<void>;

const BOOT = 'packaging/boot/boot.cjs';
/** Embedded beside the program, from the root of the checkout on. */
const FOLDERS = ['policies'];

export interface ExecutableParts {
  root: string;
  bundle: Bundle;
  runtimes: Readonly<Record<Architecture, Runtime>>;
  /** Directory for `holdfast-linux-ARCH`; must exist. */
  out: string;
  /** Line of the release's public key, which the program holds its manifest against; null for a development build. */
  releaseKey?: string | null;
}

/** Makes the executables of all processors and returns their paths. */
export async function makeExecutables({
  root,
  bundle,
  runtimes,
  out,
  releaseKey = null,
}: ExecutableParts): Promise<Record<Architecture, string>> {
  const work = mkdtempSync(join(tmpdir(), 'holdfast-package-'));
  const { HOME, TMPDIR } = process.env;
  try {
    const stripped = (arch: Architecture) => strip(runtimes[arch].node, join(work, `node-${arch}`), arch);
    fillPackerCache(work, { x64: stripped('x64'), arm64: stripped('arm64') });
    copyFileSync(join(root, BOOT), join(work, 'boot.cjs'));
    Object.assign(process.env, { HOME: work, TMPDIR: work });
    // One processor after the other: their addons differ.
    for (const arch of ARCHITECTURES) await pack(arch);
    return { x64: join(out, 'holdfast-linux-x64'), arm64: join(out, 'holdfast-linux-arm64') };
  } finally {
    for (const [name, value] of Object.entries({ HOME, TMPDIR }))
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    rmSync(work, { recursive: true, force: true });
  }

  async function pack(arch: Architecture): Promise<void> {
    const assets = stage(join(work, arch), root, bundle, runtimes[arch]);
    if (releaseKey !== null) assets['file/release.pub'] = keyFile(join(work, arch), releaseKey);
    const output = join(work, `holdfast-linux-${arch}`);
    // The blob is made by a runtime that this machine can run, so its own processor is always among the targets.
    const targets = [...new Set([arch, process.arch as Architecture])].map((one) => ({
      nodeRange: `node${NODE_VERSION}`,
      platform: 'linux',
      arch: one,
      output: one === arch ? output : join(work, 'unused'),
    }));
    const require = createRequire(import.meta.url);
    const packSea = (require('@yao-pkg/pkg/lib-es5/sea.js') as { default: PackSea }).default;
    // The blob keeps the path of its main file: one that is the same wherever this is built, as seen from pkg's own directory.
    const seaConfig = { main: '../boot.cjs', assets, execArgv: RUNTIME_OPTIONS };
    await quietly(() => packSea(join(work, 'boot.cjs'), { targets, signature: false, seaConfig }));
    chmodSync(output, 0o755);
    copyFileSync(output, join(out, `holdfast-linux-${arch}.new`));
    renameSync(join(out, `holdfast-linux-${arch}.new`), join(out, `holdfast-linux-${arch}`));
  }
}

/** What is embedded: boot code for threads, the program with its code cache, and the files, by their names. */
function stage(dir: string, root: string, { code }: Bundle, { addons }: Runtime): Record<string, string> {
  mkdirSync(dir);
  const program = join(dir, 'holdfast.cjs');
  writeFileSync(program, code);
  const cache = join(dir, 'holdfast.cache');
  makeCodeCache(root, program, cache);
  const files: Record<string, string> = {
    'boot.cjs': join(root, BOOT),
    'holdfast.cjs': program,
    'holdfast.cache': cache,
  };
  for (const [name, path] of Object.entries(addons)) files[`file/native/${name}.node`] = path;
  for (const folder of FOLDERS)
    for (const name of readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).sort())
      if (/\.(ya?ml|json)$/.test(name)) files[`file/${folder}/${name}`] = join(root, folder, name);
  return files;
}

function keyFile(dir: string, line: string): string {
  const path = join(dir, 'release.pub');
  writeFileSync(path, line);
  return path;
}

/** By the very runtime that is shipped, so that the cache is accepted by it; `--predictable` makes the same bytes each time. */
function makeCodeCache(root: string, program: string, cache: string): void {
  execFileSync(
    process.execPath,
    ['--predictable', join(root, 'packaging/boot/code-cache.cjs'), program, cache],
    {
      stdio: 'inherit',
    },
  );
}

/** Without debugging symbols, where the machine has a tool for it (Debian: binutils, binutils-aarch64-linux-gnu). */
function strip(node: string, to: string, arch: Architecture): string {
  copyFileSync(node, to);
  chmodSync(to, 0o755);
  const tool = arch === 'arm64' ? 'aarch64-linux-gnu-strip' : 'x86_64-linux-gnu-strip';
  try {
    execFileSync(tool, ['--strip-unneeded', '--enable-deterministic-archives', to], { stdio: 'pipe' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    console.warn(`${tool} is not installed: the ${arch} executable keeps its symbols and is larger.`);
  }
  return to;
}

/** pkg talks a lot. */
async function quietly<T>(task: () => Promise<T>): Promise<T> {
  const { log } = console;
  console.log = () => {};
  try {
    return await task();
  } finally {
    console.log = log;
  }
}
