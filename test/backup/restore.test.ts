import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { generateX25519Identity } from 'age-encryption';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readBackup } from '../../daemon/backup/read.ts';
import { formatAnchor } from '../../daemon/formats/anchor.ts';
import { BoundaryError } from '../../daemon/formats/boundary-error.ts';
import { decodeEntry } from '../../daemon/formats/entry.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { currentLog, type keysOfLogs } from '../../daemon/formats/log-keys.ts';
import { verifyPermit } from '../../daemon/formats/permit.ts';
import { readLineage } from '../../daemon/host/log-lineage.ts';
import { sitePaths } from '../../daemon/host/site.ts';
import { viewLedger } from '../../daemon/ledger/open.ts';
import { verifyLedger } from '../../daemon/ledger/verify.ts';
import { ask, type Role, World } from '../world.ts';
import { type BackupWorld, backupWorld, PATIENCE_MS, startDaemon } from './backup-world.ts';

let on: BackupWorld;
let daemon: Role;
/** A permit that was given out before the backups. */
let permit: { id: string; decision: string; proof: string; action_digest: string };
/** Backups: `early` of a running site; `full` later, with keys. */
let early: string;
let full: string;
/** The anchor that left after `early`, and how many entries it knows. */
let anchors: string;
let anchored: number;

beforeAll(async () => {
  on = await backupWorld();
  const { world } = on;
  daemon = await world.daemon();
  await on.decide(300);
  const made = await world.client('request').createDecision(ask('mark', 'kept'));
  permit = {
    id: made.permit?.id ?? '',
    decision: made.decision_id,
    proof: made.permit?.proof ?? '',
    action_digest: made.action_digest,
  };
  early = join(world.root, 'early.tar.zst.age');
  expect((await on.backup(early)).code).toBe(0);
  await on.decide(5);
  anchors = join(world.root, 'anchors');
  mkdirSync(anchors);
  const checkpoint = await world.client('operator').checkpoint();
  anchored = Number(checkpoint.split('\n')[1]);
  writeFileSync(join(anchors, 'one.anchor'), formatAnchor({ old: 0, proof: [], checkpoint }));
  full = join(world.root, 'full.tar.zst.age');
  expect((await on.backup(full, '--with-keys')).code).toBe(0);
  await daemon.kill('SIGTERM');
}, PATIENCE_MS);

afterAll(async () => {
  await on.world.close();
});

/** Trust in every log of a restored site. */
function trustOf(dir: string): { origin: string; vkeys: ReturnType<typeof keysOfLogs> } {
  const logs = readLineage(sitePaths(dir).trust);
  return { origin: currentLog(logs).origin, vkeys: currentLog(logs).keys };
}

async function verified(dir: string): Promise<number> {
  const { ledger, head } = sitePaths(dir);
  const report = await verifyLedger({
    ledgerPath: ledger,
    headPath: head,
    trust: trustOf(dir),
    inPlace: true,
  });
  expect(report.findings).toEqual([]);
  return report.entries;
}

function left(): string[] {
  return readdirSync(on.world.root).filter((name) => name.startsWith('.'));
}

describe('a backup', () => {
  test('is on record, with its digest and who can open it', async () => {
    const entries = viewOf(on.world.paths.ledger, on.world.trust()).filter(
      ({ type }) => type === 'backup.created',
    );
    const bytes = readFileSync(early);
    const [first] = entries;
    expect(first?.data).toMatchObject({
      file: 'early.tar.zst.age',
      size: bytes.length,
      recipients: [on.recipient],
      keys: false,
    });
    expect(entries).toHaveLength(2);
  });

  test('holds keys only when it is told to', async () => {
    const names = async (file: string) => {
      const found: string[] = [];
      for await (const { name } of readBackup(file, [readFileSync(on.identity, 'utf8').trim()]))
        found.push(name);
      return found.filter((name) => /state\/keys\/|tls\/[a-z]+\.pem/.test(name));
    };
    expect(await names(early)).toEqual([]);
    expect(await names(full)).toContain('site/state/keys/ledger.key');
  });

  test('is never written over a file, nor for nobody', async () => {
    const before = readFileSync(early);
    expect((await on.backup(early)).code).toBe(2);
    expect(readFileSync(early).equals(before)).toBe(true);
    const ran = await on.world.holdfast('backup', join(on.world.root, 'x'), '--to', 'age1nobody');
    expect(ran.code).toBe(2);
    expect(left()).toEqual([]);
  });

  test.skipIf(spawnSync('age', ['--version']).status !== 0 || spawnSync('zstd', ['--version']).status !== 0)(
    'opens with age, zstd and tar, and is a tile directory then',
    async () => {
      const opened = join(on.world.root, 'opened');
      mkdirSync(opened);
      const command = 'age -d -i "$1" "$2" | zstd -dq | tar x -C "$3"';
      const ran = spawnSync('sh', ['-c', command, 'sh', on.identity, early, opened]);
      expect(ran.status).toBe(0);
      const report = await on.world.json('ledger', 'verify', '--tiles', opened);
      expect(report).toMatchObject({ code: 0, total: 0 });
    },
    PATIENCE_MS,
  );
});

