import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openInlineEngine } from '../../daemon/engine/inline.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { loadConfig } from '../../daemon/host/config.ts';
import { sitePaths } from '../../daemon/host/site.ts';
import { verifyLedger } from '../../daemon/ledger/verify.ts';
import { makeBackup } from '../../daemon/roles/daemon-backup.ts';
import { inject, noStrace, withStrace } from '../crash/strace.ts';
import { ROOT } from '../structure/sources.ts';
import { until } from '../world.ts';
import { type BackupWorld, backupWorld, configure, PATIENCE_MS } from './backup-world.ts';

let on: BackupWorld;

beforeEach(async () => {
  on = await backupWorld();
}, PATIENCE_MS);

afterEach(async () => {
  await on.world.close();
}, PATIENCE_MS);

/** Begins a second copy and names it in the configuration. */
async function withCopy(): Promise<string> {
  const directory = join(on.world.root, 'second');
  expect((await on.world.holdfast('copy', 'new', directory)).code).toBe(0);
  configure(on.world, { copy: { path: directory } });
  return directory;
}

async function copyStatus(): Promise<JsonObject & { state?: string; behind_entries?: number }> {
  const status = (await on.world.client('operator').status()) as { host?: { copy?: JsonObject } };
  return status.host?.copy ?? {};
}

const isCurrent = async () => (await copyStatus()).state === 'current';

async function troubles(): Promise<string[]> {
  const { degraded } = (await on.world.client('operator').status()) as unknown as {
    degraded: { component: string }[];
  };
  return degraded.map(({ component }) => component);
}

test(
  'the daemon keeps the second copy, misses it aloud, and catches up',
  async () => {
    const directory = await withCopy();
    const daemon = await on.world.daemon();
    await on.decide(20);
    await until('the copy to be current', isCurrent);
    expect(await troubles()).not.toContain('copy');

    renameSync(directory, `${directory}.away`);
    await on.decide(5);
    await until('the copy to be missed', async () => (await copyStatus()).state === 'away');
    expect(await troubles()).toContain('copy');
    expect((await copyStatus()).behind_entries).toBeGreaterThanOrEqual(5);
    expect(existsSync(directory)).toBe(false);

    // While it is away the daemon is killed, and started again.
    await daemon.kill();
    const again = await on.world.daemon();
    renameSync(`${directory}.away`, directory);
    await until('the copy to catch up', isCurrent);
    await again.kill('SIGTERM');
    // The daemon's last word is in the copy too.
    const report = await on.world.json(
      'ledger',
      'verify',
      '--tiles',
      directory,
      '--head',
      on.world.paths.head,
    );
    const site = await on.world.json('ledger', 'verify');
    expect(report).toMatchObject({ code: 0, entries: site.entries ?? -1 });
  },
  PATIENCE_MS,
);

// What the daemon's unit leaves out of its filter of system calls.
test.skipIf(noStrace !== null)(
  `a daemon that may not change the rank of its threads keeps the second copy and makes backups${withStrace}`,
  async () => {
    await withCopy();
    const dir = join(on.world.root, 'backups');
    mkdirSync(dir);
    configure(on.world, { backup: { dir, to: [on.recipient], schedule: '* * * * *' } });
    await on.world.daemon({ wrap: inject('setpriority,sched_setscheduler:error=EPERM') });
    await on.decide(5);
    await until('the copy to be current', isCurrent);
    // The next full minute.
    await until('a backup', async () => readdirSync(dir).some((name) => name.endsWith('.age')));
  },
  PATIENCE_MS,
);

