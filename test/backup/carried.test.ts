import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ApiClient } from '../../daemon/api/client.ts';
import { readBackup } from '../../daemon/backup/read.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { ROOT } from '../structure/sources.ts';
import { ask } from '../world.ts';
import { type BackupWorld, backupWorld, PATIENCE_MS, startDaemon } from './backup-world.ts';

/* What a restore takes along, and what it ends: suspended keys, requests that are repeated, decisions of the old log. */

let on: BackupWorld;
let policy: string;
/** The same moment, backed up without the site's keys and with them. */
let bare: string;
let full: string;
let old: string;
let key: string;

const KEY = 'retry-1';

beforeAll(async () => {
  policy = mkdtempSync(join(tmpdir(), 'hf-policy-'));
  cpSync(join(ROOT, 'test/crash/policy'), policy, { recursive: true });
  writeFileSync(join(policy, 'suspension.yaml'), 'roles: [L2]\n');
  on = await backupWorld(policy);
  const { world } = on;
  key = join(world.paths.publisher, 'people/operator');
  const daemon = await world.daemon();
  const made = await world.client('request').createDecision(ask('mark', 'once'), { idempotencyKey: KEY });
  old = made.decision_id;
  const suspended = await suspend(world.dir);
  expect(suspended.stderr).not.toContain('already');
  expect(suspended.code).toBe(0);
  bare = join(world.root, 'bare.tar.zst.age');
  full = join(world.root, 'full.tar.zst.age');
  expect((await on.backup(bare)).code).toBe(0);
  expect((await on.backup(full, '--with-keys')).code).toBe(0);
  await daemon.kill('SIGTERM');
}, PATIENCE_MS);

afterAll(async () => {
  await on.world.close();
  rmSync(policy, { recursive: true, force: true });
}, PATIENCE_MS);

const suspend = (dir: string) =>
  on.world.holdfast('keys', 'suspend', 'warden', '--dir', dir, '--key', key, '--reason', 'lost', '--yes');

const repeat = (client: ApiClient) => client.createDecision(ask('mark', 'once'), { idempotencyKey: KEY });

describe.each(['without keys', 'with keys'])('restored from a backup %s', (which) => {
  let restored: Awaited<ReturnType<typeof startDaemon>>;
  let dir: string;
  let json: JsonObject;

  beforeAll(async () => {
    const file = which === 'with keys' ? full : bare;
    const ran = await on.restore(file, which.replaceAll(' ', '-'));
    expect(ran.stderr).toBe('');
    ({ dir, json } = ran);
    restored = await startDaemon(dir);
  }, PATIENCE_MS);

  afterAll(() => restored.stop(), PATIENCE_MS);

  test(
    'a suspended key stays suspended',
    async () => {
      expect(json).toMatchObject({ carried: { suspended: 1 } });
      const { code, stderr } = await suspend(dir);
      expect({ code, stderr }).toMatchObject({
        code: 3,
        stderr: expect.stringContaining('suspended already'),
      });
    },
    PATIENCE_MS,
  );

  test(
    'a repeated request runs nothing unknowingly',
    async () => {
      expect(json).toMatchObject({ carried: { ended: { idempotency: 1 } } });
      const size = async () => (await restored.client('operator').entries({ limit: 1 })).size;
      if (which === 'with keys') {
        const before = await size();
        await expect(repeat(restored.client('request'))).rejects.toMatchObject({
          status: 409,
          code: 'idempotency.former_log',
          message: expect.stringContaining(old),
        });
        expect(await size()).toBe(before);
        // Another key, or another actor with the same one, is another request.
        const other = restored.client('request').createDecision(ask('mark', 'once'), { idempotencyKey: 'x' });
        expect((await other).status).toBe('authorized');
      } else {
        // It cannot be known there, which the restore says.
        expect((await repeat(restored.client('request'))).status).toBe('authorized');
      }
    },
    PATIENCE_MS,
  );

  test(
    'a decision of the old log is said to be one, and where the keys of its values are',
    async () => {
      const error = await restored
        .client('request')
        .getDecision(old)
        .then(
          () => null,
          (cause: Error) => cause,
        );
      expect(error).toMatchObject({ status: 404, code: 'decision.not_found' });
      expect(error?.message).toContain('outpost-7.example/ledger, which ended');
      const keys = which === 'with keys' ? 'state/former/1/keys' : 'keys that this site does not have';
      expect(error?.message).toContain(keys);
      const shred = await on.world.holdfast(
        'decision',
        'shred',
        old,
        '--all',
        '--dir',
        dir,
        '--key',
        key,
        '--reason',
        'erasure',
        '--yes',
      );
      expect(shred.code).toBe(2);
      expect(shred.stderr).toContain(keys);
      const unknown = await restored
        .client('request')
        .getDecision(`dec_${'0'.repeat(8)}-0000-7000-8000-${'0'.repeat(12)}`)
        .catch((cause: Error) => cause.message);
      expect(unknown).toContain('at this site');
    },
    PATIENCE_MS,
  );

  test(
    'what the old log left open is told by its audit',
    async () => {
      const former = join(dir, 'state/former/1/ledger.sqlite');
      const before = readFileSync(former);
      const audit = await on.world.json('ledger', 'audit', '--ledger', former, '--dir', dir);
      expect(audit).toMatchObject({ verified: 0, audited: true });
      expect(JSON.stringify(audit)).toContain(old);
      expect(readFileSync(former).equals(before)).toBe(true);
    },
    PATIENCE_MS,
  );
});

test(
  'keys of a log that ended are in a backup only with the others',
  async () => {
    const { world } = on;
    const { dir } = await on.restore(full, 'again');
    const names = async (name: string, ...options: string[]) => {
      const file = join(world.root, name);
      expect((await on.backup(file, '--dir', dir, ...options)).code).toBe(0);
      const found: string[] = [];
      for await (const member of readBackup(file, [readFileSync(on.identity, 'utf8').trim()]))
        found.push(member.name);
      return found.filter((member) => member.includes('state/former/'));
    };
    const key = 'site/state/former/1/keys/sealing.key';
    const without = await names('former-bare.age');
    expect(without).toContain('site/state/former/1/ledger.sqlite');
    expect(without.filter((name) => name.includes('/keys/'))).toEqual([]);
    expect(await names('former-full.age', '--with-keys')).toContain(key);
  },
  PATIENCE_MS,
);

test(
  'what a restore says to people names what begins anew',
  async () => {
    const said = async (file: string, name: string) =>
      (
        await on.world.holdfast(
          'restore',
          file,
          '--identity',
          on.identity,
          '--dir',
          join(on.world.root, name),
        )
      ).stdout;
    const withKeys = await said(full, 'said-full');
    expect(withKeys).toContain('1 suspended key,');
    expect(withKeys).toMatch(/1 Idempotency-Key of the old log are refused/);
    expect(withKeys).toContain('Suspend again whom you suspended since');
    expect(await said(bare, 'said-bare')).toMatch(/1 Idempotency-Key of the old log are NEW requests/);
  },
  PATIENCE_MS,
);
