import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, openSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hoistSiteOptions } from '../../daemon/main.ts';
import { ROOT } from '../structure/sources.ts';

const MAIN = join(ROOT, 'daemon/main.ts');

function run(...args: string[]): { code: number | null; out: string; err: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...args], {
    encoding: 'utf8',
    env: { PATH: process.env.PATH, HOME: '/nonexistent', NO_COLOR: '1' },
  });
  return { code: status, out: stdout, err: stderr };
}

describe('the command line', () => {
  it('explains itself on stdout and calls that a success', () => {
    const help = run('--help');
    expect(help).toMatchObject({ code: 0, err: '' });
    for (const word of ['init', 'status', 'exec', 'approvals', 'ledger', 'Exit codes', 'Examples'])
      expect(help.out).toContain(word);
    expect(run('--version')).toMatchObject({ code: 0, out: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) });
  });

  it('explains every command, and knows the two options on each leaf', () => {
    for (const command of ['request', 'exec', 'status', 'daemon', 'gateway']) {
      const { code, out } = run(command, '--help');
      expect(code, command).toBe(0);
      expect(out).toContain('--dir <dir>');
      expect(out).toContain('--json');
    }
    expect(run('help', 'approvals').out).toContain('submit');
  });

  it.each([
    [[], 'Usage: holdfast'],
    [['stauts'], 'Did you mean status?'],
    [['decision'], 'Usage: holdfast decision'],
    [['decision', 'shw', 'x'], 'Did you mean show?'],
    [['request', '--clas', 'x'], 'Did you mean --class?'],
    [['permit', 'verify'], "missing required argument 'file'"],
    [['decision', 'reconcile', 'x', '--key', 'k', '--note', 'n', '--result', 'maybe'], 'succeeded, failed'],
    [['status', 'too', 'many'], 'too many arguments'],
    [['help', 'nope'], "unknown command 'nope'"],
  ])('%j is a mistake of usage: exit code 2, said on stderr', (args, words) => {
    const { code, out, err } = run(...args);
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(err).toContain(words);
  });

  it.each([
    [['--json', 'stauts'], "unknown command 'stauts'"],
    [['permit', 'verify', '--json'], "missing required argument 'file'"],
    [['decision', 'show', 'dec_nope', '--json'], 'is not the id of a decision'],
    [['request', '--payload', '{"a":', '--json', '--dir', '/nonexistent'], 'There is no site'],
  ])('%j tells programs on stdout, in exactly one document', (args, words) => {
    const { code, out } = run(...args);
    expect(code).toBe(2);
    expect(out.trimEnd().split('\n')).toHaveLength(1);
    expect(JSON.parse(out).error.message).toContain(words);
  });

  it.skipIf(!existsSync('/dev/full'))(
    'does not end like a success when its output could not be written',
    () => {
      const full = openSync('/dev/full', 'w');
      const { status, stderr } = spawnSync(process.execPath, [MAIN, '--version'], {
        encoding: 'utf8',
        stdio: ['ignore', full, 'pipe'],
      });
      closeSync(full);
      expect(status).toBe(5);
      expect(stderr).toBe(
        'holdfast: the output could not be written (ENOSPC); what was asked for may have been done all the same.\n',
      );
    },
  );

  it('says what it found by its exit code even to a reader that went away', () => {
    const script = `"$0" "$1" ledger verify --ledger "$1" --trust "$1" --json | true; exit "\${PIPESTATUS[0]}"`;
    const { status, stderr } = spawnSync('bash', ['-c', script, process.execPath, MAIN], {
      encoding: 'utf8',
    });
    expect(status).toBe(2);
    expect(stderr).toContain('is not valid JSON. Nothing was done.');
  });

  it('names a missing site and what to do, once for people and once for programs', () => {
    const { code, out, err } = run('--json', 'decision', 'list', '--dir', '/nonexistent');
    expect(code).toBe(2);
    expect(JSON.parse(out)).toEqual({
      error: { code: 'site.not_found', message: expect.stringContaining('holdfast init') },
    });
    expect(err).toContain('holdfast init');
  });
});

describe('site options may stand anywhere before the arguments', () => {
  it.each([
    ['--json decision list', 'decision list --json'],
    ['decision --dir /d list --status denied', 'decision list --dir /d --status denied'],
    ['--dir=/d status', 'status --dir=/d'],
    ['status --json', 'status --json'],
    ['request --class x --dir /d', 'request --class x --dir /d'],
    ['permit verify FILE --json', 'permit verify FILE --json'],
    ['', ''],
  ])('%s', (given, wanted) => {
    const words = (line: string): string[] => line.split(' ').filter((word) => word !== '');
    expect(hoistSiteOptions(words(given)).argv).toEqual(words(wanted));
  });

  it('never loses, adds or reorders anything else', () => {
    const word = fc.oneof(
      fc.constantFrom('--json', '--dir', '--dir=/x', '--class', 'list', 'x', '-o', '--'),
      fc.string(),
    );
    fc.assert(
      fc.property(fc.array(word), (argv) => {
        const { argv: hoisted } = hoistSiteOptions(argv);
        expect([...hoisted].sort()).toEqual([...argv].sort());
        const others = (words: string[]): string[] =>
          words.filter((w) => !w.startsWith('--dir') && w !== '--json');
        if (!argv.includes('--dir')) expect(others(hoisted)).toEqual(others(argv));
      }),
    );
  });
});
