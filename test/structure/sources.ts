import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Root of the checkout. */
export const ROOT = fileURLToPath(new URL('../../', import.meta.url));

export interface Import {
  /** Path of the imported source relative to the root, or the package or `node:` name. */
  to: string;
  /** True for `import type`: gone at run time. */
  typeOnly: boolean;
  /** True for `import(…)`: loaded only when reached. */
  dynamic: boolean;
}

export interface Source {
  /** Relative to the root, with `/`. */
  path: string;
  text: string;
  /** The text with comments blanked out, line numbers kept. */
  code: string;
  imports: Import[];
}

/** All product sources (`daemon/`, `sync/`), parsed for their imports. */
export function readSources(folders: string[] = ['daemon', 'sync']): Source[] {
  const paths = folders.flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts') || name.endsWith('.mjs'))
      .map((name) => join(folder, name).split(sep).join('/')),
  );
  return paths.sort().map((path) => {
    const text = readFileSync(join(ROOT, path), 'utf8');
    const code = blankComments(text);
    return { path, text, code, imports: importsOf(path, code) };
  });
}

/** Blanks comments; strings that look like comments (`'https://…'`) are left alone. */
function blankComments(text: string): string {
  const token = /\/\*[\s\S]*?\*\/|\/\/[^\n]*|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`/g;
  return text.replace(token, (found) =>
    found.startsWith('/*') || found.startsWith('//') ? found.replace(/[^\n]/g, ' ') : found,
  );
}

function importsOf(path: string, code: string): Import[] {
  const found: Import[] = [];
  const resolve = (name: string): string =>
    name.startsWith('.')
      ? relative('.', normalize(join(dirname(path), name)))
          .split(sep)
          .join('/')
      : name;
  for (const match of code.matchAll(/^(import|export)\s+(type\s+)?(?:[^'";]*?\sfrom\s+)?'([^']+)'/gm)) {
    if (match[1] === 'export' && !match[0].includes(' from ')) continue;
    found.push({ to: resolve(match[3] ?? ''), typeOnly: match[2] !== undefined, dynamic: false });
  }
  for (const match of code.matchAll(/\bimport\(\s*'([^']+)'\s*\)/g)) {
    found.push({ to: resolve(match[1] ?? ''), typeOnly: false, dynamic: true });
  }
  for (const match of code.matchAll(/new URL\(\s*'(\.[^']+\.ts)',\s*import\.meta\.url/g)) {
    found.push({ to: resolve(match[1] ?? ''), typeOnly: false, dynamic: true });
  }
  return found;
}

/**
 * Everything that `entry` loads, directly or not. `import type` does not count; `import(…)` and worker files count with
 * `later`: what a process may load at any time of its life, not just at its start.
 */
export function loadedBy(entry: string, sources: Source[], options: { later: boolean }): Set<string> {
  const byPath = new Map(sources.map((source) => [source.path, source]));
  const seen = new Set<string>();
  const queue = [entry];
  for (let path = queue.pop(); path !== undefined; path = queue.pop()) {
    if (seen.has(path)) continue;
    seen.add(path);
    for (const { to, typeOnly, dynamic } of byPath.get(path)?.imports ?? [])
      if (!typeOnly && (options.later || !dynamic)) queue.push(to);
  }
  return seen;
}
