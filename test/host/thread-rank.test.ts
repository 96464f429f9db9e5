import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { inject, noStrace, withStrace } from '../crash/strace.ts';
import { ROOT } from '../structure/sources.ts';
import { temporaryDir } from './temporary.ts';

/** proc(5), /proc/PID/stat: what follows the name in brackets begins with field 3. */
const SCRIPT = `
const { readFileSync } = require('node:fs');
const { isMainThread, Worker, parentPort } = require('node:worker_threads');
const rank = () => {
  const fields = readFileSync('/proc/thread-self/stat', 'utf8').split(') ')[1].split(' ');
  return { nice: Number(fields[19 - 3]), policy: Number(fields[41 - 3]) };
};
if (isMainThread) {
  const worker = new Worker(__filename, { argv: process.argv.slice(2) });
  worker.on('message', (thread) => console.log(JSON.stringify({ main: rank(), thread })));
} else {
  const [module, name] = process.argv.slice(2);
  import(module).then(async (ranks) => { await ranks[name](); parentPort.postMessage(rank()); });
}
`;

interface Rank {
  nice: number;
  policy: number;
}

/** The ranks of a process's main thread, and of another thread of it after it called `name`. */
function ranksAfter(name: string, wrap: readonly string[] = []): { main: Rank; thread: Rank } {
  const module = join(ROOT, 'daemon/host/thread-rank.ts');
  const file = join(temporaryDir(), 'script.cjs');
  writeFileSync(file, SCRIPT);
  const [program = '', ...args] = [...wrap, process.execPath, file, module, name];
  const { stdout, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  expect(stderr).toBe('');
  return JSON.parse(stdout) as { main: Rank; thread: Rank };
}

const ordinary = { nice: 0, policy: 0 };

describe('a thread', () => {
  test('that steps back is below the others', () => {
    expect(ranksAfter('stepBack')).toEqual({ main: ordinary, thread: { nice: 10, policy: 0 } });
  });

  test('that steps aside runs while nobody else wants to', () => {
    expect(ranksAfter('stepAside')).toMatchObject({ main: ordinary, thread: { policy: 5 } });
  });

  // As in the daemon's unit, whose filter of system calls leaves these out.
  test.skipIf(noStrace !== null).each(['stepBack', 'stepAside'])(
    `that may not change its rank keeps it, and goes on: %s${withStrace}`,
    (name) => {
      const refused = inject('setpriority,sched_setscheduler:error=EPERM');
      expect(ranksAfter(name, refused)).toEqual({ main: ordinary, thread: ordinary });
    },
  );
});
