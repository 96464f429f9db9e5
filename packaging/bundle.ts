import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { build, type Metafile, type Plugin } from 'esbuild';

/*
 * The whole product as one CommonJS file: a function of `require` that returns `{ run, thread }`. Modules stay lazy, so a
 * command evaluates what it needs. What in a checkout is found beside a module (threads, native addons) is part of it.
 */

export interface Bundle {
  code: string;
  /** Hex SHA-256 of `code`. */
  digest: string;
  /** Directories of the npm packages that are in it, from the root of the checkout on. */
  packages: string[];
}

/** Where modules are, for those that ask by `import.meta.url`: a place that no file system has. */
const PLACE = 'bundle:///';
const THREAD = /startThread\(\s*new URL\('([^']+)', import\.meta\.url\)/g;

/** Bundles the sources under `root`. The result depends on nothing but them and the lock file. */
export async function bundle(root: string): Promise<Bundle> {
  const { outputFiles, metafile } = await build({
    absWorkingDir: root,
    stdin: { contents: program(root), resolveDir: root, sourcefile: 'packaging/program.ts', loader: 'ts' },
    bundle: true,
    write: false,
    outfile: 'holdfast.cjs',
    platform: 'node',
    target: 'node24',
    format: 'cjs',
    minifyWhitespace: true,
    minifySyntax: true,
    keepNames: true,
    legalComments: 'none',
    metafile: true,
    logLevel: 'warning',
    // Packages that ask where they lie get a place where nothing is.
    define: { 'import.meta.url': '"file:///nowhere/holdfast.cjs"' },
    banner: {
      js: '(function(require){"use strict";const module={exports:{}},__dirname="/nowhere",__filename="/nowhere/holdfast.cjs";let exports=module.exports;',
    },
    footer: { js: 'return module.exports})' },
    plugins: [ownModules(root), nativeAddons(), unused()],
  });
  const [output] = outputFiles;
  if (output === undefined) throw new Error('esbuild wrote nothing');
  const digest = createHash('sha256').update(output.contents).digest('hex');
  return { code: output.text, digest, packages: packagesOf(metafile) };
}

/** The entry: the command line, and every thread by the name of its module. */
function program(root: string): string {
  const threads = threadModules(root).map((path) => `'${path}': () => import('./${path}')`);
  return `
export { run } from './daemon/main.ts';
const THREADS = { ${threads.join(', ')} };
export function thread(name) {
  const load = THREADS[name];
  if (load === undefined) throw new Error('no thread is called ' + name);
  load().catch((error) => { setImmediate(() => { throw error; }); });
}
`;
}

/** Modules that some source starts a thread with, from the root on. */
function threadModules(root: string): string[] {
  const found = new Set<string>();
  for (const path of sources(root)) {
    const text = readFileSync(join(root, path), 'utf8');
    for (const [, module = ''] of text.matchAll(THREAD))
      found.add(new URL(module, `${PLACE}${path}`).pathname.slice(1));
  }
  return [...found].sort();
}

function sources(root: string): string[] {
  return ['daemon', 'sync'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => `${folder}/${name}`)
      .sort(),
  );
}

/** Our own modules are told where they would be; none of them is the main one. */
function ownModules(root: string): Plugin {
  return {
    name: 'own-modules',
    setup({ onLoad }) {
      onLoad({ filter: /\/(daemon|sync)\/.*\.ts$/ }, ({ path }) => {
        const place = JSON.stringify(`${PLACE}${relative(root, path)}`);
        const contents = readFileSync(path, 'utf8')
          .replaceAll('import.meta.url', place)
          .replaceAll('import.meta.main', 'false')
          .replaceAll('import.meta.dirname', '""');
        return { contents, loader: 'ts' };
      });
    },
  };
}

/** What looks for its native half on the disk is given the one that the executable carries. */
function nativeAddons(): Plugin {
  const load = (name: string) => `require('holdfast:addon').loadAddon('${name}')`;
  const place = (text: string, what: string, by: string, path: string): string => {
    if (text.split(what).length !== 2)
      throw new Error(`${path} does not look for its addon as it did: ${what}`);
    return text.replace(what, by);
  };
  return {
    name: 'native-addons',
    setup({ onLoad, onResolve, resolve }) {
      onResolve({ filter: /^holdfast:addon$/ }, () =>
        resolve('./daemon/host/addon.ts', { kind: 'require-call', resolveDir: process.cwd() }),
      );
      onLoad({ filter: /\/better-sqlite3\/lib\/binding\.js$/ }, () => ({
        contents: `exports.getBinding = () => ${load('better_sqlite3')};`,
        loader: 'js',
      }));
      onLoad({ filter: /\/koffi\/src\/koffi\/index\.js$/ }, ({ path }) => {
        const text = readFileSync(path, 'utf8');
        const found = place(
          text,
          'loadStatic(pkg) ?? loadDynamic(import.meta.dirname, pkg, triplets)',
          load('koffi'),
          path,
        );
        return { contents: place(found, 'createRequire(import.meta.url)', '() => null', path), loader: 'js' };
      });
    },
  };
}

/**
 * Parts of packages that nothing of ours calls: fastify's way to ask a server without a connection, and the runtime's own
 * metrics with the tracing that they bring along.
 */
function unused(): Plugin {
  return {
    name: 'unused',
    setup({ onLoad, onResolve }) {
      onResolve({ filter: /^light-my-request$|^\.\/lib\/defaultMetrics$/ }, ({ path }) => ({
        path,
        namespace: 'unused',
      }));
      onLoad({ filter: /./, namespace: 'unused' }, ({ path }) => ({
        contents: `module.exports = () => { throw new Error('${path} is not part of the program'); };`,
      }));
    },
  };
}

function packagesOf({ inputs }: Metafile): string[] {
  const found = Object.keys(inputs).flatMap(
    (path) => /^((?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1] ?? [],
  );
  return [...new Set(found)].sort();
}
