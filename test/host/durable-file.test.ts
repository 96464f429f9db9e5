import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { appendDurable, makeDir, readBounded, writeDurable } from '../../daemon/host/durable-file.ts';
import { codeOf } from '../codes.ts';
import { temporaryDir } from './temporary.ts';

const MODULE = join(import.meta.dirname, '../../daemon/host/durable-file.ts');

const mode = (path: string) => statSync(path).mode & 0o777;
const bytes = (text: string) => new TextEncoder().encode(text);
const text = (data: Uint8Array) => new TextDecoder().decode(data);

/** Whether this machine has a tracer and lets us use it. */
function canTrace(): boolean {
  return spawnSync('strace', ['-o', '/dev/null', 'true']).status === 0;
}

describe('writeDurable', () => {
  it('writes content and exact mode, whatever the umask', () => {
    const path = join(temporaryDir(), 'file');
    const before = process.umask(0o077);
    try {
      writeDurable(path, bytes('one'), 0o664);
    } finally {
      process.umask(before);
    }
    expect([text(readBounded(path, 10)), mode(path)]).toEqual(['one', 0o664]);
  });

  it('replaces a file and leaves nothing else behind', () => {
    const dir = temporaryDir();
    writeDurable(join(dir, 'file'), bytes('one'), 0o600);
    writeDurable(join(dir, 'file'), bytes('two'), 0o600);
    expect([readdirSync(dir), text(readBounded(join(dir, 'file'), 10))]).toEqual([['file'], 'two']);
  });

  it('replaces a link, not what the link leads to', () => {
    const dir = temporaryDir();
    writeFileSync(join(dir, 'precious'), 'precious');
    symlinkSync(join(dir, 'precious'), join(dir, 'file'));
    writeDurable(join(dir, 'file'), bytes('new'), 0o600);
    expect([readFileSync(join(dir, 'precious'), 'utf8'), readFileSync(join(dir, 'file'), 'utf8')]).toEqual([
      'precious',
      'new',
    ]);
  });

  it('removes its temporary file when the name cannot be taken', () => {
    const dir = temporaryDir();
    mkdirSync(join(dir, 'taken', 'inside'), { recursive: true });
    expect(() => writeDurable(join(dir, 'taken'), bytes('x'), 0o600)).toThrow();
    expect(readdirSync(dir)).toEqual(['taken']);
  });

  it('leaves the old or the new content when killed at any moment', async () => {
    const dir = temporaryDir();
    const path = join(dir, 'file');
    const program = `
      import { writeDurable } from ${JSON.stringify(MODULE)};
      for (let i = 0; ; i++) { writeDurable(${JSON.stringify(path)}, Buffer.alloc(100_000, 65 + (i % 26)), 0o600); if (i === 0) console.log('started'); }`;
    for (let round = 0; round < 5; round++) {
      const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', program], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      await once(child.stdout, 'data');
      await new Promise((resolve) => setTimeout(resolve, 1 + round * 3));
      child.kill('SIGKILL');
      await once(child, 'exit');
      const content = readBounded(path, 100_000);
      expect([content.length, new Set(content).size]).toEqual([100_000, 1]);
    }
  });

  it.runIf(canTrace())('syncs the file before the rename and the directory after it', () => {
    const dir = temporaryDir();
    const trace = join(dir, 'trace');
    const program = `import { writeDurable } from ${JSON.stringify(MODULE)}; writeDurable(${JSON.stringify(join(dir, 'file'))}, Buffer.from('x'), 0o600);`;
    const calls = 'trace=fsync,rename,renameat,renameat2';
    execFileSync('strace', [
      '-f',
      '-y',
      '-o',
      trace,
      '-e',
      calls,
      process.execPath,
      '--input-type=module-typescript',
      '-e',
      program,
    ]);
    const seen = readFileSync(trace, 'utf8')
      .split('\n')
      .filter((line) => line.includes(dir))
      .map((line) => /(fsync|rename)/.exec(line)?.[1]);
    expect(seen).toEqual(['fsync', 'rename', 'fsync']);
  });
});

describe('appendDurable', () => {
  it('creates with the mode and adds to the end', () => {
    const path = join(temporaryDir(), 'journal');
    appendDurable(path, bytes('a\n'));
    appendDurable(path, bytes('b\n'));
    expect([text(readBounded(path, 10)), mode(path)]).toEqual(['a\nb\n', 0o600]);
  });

  it('does not follow a link', () => {
    const dir = temporaryDir();
    writeFileSync(join(dir, 'precious'), '');
    symlinkSync(join(dir, 'precious'), join(dir, 'journal'));
    expect(() => appendDurable(join(dir, 'journal'), bytes('x'))).toThrow();
    expect(readFileSync(join(dir, 'precious'), 'utf8')).toBe('');
  });
});

describe('readBounded', () => {
  it('reads up to the limit and refuses one byte more', () => {
    const path = join(temporaryDir(), 'file');
    writeFileSync(path, '12345');
    expect(text(readBounded(path, 5))).toBe('12345');
    expect(codeOf(() => readBounded(path, 4))).toBe('file.too_large');
  });

  it('refuses everything that is not a regular file, without hanging', () => {
    const dir = temporaryDir();
    writeFileSync(join(dir, 'file'), 'x');
    symlinkSync(join(dir, 'file'), join(dir, 'link'));
    execFileSync('mkfifo', [join(dir, 'pipe')]);
    const codes = ['link', 'pipe', '.', 'missing'].map((name) =>
      codeOf(() => readBounded(join(dir, name), 10)),
    );
    expect(codes).toEqual(['file.not_regular', 'file.not_regular', 'file.not_regular', 'file.missing']);
    expect(codeOf(() => readBounded('/dev/zero', 10))).toBe('file.not_regular');
  });

  it('reads a file with two names', () => {
    const dir = temporaryDir();
    writeFileSync(join(dir, 'file'), 'x');
    linkSync(join(dir, 'file'), join(dir, 'other'));
    expect(text(readBounded(join(dir, 'other'), 1))).toBe('x');
  });
});

describe('makeDir', () => {
  it('makes one directory with exactly the mode and accepts it the next time', () => {
    const path = join(temporaryDir(), 'dir');
    makeDir(path, 0o770);
    makeDir(path, 0o770);
    expect(mode(path)).toBe(0o770);
  });

  it('refuses a file or a link of that name', () => {
    const dir = temporaryDir();
    writeFileSync(join(dir, 'file'), '');
    symlinkSync('/tmp', join(dir, 'link'));
    expect(codeOf(() => makeDir(join(dir, 'file'), 0o700))).toBe('file.not_directory');
    expect(codeOf(() => makeDir(join(dir, 'link'), 0o700))).toBe('file.not_directory');
    expect(existsSync(join(dir, 'file'))).toBe(true);
  });
});