describe('a restored site', () => {
  let dir: string;
  let report: JsonObject;

  beforeAll(async () => {
    const ran = await on.restore(full, 'restored');
    expect(ran.stderr).toBe('');
    expect(ran.code).toBe(0);
    ({ dir, json: report } = ran);
  }, PATIENCE_MS);

  test('goes on in a new log, whose first entry names the old head', async () => {
    expect(report.log).toMatchObject({ is_new: true, origin: 'outpost-7.example/ledger/2' });
    await verified(dir);
    const [first] = viewOf(sitePaths(dir).ledger, trustOf(dir));
    const { restored } = report as { restored: JsonObject };
    expect(first).toMatchObject({
      type: 'backup.restored',
      data: {
        former: { origin: restored.origin ?? '', size: restored.size ?? 0, root: restored.root ?? '' },
        missing: { from: restored.size ?? 0, until: null },
      },
    });
    expect(readLineage(sitePaths(dir).trust).at(-1)?.succeeds).toEqual({
      origin: restored.origin,
      size: restored.size,
      root: restored.root,
    });
  });

  test(
    'keeps the old log whole, to be verified with the new trust file',
    async () => {
      const former = join(dir, 'state/former/1/ledger.sqlite');
      const trust = join(on.world.root, 'trust.json');
      expect((await on.world.holdfast('site', 'export-trust', trust, '--dir', dir)).code).toBe(0);
      const old = await on.world.json('ledger', 'verify', '--ledger', former, '--trust', trust);
      expect(old).toMatchObject({ code: 0, entries: (report.restored as JsonObject).size });
      // Byte for byte what the site had.
      const restored = viewOf(former, on.world.trust(), true);
      const original = viewOf(on.world.paths.ledger, on.world.trust(), true);
      expect(restored).toEqual(original.slice(0, restored.length));
    },
    PATIENCE_MS,
  );

  test('has a new key, and the old one nowhere', () => {
    const key = (root: string) => readFileSync(join(root, 'state/keys/ledger.key'), 'utf8');
    expect(key(dir)).not.toBe(key(on.world.dir));
    const old = key(on.world.dir).trim();
    for (const name of readdirSync(dir, { recursive: true, encoding: 'utf8' })) {
      const path = join(dir, name);
      if (statSync(path).isFile()) expect(readFileSync(path).includes(old)).toBe(false);
    }
  });

  test('believes no permit of the old log', () => {
    expect(verifyPermit(permit.proof, on.world.trust()).permit.id).toBe(permit.id);
    expect(() => verifyPermit(permit.proof, trustOf(dir))).toThrow(BoundaryError);
  });

  test(
    'decides, and knows nothing of what was granted before',
    async () => {
      const restored = await startDaemon(dir);
      try {
        expect((await restored.client('request').createDecision(ask('mark', 'again'))).status).toBe(
          'authorized',
        );
        const body = { audience: 'gateway', action_digest: permit.action_digest };
        await expect(restored.client('redeem').redeem(permit.id, body)).rejects.toMatchObject({
          status: 404,
        });
        await expect(restored.client('request').getDecision(permit.decision)).rejects.toMatchObject({
          status: 404,
        });
      } finally {
        await restored.stop();
      }
      await verified(dir);
    },
    PATIENCE_MS,
  );
});

