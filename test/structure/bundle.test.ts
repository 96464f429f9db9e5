import { transformSync } from 'esbuild';
import { describe, expect, it } from 'vitest';
import { readSources } from './sources.ts';

/* What the executable needs of the sources: they become one CommonJS file, whose threads are parts of it. */

const THREAD = 'daemon/host/thread.ts';
const sources = readSources();

/** The bundler's own complaint about a source; null when it can be part of a CommonJS file. */
function complaint(code: string): string | null {
  try {
    transformSync(code, { loader: 'ts', format: 'cjs', target: 'node24', logLevel: 'silent' });
    return null;
  } catch (error) {
    return (error as Error).message.split('\n')[1] ?? String(error);
  }
}

describe('sources of the executable', () => {
  it('start threads in one way', () => {
    const others = sources.filter(({ path, code }) => path !== THREAD && /\bnew\s+Worker\b/.test(code));
    expect(others.map(({ path }) => path)).toEqual([]);
    expect(sources.some(({ path, code }) => path === THREAD && /new Worker\(/.test(code))).toBe(true);
  });

  it('wait for nothing while they are loaded', () => {
    const waiting = sources.flatMap(({ path, text }) => {
      const why = complaint(text);
      return why === null ? [] : [`${path}: ${why}`];
    });
    expect(waiting).toEqual([]);
    expect(complaint('await Promise.resolve();')).toMatch(/Top-level await/);
    expect(complaint('for await (const x of y) f(x);')).not.toBeNull();
  });

  it('load nothing from the disk by a name that is made up as they run', () => {
    const loads = sources.flatMap(({ path, code }) =>
      [...code.matchAll(/\b(?:import|require)\((?!\s*['"])/g)].map(() => path),
    );
    expect(loads).toEqual([]);
  });
});
