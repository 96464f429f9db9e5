import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadedBy, ROOT, readSources, type Source } from './sources.ts';

const sources = readSources();

/** What each folder may import, beside itself and packages (docs: style, "Imports point one way"). */
const MAY_IMPORT: Record<string, string[]> = {
  'daemon/formats': [],
  'daemon/core': ['daemon/formats'],
  'daemon/host': ['daemon/formats'],
  'daemon/ledger': ['daemon/formats', 'daemon/host'],
  'daemon/engine': ['daemon/formats', 'daemon/core', 'daemon/host', 'daemon/ledger'],
  'daemon/policy': ['daemon/formats', 'daemon/core', 'daemon/host', 'daemon/engine'],
  'daemon/identity': ['daemon/formats', 'daemon/core', 'daemon/host', 'daemon/engine/protocol.ts'],
  'daemon/api': [
    'daemon/formats',
    'daemon/core',
    'daemon/host',
    'daemon/identity',
    'daemon/engine/protocol.ts',
  ],
  'daemon/siem': ['daemon/formats', 'daemon/core', 'daemon/host', 'daemon/ledger'],
  'daemon/backup': ['daemon/formats', 'daemon/core', 'daemon/host', 'daemon/ledger', 'daemon/engine'],
  'daemon/evidence': [
    'daemon/formats',
    'daemon/core',
    'daemon/host',
    'daemon/ledger',
    'daemon/policy/verify-update.ts',
  ],
  'daemon/gateway': [
    'daemon/formats',
    'daemon/core',
    'daemon/host',
    'daemon/api',
    'daemon/policy/verify-update.ts',
  ],
  sync: ['daemon/formats', 'daemon/host', 'daemon/core'],
};

/** Composition: the only places where everything meets. */
const COMPOSITION = ['daemon/roles/', 'daemon/commands/', 'daemon/main.ts'];

/** Packages that pure code may use: they compute, and touch nothing outside. */
const PURE_PACKAGES = [
  '@noble/ed25519',
  '@noble/hashes',
  'canonicalize',
  'typebox',
  '@bufbuild/cel',
  '@bufbuild/protobuf',
  '@bufbuild/re2',
  '@marcbachmann/cel-js',
];

/** Pure code that may call `node:crypto`, each tested against `@noble` for the same verdict. */
const MAY_USE_NODE_CRYPTO = /^daemon\/formats\/(digest|ed25519|ssh[a-z-]*)\.ts$/;

function folderOf(path: string): string | undefined {
  return Object.keys(MAY_IMPORT).find((folder) => path.startsWith(`${folder}/`));
}

function isWithin(path: string, allowed: string[]): boolean {
  return allowed.some((place) => path === place || path.startsWith(`${place}/`));
}

function packageOf(name: string): string {
  return name
    .split('/')
    .slice(0, name.startsWith('@') ? 2 : 1)
    .join('/');
}

function offences(check: (source: Source) => string[]): string[] {
  return sources.flatMap((source) => check(source).map((what) => `${source.path}: ${what}`));
}

describe('imports', () => {
  it('point one way: every folder imports only what stands below it', () => {
    const wrong = offences((source) => {
      const folder = folderOf(source.path);
      if (folder === undefined)
        return COMPOSITION.some((p) => source.path.startsWith(p)) ? [] : ['belongs to no folder'];
      return source.imports
        .filter(({ to }) => /^(daemon|sync)\//.test(to))
        .filter(({ to }) => !isWithin(to, [folder, ...(MAY_IMPORT[folder] ?? [])]))
        .map(({ to }) => `imports ${to}`);
    });
    expect(wrong).toEqual([]);
  });

  it('carry their extension and lead to a file that exists', () => {
    const paths = new Set(sources.map((source) => source.path));
    const wrong = offences(({ imports }) =>
      imports
        .filter(({ to }) => /^(daemon|sync|\.)/.test(to) && !paths.has(to))
        .map(({ to }) => `imports missing ${to}`),
    );
    expect(wrong).toEqual([]);
  });

  it('form no cycle', () => {
    const byPath = new Map(sources.map((source) => [source.path, source]));
    const done = new Set<string>();
    const cycles: string[] = [];
    const visit = (path: string, trail: string[]): void => {
      if (trail.includes(path)) {
        cycles.push([...trail.slice(trail.indexOf(path)), path].join(' -> '));
        return;
      }
      if (done.has(path)) return;
      const imports = byPath.get(path)?.imports.filter(({ dynamic }) => !dynamic) ?? [];
      for (const { to } of imports) visit(to, [...trail, path]);
      done.add(path);
    };
    for (const { path } of sources) visit(path, []);
    expect(cycles).toEqual([]);
  });

  it('reach SQLite from one file only', () => {
    const users = sources.filter(({ imports }) =>
      imports.some(({ to }) => packageOf(to) === 'better-sqlite3'),
    );
    expect(users.map(({ path }) => path)).toEqual(['daemon/ledger/database.ts']);
  });

  it('call the C library from four small files only', () => {
    const users = sources.filter(({ imports }) => imports.some(({ to }) => packageOf(to) === 'koffi'));
    expect(users.map(({ path }) => path)).toEqual([
      'daemon/host/kernel-clock.ts',
      'daemon/host/notify.ts',
      'daemon/host/thread-rank.ts',
      'daemon/identity/peer-credentials.ts',
    ]);
  });

  it('name only packages that the manifest declares', () => {
    const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
      dependencies: Record<string, string>;
    };
    const wrong = offences(({ imports }) =>
      imports
        .filter(({ to }) => !/^(daemon|sync|node:|\.)/.test(to))
        .map(({ to }) => packageOf(to))
        .filter((name) => !Object.hasOwn(manifest.dependencies, name)),
    );
    expect(wrong).toEqual([]);
  });

  it('bring no shell in: spawn is the only way to start a program, and never through one', () => {
    const wrong = offences(({ imports, code }) => {
      if (!imports.some(({ to }) => to === 'node:child_process')) return [];
      const called = code.match(/\b(exec|execSync|execFileSync|fork)\(|shell:\s*true/g) ?? [];
      const imported = /import \{([^}]*)\} from 'node:child_process'/.exec(code)?.[1] ?? '';
      return called.filter(
        (call) => call.startsWith('shell') || imported.split(/[\s,]+/).includes(call.slice(0, -1)),
      );
    });
    expect(wrong).toEqual([]);
  });
});

