import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isRuntime, type Part } from './parts.ts';

/* The licences of everything inside: allowed ones only, each with its text. */

/** Licences (SPDX) under which something may be inside: permissive ones. `blessing` is SQLite's. */
export const ALLOWED_LICENCES: readonly string[] = [
  '0BSD',
  'Apache-2.0',
  'BlueOak-1.0.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'ISC',
  'MIT',
  'blessing',
];

const TEXT = /^(licen[cs]e|copying|notice|copyrightnotice)([.-].*)?$/i;
const OURS = 'packaging/licences';

/**
 * Packages that declare a licence and ship no text of it, with the text to show: Apache's is the one in our own LICENSE, the
 * others are in files here.
 */
const WITHOUT_TEXT: Readonly<Record<string, readonly string[]>> = {
  '@bufbuild/cel': ['LICENSE'],
  '@bufbuild/cel-spec': ['LICENSE'],
  '@bufbuild/protobuf': ['LICENSE', `${OURS}/bufbuild-protobuf.txt`],
  'abstract-logging': [`${OURS}/abstract-logging.txt`],
  '@koromix/koffi-linux-x64': ['node_modules/koffi/LICENSE.txt'],
  '@koromix/koffi-linux-arm64': ['node_modules/koffi/LICENSE.txt'],
};

/** Whether an SPDX expression of names, AND, OR and one level of parentheses leaves us a way that is allowed. */
export function isAllowed(expression: string, allowed: readonly string[] = ALLOWED_LICENCES): boolean {
  const bare = expression.replace(/^\((.*)\)$/, '$1');
  if (bare === '' || /[()]/.test(bare)) return false;
  return bare.split(' OR ').some((way) => way.split(' AND ').every((one) => allowed.includes(one)));
}

/** One text with the licences of all parts. Throws naming each part that has no text, or a licence that is not allowed. */
export function licenceTexts(root: string, parts: readonly Part[]): string {
  const wrong: string[] = [];
  const chapters = parts.map((part) => {
    const texts = textsOf(root, part);
    if (!isAllowed(part.licence)) wrong.push(`${part.name}: licence "${part.licence}" is not allowed`);
    if (texts.length === 0) wrong.push(`${part.name}: no text of its licence`);
    return [heading(part), ...texts].join('\n\n');
  });
  if (wrong.length > 0) throw new Error(`nothing is packaged with these inside:\n${wrong.join('\n')}`);
  const sqlite = readFileSync(join(root, `${OURS}/sqlite.txt`), 'utf8').trim();
  return `${INTRODUCTION}\n${[...chapters, sqlite].join('\n\n\n')}\n`;
}

const INTRODUCTION = `What holdfast contains of other people's work, and under which licences it does.
Holdfast itself: Apache License 2.0.
`;

function heading(part: Part): string {
  const title = isRuntime(part)
    ? `Node.js ${part.version}, and what it contains`
    : `${part.name} ${part.version}`;
  return `${'='.repeat(100)}\n${title}\n${part.licence}\n${'='.repeat(100)}`;
}

function textsOf(root: string, { dir, name }: Part): string[] {
  const own = readdirSync(join(root, dir), { withFileTypes: true })
    .filter((entry) => entry.isFile() && TEXT.test(entry.name))
    .map((entry) => `${dir}/${entry.name}`)
    .sort();
  const paths = own.length > 0 ? own : (WITHOUT_TEXT[name] ?? []);
  return paths.map((path) => readFileSync(join(root, path), 'utf8').replaceAll('\r', '').trim());
}
