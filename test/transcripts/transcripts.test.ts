import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { LIBFAKETIME } from '../host/faketime.ts';
import { ROOT } from '../structure/sources.ts';
import { Machine } from './machine.ts';
import { fill, mismatch, readTranscript, type Step, words } from './transcript.ts';

const HERE = import.meta.dirname;
const DAY_MS = 86_400_000;
/** For what a process does by itself. */
const WAIT = { timeout: 120_000, interval: 500 };

/** Whether this machine has what the transcript needs. */
function canRun(name: string): boolean {
  return LIBFAKETIME !== null || !readFileSync(join(HERE, name), 'utf8').includes('{libfaketime}');
}

describe('transcripts', () => {
  for (const name of readdirSync(HERE).filter((file) => file.endsWith('.txt'))) {
    it.skipIf(!canRun(name))(name, () => play(name), 400_000);
  }
});

/** Plays one transcript from its first line to its last, on a machine of its own. */
async function play(name: string): Promise<void> {
  const machine = new Machine();
  const known = new Map([
    ['root', ROOT.replace(/\/$/, '')],
    ['dir', machine.dir],
    ['libfaketime', LIBFAKETIME ?? ''],
    ['tomorrow', new Date(Date.now() + DAY_MS).toISOString().replace(/\.\d+Z$/, 'Z')],
  ]);
  try {
    const runs = async (step: Step, command: string) => {
      const place = `${name}:${step.line}: ${command}`;
      const { code, output } = await machine.run(command, step.input);
      const found = mismatch(step.expected, output, known);
      expect({ place, code, found, output }).toEqual({ place, code: step.code, found: null, output });
    };
    for (const step of readTranscript(join(HERE, name))) {
      const command = fill(step.command, known);
      const place = `${name}:${step.line}: ${command}`;
      if (step.kind === 'start') await machine.start(command);
      else if (step.kind === 'stop') expect(await machine.stop(command, 'SIGTERM'), place).toBe(step.code);
      else if (step.kind === 'kill') await machine.stop(command, 'SIGKILL');
      else if (step.kind === 'set') machine.set(command);
      else if (step.kind === 'later') machine.later(Number(command));
      else if (step.kind === 'await') await vi.waitFor(() => runs(step, command), WAIT);
      else await runs(step, command);
    }
  } finally {
    await machine.close();
  }
}

describe('the documentation', () => {
  const pages = join(ROOT, 'docs/operate');
  const quoted = readdirSync(pages)
    .filter((name) => name.endsWith('.md'))
    .flatMap((page) =>
      [...readFileSync(join(pages, page), 'utf8').matchAll(/^```transcript (\S+)\n([\s\S]*?)^```$/gm)].map(
        ([, name = '', text = '']) => ({ page, name, text }),
      ),
    );

  it.each(quoted)('quotes $name in $page word for word', ({ name, text }) => {
    expect(text.trimEnd()).toBe(readFileSync(join(HERE, name), 'utf8').trimEnd());
  });

  it('quotes those that show a whole way', () => {
    expect(quoted.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['across-the-gap.txt', 'held-policy.txt']),
    );
  });
});

describe('the comparison itself can fail', () => {
  const check = (expected: string[], output: string, known = new Map<string, string>()): unknown =>
    mismatch(expected, output, known);

  it('wants every line, in order, and no more', () => {
    expect(check(['a', 'b'], 'a\nb\n')).toBeNull();
    expect(check(['a'], 'a\nb\n')).toEqual({ wanted: '(end of output)', found: 'b' });
    expect(check(['a', 'b'], 'b\na\n')).toEqual({ wanted: 'a', found: 'b' });
    expect(check(['a', '...', 'c'], 'a\nx\ny\nc')).toBeNull();
    expect(check(['a', '...'], 'a\nx')).toBeNull();
    expect(check(['a', '...', 'd'], 'a\nx\ny\nc')).not.toBeNull();
  });

  it('knows placeholders, remembers names, and takes everything else literally', () => {
    const known = new Map<string, string>();
    const id = 'dec_01990000-0000-7000-8000-000000000000';
    expect(check(['id {d=DEC} (x)'], `id ${id} (x)`, known)).toBeNull();
    expect(known.get('d')).toBe(id);
    expect(fill('show {d} {other}', known)).toBe(`show ${id} {other}`);
    expect(check(['{DEC}'], 'dec_x')).not.toBeNull();
    expect(check(['a.c'], 'abc')).not.toBeNull();
    expect(check(['{"a":1}'], '{"a":1}')).toBeNull();
  });

  it('splits words as a shell would, and expands nothing', () => {
    expect(words(`a 'b c' "d e" --x='y z' $HOME *`)).toEqual(['a', 'b c', 'd e', '--x=y z', '$HOME', '*']);
  });
});
