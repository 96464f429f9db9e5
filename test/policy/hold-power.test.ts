import { spawnSync } from 'node:child_process';
import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { verifyReceipt } from '../../daemon/formats/receipt.ts';
import { inject, noStrace, withStrace } from '../crash/strace.ts';
import { checkLedger } from '../oracle.ts';
import { ROOT } from '../structure/sources.ts';
import { SITE, until, World } from '../world.ts';

/** More flushes than an import, or a daemon's thread, makes: the loops end when one got through. */
const MOST_FLUSHES = 120;
const HOLD = 'hold:\n  roles: [L2]\n  min_signatures: 2\n';

let world: World;
let stick: string;
beforeAll(async () => {
  world = await World.make();
  const { publisher } = world.paths;
  const metadata = join(publisher, 'policy/metadata.yaml');
  writeFileSync(metadata, readFileSync(metadata, 'utf8').replace(/^version: \d+$/m, 'version: 2'));
  writeFileSync(join(publisher, 'policy/activation.yaml'), HOLD);
  const made = await world.holdfast('repo', 'publish', publisher, join(publisher, 'policy'), '--site', SITE);
  expect([made.code, made.stderr]).toEqual([0, '']);
  stick = join(world.root, 'stick');
  cpSync(join(publisher, 'repository'), stick, { recursive: true });
});
afterAll(() => world?.close());

// One run of a command, or of the daemon, for each flush.
vi.setConfig({ testTimeout: 300_000 });

const policyEntries = () =>
  checkLedger(world.paths, world.trust()).entries.filter(({ stream }) => stream === 'policy');
const countOf = (type: string) => policyEntries().filter((entry) => entry.type === type).length;

function importKilledAt(nth: number): boolean {
  const [strace = '', ...options] = inject(`fsync,fdatasync:signal=SIGKILL:when=${nth}`);
  const command = [process.execPath, join(ROOT, 'daemon/main.ts'), 'import', stick, '--dir', world.dir];
  const { status, signal } = spawnSync(strace, [...options, ...command], { stdio: 'ignore' });
  if (signal === 'SIGKILL') return true;
  expect(status).toBe(4);
  return false;
}

const release = (person: string) =>
  world.holdfast(
    'policy',
    'release',
    heldId(),
    '--key',
    join(world.paths.publisher, 'people', person),
    '--yes',
    '--json',
  );

/** What the ledger says is waiting. */
function heldId(): string {
  const held = policyEntries().findLast(({ type }) => type === 'policy.held');
  if (held === undefined) throw new Error('nothing was held');
  return String((held.data.hold as JsonObject).id);
}

describe('an update that waits, when the power is cut', () => {
  it.skipIf(noStrace !== null)(`at every flush of its import, waits or does not${withStrace}`, () => {
    let kills = 0;
    let held = 0;
    for (let nth = 1; nth <= MOST_FLUSHES; nth++) {
      const killed = importKilledAt(nth);
      const now = countOf('policy.held');
      expect([0, 1]).toContain(now);
      expect(now).toBeGreaterThanOrEqual(held);
      expect(countOf('policy.applied')).toBe(1);
      held = now;
      if (!killed) break;
      kills += 1;
    }
    expect([kills > 5, kills < MOST_FLUSHES, held]).toEqual([true, true, 1]);
    const index = checkLedger(world.paths, world.trust()).entries.findLastIndex(
      ({ type }) => type === 'policy.held',
    );
    const text = readFileSync(join(world.paths.outbox, `receipt-${SITE}-${index}.json`), 'utf8');
    expect(verifyReceipt(text, { site: SITE, ...world.trust() }).receipt).toMatchObject({
      result: 'held',
      in_force: { serial: 1 },
    });
    expect(readdirSync(world.paths.inbox)).toEqual([]);
  });

  it.skipIf(noStrace !== null)(
    `at every flush of its release, is released whole or not at all${withStrace}`,
    async () => {
      const quiet = await world.daemon();
      expect((await release('operator')).code).toBe(4);
      await quiet.kill('SIGTERM');
      for (let nth = 1; nth <= MOST_FLUSHES && countOf('policy.applied') === 1; nth++) {
        const daemon = await world.daemon({
          wrap: inject(`fsync,fdatasync:signal=SIGKILL:when=${nth}`),
          unready: true,
        });
        const client = world.newClient('request', 2_000);
        const isOver = daemon.ended.then(() => true);
        await until('the daemon to be ready, or dead', async () => {
          const ready = await client.ready().catch(() => null);
          return ready?.ready === true || (await Promise.race([isOver, Promise.resolve(false)]));
        });
        client.close();
        await release('warden');
        await daemon.kill();
        const [approved, applied] = [countOf('policy.approved'), countOf('policy.applied')];
        expect([
          [1, 1],
          [2, 2],
        ]).toContainEqual([approved, applied]);
      }
      expect(countOf('policy.applied')).toBe(2);
      const daemon = await world.daemon();
      expect(await world.json('policy', 'held')).toMatchObject({ held: null });
      expect(await world.json('policy', 'status')).toMatchObject({ serial: 2 });
      await daemon.kill('SIGTERM');
    },
  );
});
