import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { wholeProgram } from '../../../daemon/commands/program.ts';
import { completionFor, SHELLS } from '../../../daemon/commands/reference/completion.ts';
import { type CommandSpec, everyCommand, specOf } from '../../../daemon/commands/reference/spec.ts';

let root: CommandSpec;
const dir = mkdtempSync(join(tmpdir(), 'holdfast-completion-'));

beforeAll(async () => {
  root = specOf(await wholeProgram());
  for (const shell of SHELLS) writeFileSync(join(dir, shell), completionFor(shell, root));
  mkdirSync(join(dir, 'here'));
  writeFileSync(join(dir, 'here/a file'), '');
});
afterAll(() => rmSync(dir, { recursive: true }));

/** What each shell offers for the last of these words. */
const OFFERS: Record<(typeof SHELLS)[number], (words: string[]) => string[]> = {
  bash: (words) => {
    const ask = `source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _holdfast; printf "%s\\n" "\${COMPREPLY[@]}"`;
    return lines(
      spawnSync('bash', ['-c', ask, 'bash', join(dir, 'bash'), ...words], {
        cwd: join(dir, 'here'),
        encoding: 'utf8',
      }),
    );
  },
  zsh: (words) => {
    const line = words.map((word) => word.replaceAll(' ', '\\ ')).join(' ');
    const asked = [join(import.meta.dirname, 'complete.zsh'), join(dir, 'zsh'), line, join(dir, 'matches')];
    return lines(spawnSync('zsh', ['-f', ...asked], { cwd: join(dir, 'here'), encoding: 'utf8' }));
  },
  fish: (words) => {
    const ask = 'source $argv[1]; complete -C $argv[2]';
    const run = spawnSync('fish', ['--no-config', '-c', ask, join(dir, 'fish'), words.join(' ')], {
      cwd: join(dir, 'here'),
      encoding: 'utf8',
      env: { ...process.env, HOME: dir },
    });
    return lines(run).map((line) => line.split('\t')[0] ?? '');
  },
};

function lines({
  status,
  stdout,
  stderr,
}: {
  status: number | null;
  stdout: string;
  stderr: string;
}): string[] {
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return stdout.split('\n').filter((line) => line !== '');
}

const has = (program: string): boolean => spawnSync(program, ['--version']).status === 0;

describe.each(SHELLS.filter(has))('completion in %s', (shell) => {
  const offered = (...words: string[]): string[] => OFFERS[shell](['holdfast', ...words]).sort();

  it('offers commands, and those below them', () => {
    expect(offered('deci')).toEqual(['decision']);
    expect(offered('keys', 'tls', '')).toEqual(['issue', 'setup']);
    expect(offered('help', 'rest')).toEqual(['restore']);
  });

  it('offers the options of the place, and those that stand everywhere', () => {
    expect(offered('decision', 'list', '--')).toEqual(
      expect.arrayContaining(['--after', '--dir', '--json', '--limit', '--status']),
    );
    expect(offered('decision', 'list', '--')).not.toContain('--profile');
    expect(offered('decision', 'show', '--ra')).toEqual(['--raw']);
  });

  it('offers the values that an option takes', () => {
    expect(offered('init', '--profile', '')).toEqual(['appliance', 'dev', 'node']);
    expect(offered('decision', 'list', '--status', 'pend')).toEqual(['pending_authority']);
    expect(offered('completion', '')).toEqual(['bash', 'fish', 'zsh']);
  });

  it('takes no value for the name of a command', () => {
    expect(offered('--dir', 'policy', 'decision', 'canc')).toEqual(['cancel']);
  });

  it('offers files where a file is meant', () => {
    expect(offered('restore', 'a').map((name) => name.replaceAll('\\', ''))).toEqual(['a file']);
    expect(offered('decision', 'show', 'a')).toEqual([]);
  });
});

describe('the scripts', () => {
  it('know every command and option that there is', () => {
    expect(everyCommand(root).length).toBeGreaterThan(100);
    for (const shell of SHELLS) {
      const text = completionFor(shell, root);
      for (const { path, options } of everyCommand(root)) {
        expect(text).toContain(path.join(' '));
        for (const { long } of options)
          expect(text).toContain(shell === 'fish' ? `-l ${long.slice(2)} ` : long);
      }
    }
  });
});
