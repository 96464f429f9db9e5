import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ROOT } from '../structure/sources.ts';
import { Machine } from './machine.ts';
import { fill, mismatch, readTranscript, words } from './transcript.ts';

const HERE = import.meta.dirname;

describe('transcripts', () => {
  it.each(readdirSync(HERE).filter((name) => name.endsWith('.txt')))(
    '%s',
    async (name) => {
      const machine = new Machine();
      const known = new Map([
        ['root', ROOT.replace(/\/$/, '')],
        ['dir', machine.dir],
      ]);
      try {
        for (const step of readTranscript(join(HERE, name))) {
          const command = fill(step.command, known);
          const place = `${name}:${step.line}: ${command}`;
          if (step.kind === 'start') await machine.start(command);
          else if (step.kind === 'stop')
            expect(await machine.stop(command, 'SIGTERM'), place).toBe(step.code);
          else if (step.kind === 'kill') await machine.stop(command, 'SIGKILL');
          else {
            const { code, output } = await machine.run(command);
            const found = mismatch(step.expected, output, known);
            expect({ place, code, found, output }).toEqual({ place, code: step.code, found: null, output });
          }
        }
      } finally {
        await machine.close();
      }
    },
    180_000,
  );
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
