import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { VERSION } from '../../daemon/host/version.ts';
import { ROOT, readSources } from './sources.ts';

const sources = readSources();

/** Longer files, each with the reason why it is one thing. */
const LONG_FILES: Record<string, string> = {};

const MAX_FILE_LINES = 400;
const MAX_FUNCTION_LINES = 70;

describe('house rules', () => {
  it('keep files short', () => {
    const long = sources
      .map(({ path, text }) => ({ path, lines: text.split('\n').length - 1 }))
      .filter(({ path, lines }) => lines > MAX_FILE_LINES && !Object.hasOwn(LONG_FILES, path));
    expect(long).toEqual([]);
  });

  it('keep functions short', () => {
    const long = sources.flatMap(({ path, code }) =>
      functionsOf(code)
        .filter(({ lines }) => lines > MAX_FUNCTION_LINES)
        .map(({ name, lines }) => `${path}: ${name} has ${lines} lines`),
    );
    expect(long).toEqual([]);
  });

  it('say what every exported function and class is for', () => {
    const silent = sources.flatMap(({ path, text }) => {
      const lines = text.split('\n');
      return lines.flatMap((line, at) => {
        const name = /^export (?:async )?(?:function\*?|class|abstract class) (\w+)/.exec(line)?.[1];
        return name !== undefined && !isTiny(lines, at) && !isDocumented(lines, at)
          ? [`${path}: ${name}`]
          : [];
      });
    });
    expect(silent).toEqual([]);
  });

  it('leave no marks of unfinished work', () => {
    const marks = readSources(['daemon', 'sync', 'test'])
      .filter(({ path }) => !path.startsWith('test/structure/'))
      .flatMap(({ path, text }) =>
        (text.match(/\b(TODO|FIXME|XXX|HACK)\b|\b(it|test|describe)\.(only|skip|todo)\(/g) ?? []).map(
          (m) => `${path}: ${m}`,
        ),
      );
    expect(marks).toEqual([]);
  });

  it('name one version', () => {
    const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
    expect(VERSION).toBe(manifest.version);
  });
});

/** A function of one statement whose name says it all (`isRefusal`). */
function isTiny(lines: string[], at: number): boolean {
  return lines.slice(at, at + 3).includes('}');
}

/** True when a doc comment ends on the line before, or an overload of the same name stands there. */
function isDocumented(lines: string[], at: number): boolean {
  const before = lines[at - 1]?.trim() ?? '';
  return before.endsWith('*/') || /^export (async )?function \w+.*;$/.test(before);
}

/** Functions and methods with their length; relies on the formatter's indentation: a body ends at its head's indent. */
function functionsOf(code: string): { name: string; lines: number }[] {
  const lines = code.split('\n');
  const head =
    /^(\s*)(?:export )?(?:default )?(?:async )?(?:function\*? (\w+)|(?:(?:static|private|protected|override|async|get|set) )*([#\w]+)\()/;
  return lines.flatMap((line, at) => {
    const match = head.exec(line);
    const name = match?.[2] ?? match?.[3];
    if (match === null || name === undefined || /^(if|for|while|switch|catch|return|await)$/.test(name))
      return [];
    const open = lines.findIndex((l, i) => i >= at && /[{;]$/.test(l.trimEnd()));
    // A call whose last argument opens a brace (`append(x, {`, `each(() => {`) is no head of a function.
    if (!/\)(: [^=]+)? \{$/.test(lines[open]?.trimEnd() ?? '')) return [];
    const closing = [`${match[1]}}`, `${match[1]}},`];
    const end = lines.findIndex((l, i) => i > open && closing.includes(l.trimEnd()));
    return end === -1 ? [] : [{ name, lines: end - at + 1 }];
  });
}
