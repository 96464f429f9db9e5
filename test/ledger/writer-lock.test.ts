import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { lockWriter } from '../../daemon/ledger/writer-lock.ts';

const MODULE = join(import.meta.dirname, '../../daemon/ledger/writer-lock.ts');
let dir: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'holdfast-lock-'));
});

afterEach(() => rmSync(dir, { recursive: true, force: true }));

function otherProcess(path: string, then: string) {
  const script = `import { lockWriter } from ${JSON.stringify(MODULE)};
    try { lockWriter(${JSON.stringify(path)}); ${then} } catch (error) { console.log(error.code) }`;
  return spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
}

test('one writer at a time, over processes', () => {
  const path = join(dir, 'ledger.sqlite');
  const lock = lockWriter(path);
  expect(otherProcess(path, '').stdout.trim()).toBe('ledger.in_use');
  expect(() => lockWriter(path)).toThrow(/Another process writes/);
  lock.release();
  expect(otherProcess(path, 'console.log("held")').stdout.trim()).toBe('held');
});

test('a writer that was killed leaves no lock behind', () => {
  const path = join(dir, 'ledger.sqlite');
  expect(otherProcess(path, 'process.kill(process.pid, "SIGKILL")').signal).toBe('SIGKILL');
  lockWriter(path).release();
});