test(
  'a lost disk is made up for by backup and second copy, to the last entry',
  async () => {
    const directory = await withCopy();
    const daemon = await on.world.daemon();
    await on.decide(10);
    const file = join(on.world.root, 'one.tar.zst.age');
    expect((await on.backup(file, '--with-keys')).code).toBe(0);
    await on.decide(30);
    await until('the copy to be current', isCurrent);
    await daemon.kill('SIGTERM');
    const size = (await on.world.json('ledger', 'verify')).entries as number;

    const alone = await on.restore(file, 'alone', '--head', on.world.paths.head);
    expect(alone.code).toBe(14);
    const both = await on.restore(file, 'both', '--with-copy', directory, '--head', on.world.paths.head);
    expect(both.code).toBe(0);
    expect(both.json).toMatchObject({
      restored: { size },
      missing: { from: size, until: null },
      log: { is_new: true },
    });
    // An orderly end that head store and copy know alike: nothing can have been signed after it.
    const same = await on.restore(
      file,
      'same',
      '--with-copy',
      directory,
      '--head',
      on.world.paths.head,
      '--same-log',
    );
    expect(same.code).toBe(0);
    const { ledger, head } = sitePaths(same.dir);
    const report = await verifyLedger({
      ledgerPath: ledger,
      headPath: head,
      trust: on.world.trust(),
      inPlace: true,
    });
    expect(report).toMatchObject({ code: 0, entries: size });
  },
  PATIENCE_MS,
);

test(
  'a scheduled backup is on record, opens, and pushes out the oldest',
  async () => {
    const dir = join(on.world.root, 'backups');
    mkdirSync(dir);
    configure(on.world, { backup: { dir, to: [on.recipient], keep: 1, schedule: '0 3 * * *' } });
    const config = loadConfig(on.world.dir);
    const engine = await openInlineEngine(on.world.dir);
    const make = async () => {
      if (config.backup === null) throw new Error('no backup section');
      return makeBackup(config, config.backup, on.world.paths, engine, new AbortController().signal);
    };
    const first = await make();
    await pause(1_100);
    const second = await make();
    expect(second.removed).toEqual([first.file.slice(dir.length + 1)]);
    expect(readdirSync(dir)).toEqual([second.file.slice(dir.length + 1)]);
    await engine.stop('test');
    const listed = await on.world.holdfast('ledger', 'list', '--stream', 'backup', '--json');
    expect(listed.stdout.trim().split('\n')).toHaveLength(2);
    expect((await on.restore(second.file, 'restored')).code).toBe(0);
  },
  PATIENCE_MS,
);

test(
  'a backup or restore that is killed leaves neither a backup nor a site, and the next one works',
  async () => {
    const daemon = await on.world.daemon();
    await on.decide(50);
    const file = join(on.world.root, 'killed.tar.zst.age');
    const good = join(on.world.root, 'good.tar.zst.age');
    expect((await on.backup(good)).code).toBe(0);
    const dir = join(on.world.root, 'killed');
    const commands = [
      ['backup', file, '--to', on.recipient, '--dir', on.world.dir],
      ['restore', good, '--identity', on.identity, '--dir', dir],
    ];
    for (const command of commands) {
      for (const ms of [150, 300, 450, 600]) {
        const child = spawn(process.execPath, [join(ROOT, 'daemon/main.ts'), ...command], {
          stdio: 'ignore',
        });
        const ended = new Promise((resolve) => child.once('exit', resolve));
        await pause(ms);
        child.kill('SIGKILL');
        await ended;
        // Done before it was killed, or not there at all.
        if (existsSync(file)) expect(readFileSync(file).length).toBeGreaterThan(1_000);
        if (existsSync(dir)) expect((await on.world.holdfast('ledger', 'verify', '--dir', dir)).code).toBe(0);
      }
    }
    expect((await on.backup(join(on.world.root, 'after.tar.zst.age'))).code).toBe(0);
    expect((await on.restore(good, 'after')).code).toBe(0);
    await daemon.kill('SIGTERM');
    expect((await on.world.json('ledger', 'verify')).code).toBe(0);
  },
  PATIENCE_MS,
);

test('what is not to be copied to is said when the daemon starts', async () => {
  configure(on.world, { copy: { path: 'relative' } });
  expect((await on.world.holdfast('status')).stderr).toContain('/copy/path');
  configure(on.world, { copy: { path: '/somewhere' }, backup: { dir: '/x', to: ['nobody'] } });
  expect((await on.world.holdfast('status')).stderr).toContain('/backup/to');
  writeFileSync(join(on.world.root, 'full'), '');
  expect((await on.world.holdfast('copy', 'new', on.world.root)).code).toBe(2);
});
