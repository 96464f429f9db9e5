import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { wholeProgram } from '../../daemon/commands/program.ts';
import { type CommandSpec, specOf } from '../../daemon/commands/reference/spec.ts';
import { ROOT } from '../structure/sources.ts';

const PAGES = join(ROOT, 'docs/operate');
const RUNBOOKS = [
  ...[
    'install',
    'daily',
    'import-by-stick',
    'approvals-across-the-gap',
    'break-glass',
    'disk-full',
    'dead-clock',
  ],
  ...['corrupted-ledger', 'lost-key', 'replace-hardware', 'upgrade', 'hand-over-to-an-auditor'],
];

const read = (path: string): string => readFileSync(path, 'utf8');

let root: CommandSpec;
beforeAll(async () => {
  root = specOf(await wholeProgram());
});

describe('the runbooks', () => {
  it.each(RUNBOOKS)('%s begins with symptoms, and ends with how to know that it worked', (name) => {
    const page = read(join(PAGES, `${name}.md`));
    const sections = [...page.matchAll(/^## (.*)$/gm)].map(([, title]) => title);
    // Nobody has symptoms before there is a site, nor of a new version.
    if (!['install', 'upgrade'].includes(name)) expect(sections[0]).toBe('Symptoms');
    if (name !== 'upgrade') expect(sections).toContain('How to know that it worked');
    expect(read(join(PAGES, 'README.md'))).toContain(`](${name}.md)`);
  });

  it('are all reached from the first page, as is every other page', () => {
    const linked = (from: string, seen: Set<string>): Set<string> => {
      if (seen.has(from)) return seen;
      seen.add(from);
      for (const [, to = ''] of read(from).matchAll(/\]\(([\w./-]+\.md)(?:#[\w-]+)?\)/g)) {
        const path = join(dirname(from), to);
        if (existsSync(path)) linked(path, seen);
      }
      return seen;
    };
    const reached = linked(join(PAGES, 'README.md'), new Set());
    const missing = readdirSync(PAGES).filter((name) => !reached.has(join(PAGES, name)));
    expect(missing).toEqual([]);
  });
});

describe('the documentation', () => {
  const pages = [
    join(ROOT, 'README.md'),
    join(ROOT, 'docs/verify-by-hand.md'),
    ...readdirSync(PAGES).map((name) => join(PAGES, name)),
  ].filter((page) => page.endsWith('.md'));

  it.each(pages)(
    'names in %s only commands and options that there are, with those that they need',
    (page) => {
      const wrong = commandsIn(read(page)).flatMap((command) => {
        const trouble = troubleWith(command, root);
        return trouble === null ? [] : [`${command}: ${trouble}`];
      });
      expect(wrong).toEqual([]);
    },
  );

  it('leads only to pages and headings that there are', () => {
    const broken = pages.flatMap((page) =>
      [...read(page).matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)]*))?\)/g)].flatMap(
        ([, to = '', heading]) => {
          const target = to === '' ? page : join(dirname(page), to);
          if (!existsSync(target)) return [`${page}: ${to}`];
          return heading === undefined || headings(target).includes(heading)
            ? []
            : [`${page}: ${to}#${heading}`];
        },
      ),
    );
    expect(broken).toEqual([]);
  });

  it('would notice what there is not', () => {
    expect(troubleWith('holdfast legder verify', root)).toContain('legder');
    expect(troubleWith('holdfast ledger verify --trsut x', root)).toContain('--trsut');
    expect(troubleWith('holdfast keys tls issue NAME --spiffe URI', root)).toContain('--output');
    expect(troubleWith('holdfast keys tls issue NAME --spiffe URI -o DIR', root)).toBeNull();
  });
});

/** Command lines in fenced blocks and in code spans, with lines that go on joined. */
function commandsIn(text: string): string[] {
  const blocks = [...text.matchAll(/^ *```[^\n]*\n([\s\S]*?)^ *```/gm)].map(([, block = '']) => block);
  const lines = blocks.flatMap((block) => block.replace(/\\\n\s*/g, '').split('\n'));
  const prose = text.replace(/^ *```[\s\S]*?^ *```/gm, '');
  const spans = [...prose.matchAll(/`([^`\n]+)`/g)].map(([, span = '']) => span);
  return [...lines.map((line) => line.replace(/^[\s$?]*/, '')), ...spans]
    .filter((line) => /^holdfast [a-z]/.test(line))
    .map((line) => line.replace(/\s(#|\||&|>|…|<|;).*$/, ''));
}

/** What is wrong with a command line; null when nothing is. Values and operands are not looked at. */
function troubleWith(line: string, all: CommandSpec): string | null {
  let place = all;
  // Of alternatives, as tables write them, the first is looked at.
  const words = line
    .replace(/\\\|[\w-]+/g, '')
    .split(/\s+/)
    .slice(1);
  for (const word of words) {
    const option = /^(-[A-Za-z]|--[a-z][a-z-]*)(?=$|[=/|,.\])])/.exec(word)?.[1];
    const next = place.commands.find(({ path }) => path.at(-1) === word);
    if (option !== undefined) {
      const known = [...place.options, ...all.options].some(({ short, long }) =>
        [short, long].includes(option),
      );
      if (!known) return `there is no ${option} in "${place.path.join(' ')}"`;
    } else if (next !== undefined) place = next;
    else if (place.commands.length > 0 && word !== 'help' && /^[a-z][a-z-]*$/.test(word))
      return `there is no ${word} in "${place.path.join(' ')}"`;
  }
  // A command that is only spoken of has no options; one that is to be typed has all that it cannot do without.
  const lacks = place.options.filter(
    ({ mandatory, short, long }) => mandatory && !words.some((word) => [short, long].includes(word)),
  );
  return words.some((word) => word.startsWith('-')) && lacks.length > 0
    ? `${lacks.map(({ long }) => long).join(', ')} is left out`
    : null;
}

/** Headings as their links spell them. */
function headings(page: string): string[] {
  return [...read(page).matchAll(/^#+ (.*)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}