describe('formats and core are pure', () => {
  const pure = (path: string): boolean =>
    path.startsWith('daemon/formats/') || path.startsWith('daemon/core/');

  it('import no file, network, clock or randomness', () => {
    const wrong = offences(({ path, imports }) => {
      if (!pure(path)) return [];
      return imports
        .filter(({ to }) => !/^(daemon|sync)\//.test(to))
        .filter(({ to }) => !PURE_PACKAGES.includes(packageOf(to)))
        .filter(({ to }) => !(to === 'node:crypto' && MAY_USE_NODE_CRYPTO.test(path)))
        .map(({ to }) => `imports ${to}`);
    });
    expect(wrong).toEqual([]);
  });

  it('read no ambient state', () => {
    const ambient =
      /\b(Date\.now|Math\.random|performance\.now|process\.\w+|globalThis\.process|setTimeout|setInterval|setImmediate|fetch|randomBytes|randomUUID|getRandomValues)\b|new Date\(\)/g;
    const wrong = offences(({ path, code }) => (pure(path) ? (code.match(ambient) ?? []) : []));
    expect(wrong).toEqual([]);
  });
});

describe('the two sides of the key boundary', () => {
  const everLoaded = (entry: string): string[] => [...loadedBy(entry, sources, { later: true })];
  const gateway = everLoaded('daemon/roles/gateway.ts');
  const daemon = everLoaded('daemon/roles/daemon.ts');

  it('are what this test takes them for', () => {
    expect(gateway).toEqual(expect.arrayContaining(['daemon/gateway/enforce.ts', 'node:child_process']));
    expect(daemon).toEqual(
      expect.arrayContaining([
        'daemon/engine/writer.ts',
        'daemon/ledger/append.ts',
        'better-sqlite3',
        '@bufbuild/cel',
      ]),
    );
  });

  it('the gateway never loads ledger, engine or database driver', () => {
    // The protocol is the contract's words, shared by both sides; there is no engine in it.
    const own = gateway.filter((path) => path !== 'daemon/engine/protocol.ts');
    expect(own.filter((path) => /^daemon\/(ledger|engine)\/|^better-sqlite3/.test(path))).toEqual([]);
  });

  it('the gateway never loads a policy evaluator: it derives the call, it does not decide', () => {
    expect(gateway.filter((path) => /(^|\/)cel(-js)?$/.test(packageOf(path)))).toEqual([]);
  });

  it('the daemon never loads what starts programs', () => {
    expect(daemon).not.toContain('node:child_process');
  });

  it('what is loaded before the command is known is small', () => {
    const early = [...loadedBy('daemon/main.ts', sources, { later: false })];
    expect(early.filter((path) => !/^(daemon|node:)/.test(path))).toEqual(['commander']);
  });

  it("what the daemon's main thread loads at its start is what sockets need: the rest would lie in its memory for ever", () => {
    const early = [...loadedBy('daemon/roles/daemon.ts', sources, { later: false })];
    const heavy =
      /^(@bufbuild\/(?!re2)|@marcbachmann\/|@tufjs\/|tuf-js|jose|age-encryption|tar-stream|fast-png|commander|daemon\/engine\/engine\.ts|daemon\/core\/bundle\.ts)/;
    expect(early.filter((path) => heavy.test(path))).toEqual([]);
  });
});
