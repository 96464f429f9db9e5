import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openInlineEngine } from '../../daemon/engine/inline.ts';
import { internal } from '../../daemon/engine/protocol.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { sitePaths } from '../../daemon/host/site.ts';
import { archiveDir } from '../../daemon/ledger/archive.ts';
import { openDatabase } from '../../daemon/ledger/database.ts';
import { viewLedger } from '../../daemon/ledger/open.ts';
import { LEDGER_KIND } from '../../daemon/ledger/schema.ts';
import { ROOT } from '../structure/sources.ts';
import { ask, type Role, until } from '../world.ts';
import { type BackupWorld, backupWorld, PATIENCE_MS, startDaemon } from './backup-world.ts';

/* What stands when a site is lost, and where entries lie that retention moved. */

const SEGMENT = 256;
let on: BackupWorld;
let policy: string;
let daemon: Role;

beforeAll(async () => {
  policy = mkdtempSync(join(tmpdir(), 'hf-policy-'));
  cpSync(join(ROOT, 'test/crash/policy'), policy, { recursive: true });
  const retention = `archive_after: 1s\nkeep_entries_for: 1s\nsegment_size: ${SEGMENT}\n`;
  writeFileSync(join(policy, 'retention.yaml'), retention);
  on = await backupWorld(policy);
  daemon = await on.world.daemon();
}, PATIENCE_MS);

afterAll(async () => {
  await on.world.close();
  rmSync(policy, { recursive: true, force: true });
}, PATIENCE_MS);

function rowsOf(path: string): number {
  const database = openDatabase(path, { kind: LEDGER_KIND, readonly: true });
  const count = database.prepareColumn<number>('SELECT count(*) FROM entries').get() ?? 0;
  database.close();
  return count;
}

function everyEntry(path: string): string[] {
  const view = viewLedger(path, on.world.trust());
  try {
    return view.entries(0, 100_000).map(({ bytes }) => Buffer.from(bytes).toString('utf8'));
  } finally {
    view.close();
  }
}

const former = (dir: string): string => join(sitePaths(dir).state, 'former/1/ledger.sqlite');

test(
  'entries in archive files come back with them, and without them are known to be elsewhere',
  async () => {
    const { world } = on;
    for (let left = 2 * SEGMENT; left > 0; left -= 16) {
      await Promise.all(
        Array.from({ length: 16 }, (_, at) =>
          world.client('request').createDecision(ask('unheard_of', `m-${left}-${at}`)),
        ),
      );
    }
    await pause(1_100);
    const { archived } = await world.client('operator').prune(false);
    expect(archived.length).toBeGreaterThan(0);
    const size = (await world.client('operator').entries({ limit: 1 })).size;
    await until(
      'archived entries to leave the table',
      async () => rowsOf(world.paths.ledger) < size - SEGMENT / 2,
    );
    const file = join(world.root, 'archived.tar.zst.age');
    expect((await on.backup(file)).code).toBe(0);
    const before = everyEntry(world.paths.ledger);

    const whole = await on.restore(file, 'whole');
    expect(whole.code).toBe(0);
    const restored = everyEntry(former(whole.dir));
    expect(restored).toEqual(before.slice(0, restored.length));
    expect(rowsOf(former(whole.dir))).toBeLessThan(restored.length);
    const trust = join(world.root, 'whole-trust.json');
    await world.holdfast('site', 'export-trust', trust, '--dir', whole.dir);
    const verified = await world.json('ledger', 'verify', '--ledger', former(whole.dir), '--trust', trust);
    expect(verified).toMatchObject({ code: 0, total: 0 });

    // Copied to a shelf, on record, and then removed here: the backup made now does not hold it, and says no more.
    const shelf = join(world.root, 'shelf');
    mkdirSync(shelf);
    for (const name of readdirSync(archiveDir(world.paths.ledger)))
      cpSync(join(archiveDir(world.paths.ledger), name), join(shelf, name));
    const carry = async () =>
      (await world.holdfast('ledger', 'prune', '--carried', shelf, '--to', 'shelf 3')).code;
    await until('the archive files to be old enough to leave', async () => (await carry()) === 0);
    const lighter = join(world.root, 'carried.tar.zst.age');
    expect((await on.backup(lighter)).code).toBe(0);
    const without = await on.restore(lighter, 'without');
    expect(without.stderr).toBe('');
    expect(without.code).toBe(0);
    const elsewhere = archiveDir(former(without.dir));
    const archives = (path: string) =>
      existsSync(path) ? readdirSync(path).filter((name) => name.endsWith('.zst')) : [];
    expect(archives(elsewhere)).toEqual([]);
    mkdirSync(elsewhere, { recursive: true });
    for (const name of archives(shelf)) renameSync(join(shelf, name), join(elsewhere, name));
    const again = everyEntry(former(without.dir));
    expect(again.slice(0, restored.length)).toEqual(restored);
  },
  PATIENCE_MS,
);

test(
  'what narrows goes on in the new log: the policy in force, and a halt',
  async () => {
    const { world } = on;
    const names = ({ policy: { environments } }: { policy: JsonObject }) =>
      (environments as JsonObject[]).map(({ environment, version, digest }) => ({
        environment,
        version,
        digest,
      }));
    const before = (await world.client('operator').status()) as unknown as { policy: JsonObject };
    await daemon.kill('SIGTERM');
    const engine = await openInlineEngine(world.dir);
    const report = { cause: 'canary_failed', detail: 'the self-test ran a command', evidence: {} };
    expect((await engine.call(internal('incidents.open', JSON.stringify(report)))).status).toBe(200);
    await engine.stop('test');
    const file = join(world.root, 'halted.tar.zst.age');
    expect((await on.backup(file)).code).toBe(0);
    const { dir, json } = await on.restore(file, 'halted');
    expect(json).toMatchObject({ carried: { policy: true, incidents: 1 } });
    const restored = await startDaemon(dir);
    try {
      const after = (await restored.client('operator').status()) as unknown as {
        policy: JsonObject;
        incidents: JsonObject;
      };
      expect(after.incidents).toMatchObject({ open: 1, site_halted: true });
      expect(names(after)).toEqual(names(before));
      const { status } = await restored.client('request').createDecision(ask('mark', 'anything'));
      expect(status).not.toBe('authorized');
    } finally {
      await restored.stop();
    }
    const verified = await world.json('ledger', 'verify', '--dir', dir);
    expect(verified).toMatchObject({ code: 0, total: 0 });
  },
  PATIENCE_MS,
);