describe('what is known elsewhere', () => {
  test(
    'beyond the backup stops a restore, which says exactly what is missing',
    async () => {
      const ran = await on.restore(early, 'lost', '--anchors', anchors);
      expect(ran.code).toBe(14);
      const { error } = ran.json as { error: { code: string; message: string } };
      expect(error.code).toBe('restore.lost');
      expect(error.message).toContain(`that there were ${anchored}`);
      expect(existsSync(ran.dir)).toBe(false);
      expect(left()).toEqual([]);
    },
    PATIENCE_MS,
  );

  test(
    'can be given up in so many words: the first entry says what',
    async () => {
      const ran = await on.restore(
        early,
        'accepted',
        '--anchors',
        anchors,
        '--accept-loss',
        '--reason',
        'disk died',
      );
      expect(ran.code).toBe(0);
      const { size } = ran.json.restored as { size: number };
      const [first] = viewOf(sitePaths(ran.dir).ledger, trustOf(ran.dir));
      expect(first?.data).toMatchObject({
        missing: { from: size, until: anchored, known_from: 'one.anchor' },
        reason: 'disk died',
      });
      // The old log is closed where it is known to have been, so that the loss stays visible.
      expect(readLineage(sitePaths(ran.dir).trust).at(-1)?.succeeds?.size).toBe(anchored);
      await verified(ran.dir);
    },
    PATIENCE_MS,
  );

  test(
    'in the head store that survived counts as well',
    async () => {
      const ran = await on.restore(full, 'headed', '--head', on.world.paths.head);
      expect(ran.code).toBe(14);
    },
    PATIENCE_MS,
  );

  test(
    'under keys of another site is not believed',
    async () => {
      const other = await World.make();
      try {
        const trust = join(on.world.root, 'other-trust.json');
        expect((await other.holdfast('site', 'export-trust', trust)).code).toBe(0);
        const policy = await on.restore(early, 'stranger', '--trust', trust);
        expect(policy.code).toBe(10);
        expect((policy.json.error as JsonObject).code).toBe('restore.other_root');
        // The right policy root, and still nobody's signature that is believed.
        const root = readFileSync(join(on.world.paths.trust, 'root.json')).toString('base64');
        writeFileSync(trust, JSON.stringify({ ...JSON.parse(readFileSync(trust, 'utf8')), root }));
        expect((await on.restore(early, 'stranger', '--trust', trust)).code).toBe(13);
        const own = join(on.world.root, 'own-trust.json');
        expect((await on.world.holdfast('site', 'export-trust', own)).code).toBe(0);
        expect((await on.restore(early, 'trusted', '--trust', own)).json.trusted_by).toBe('trust file');
      } finally {
        await other.close();
      }
    },
    PATIENCE_MS,
  );

  test(
    'the same log goes on only where nothing can have been signed later',
    async () => {
      for (const options of [[], ['--head', on.world.paths.head, '--accept-loss']]) {
        const ran = await on.restore(full, 'same', '--same-log', ...options);
        expect(ran.code).toBe(3);
        expect((ran.json.error as JsonObject).code).toBe('restore.not_at_head');
      }
    },
    PATIENCE_MS,
  );
});

describe('a backup that is not as it was written', () => {
  test(
    'changed anywhere, or cut off, makes no site',
    async () => {
      const bytes = readFileSync(early);
      const places = [0, 40, 180, 260, 5_000, 70_000, bytes.length - 1];
      for (const [n, place] of places.filter((at) => at < bytes.length).entries()) {
        const file = join(on.world.root, `damaged-${n}`);
        const damaged = Buffer.from(bytes);
        damaged[place] = (damaged[place] ?? 0) ^ 4;
        writeFileSync(file, damaged);
        const ran = await on.restore(file, `from-damaged-${n}`);
        expect([3, 10]).toContain(ran.code);
        expect(existsSync(ran.dir)).toBe(false);
      }
      const cut = join(on.world.root, 'cut');
      writeFileSync(cut, bytes.subarray(0, bytes.length - 20_000));
      expect((await on.restore(cut, 'from-cut')).code).toBe(10);
      expect(left()).toEqual([]);
    },
    PATIENCE_MS,
  );

  test(
    'for somebody else is not opened',
    async () => {
      const stranger = join(on.world.root, 'stranger.txt');
      writeFileSync(stranger, `${await generateX25519Identity()}\n`);
      const dir = join(on.world.root, 'none');
      const ran = await on.world.holdfast('restore', early, '--identity', stranger, '--dir', dir);
      expect(ran.code).toBe(3);
      expect(existsSync(dir)).toBe(false);
    },
    PATIENCE_MS,
  );

  test(
    'is never put over a site',
    async () => {
      const ran = await on.world.holdfast('restore', early, '--identity', on.identity, '--dir', on.world.dir);
      expect(ran.code).toBe(2);
      expect(ran.stderr).toContain('nothing was changed');
    },
    PATIENCE_MS,
  );
});

type Shown = { type: string; data: JsonObject };

/** Every entry of a ledger; `raw`: as text. */
function viewOf(path: string, trust: Parameters<typeof viewLedger>[1]): Shown[];
function viewOf(path: string, trust: Parameters<typeof viewLedger>[1], raw: true): string[];
function viewOf(path: string, trust: Parameters<typeof viewLedger>[1], raw = false): (Shown | string)[] {
  const view = viewLedger(path, trust);
  try {
    return view
      .entries(0, 10_000)
      .map(({ bytes }) => (raw ? Buffer.from(bytes).toString('utf8') : decodeEntry(bytes)));
  } finally {
    view.close();
  }
}
