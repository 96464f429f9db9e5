import { spawnSync } from 'node:child_process';
import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { verifyReceipt } from '../../daemon/formats/receipt.ts';
import { inject, noStrace, withStrace } from '../crash/strace.ts';
import { checkLedger } from '../oracle.ts';
import { ROOT } from '../structure/sources.ts';
import { SITE, World } from '../world.ts';

/** More durable writes than an import makes: the loop ends when one got through. */
const MOST_WRITES = 120;

let world: World;
beforeAll(async () => {
  world = await World.make();
});
afterAll(() => world?.close());

/** An import without a daemon, whose process dies at its nth flush to the disk. */
function importKilledAt(stick: string, nth: number): { killed: boolean; code: number | null } {
  const [strace = '', ...options] = inject(`fsync,fdatasync:signal=SIGKILL:when=${nth}`);
  const command = [process.execPath, join(ROOT, 'daemon/main.ts'), 'import', stick, '--dir', world.dir];
  const { status, signal } = spawnSync(strace, [...options, ...command], { stdio: 'ignore' });
  return { killed: signal === 'SIGKILL', code: status };
}

// One run of the command for each flush.
vi.setConfig({ testTimeout: 240_000 });

describe('an import whose power is cut', () => {
  it.skipIf(noStrace !== null)(
    `at every flush leaves the old policy or the new one${withStrace}`,
    async () => {
      const { publisher } = world.paths;
      const file = join(publisher, 'policy/metadata.yaml');
      writeFileSync(file, readFileSync(file, 'utf8').replace(/^version: \d+$/m, 'version: 2'));
      const published = await world.holdfast(
        'repo',
        'publish',
        publisher,
        join(publisher, 'policy'),
        '--site',
        SITE,
      );
      expect(published.code).toBe(0);
      const stick = join(world.root, 'stick');
      cpSync(join(publisher, 'repository'), stick, { recursive: true });
      let kills = 0;
      let applied = 1;
      for (let nth = 1; nth <= MOST_WRITES; nth++) {
        const { killed, code } = importKilledAt(stick, nth);
        const { entries } = checkLedger(world.paths, world.trust());
        const now = entries.filter(({ type }) => type === 'policy.applied').length;
        expect(now).toBeGreaterThanOrEqual(applied);
        expect(now).toBeLessThanOrEqual(2);
        applied = now;
        if (!killed) {
          expect(code).toBe(0);
          break;
        }
        kills += 1;
      }
      expect([kills > 5, applied]).toEqual([true, 2]);
      expect(kills).toBeLessThan(MOST_WRITES);
      const { entries } = checkLedger(world.paths, world.trust());
      const index = entries.findLastIndex(({ type }) => type === 'policy.applied');
      const receipt = readFileSync(join(world.paths.outbox, `receipt-${SITE}-${index}.json`), 'utf8');
      const known = { site: SITE, ...world.trust() };
      expect(verifyReceipt(receipt, known).receipt.in_force?.serial).toBe(2);
      expect(readdirSync(world.paths.inbox)).toEqual([]);
    },
  );
});
