import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { verifyReceipt } from '../../daemon/formats/receipt.ts';
import { inject, noStrace, withStrace } from '../crash/strace.ts';
import { checkLedger } from '../oracle.ts';
import { ROOT } from '../structure/sources.ts';
import { SITE, World } from '../world.ts';
import { publish } from './publishing.ts';

/** More durable writes than an import makes: the loop ends when one got through. */
const MOST_WRITES = 120;

let world: World;
beforeAll(async () => {
  world = await World.make();
});
afterAll(() => world?.close());

/** An import without a daemon, whose process dies at its nth call of these. */
function importKilledAt(calls: string, stick: string, nth: number): { killed: boolean; code: number | null } {
  const [strace = '', ...options] = inject(`${calls}:signal=SIGKILL:when=${nth}`);
  const command = [process.execPath, join(ROOT, 'daemon/main.ts'), 'import', stick, '--dir', world.dir];
  const { status, signal } = spawnSync(strace, [...options, ...command], { stdio: 'ignore' });
  return { killed: signal === 'SIGKILL', code: status };
}

// One run of the command for each flush.
vi.setConfig({ testTimeout: 240_000 });

/** What changes a disk, or makes it durable, and the fewest of them that an import takes. */
const MOMENTS: [string, string, number, number][] = [
  ['flush', 'fsync,fdatasync', 2, 15],
  ['change of a name', 'rename,renameat2,link,unlink,unlinkat,rmdir,mkdir', 3, 15],
];

describe.skipIf(noStrace !== null)('an import whose power is cut', () => {
  it.each(MOMENTS)(
    `at every %s leaves the old policy or the new one${withStrace}`,
    async (_moment, calls, version, least) => {
      const stick = await publish(world, version);
      let kills = 0;
      let applied = version - 1;
      for (let nth = 1; nth <= MOST_WRITES; nth++) {
        const { killed, code } = importKilledAt(calls, stick, nth);
        const { entries } = checkLedger(world.paths, world.trust());
        const now = entries.filter(({ type }) => type === 'policy.applied').length;
        expect(now).toBeGreaterThanOrEqual(applied);
        expect(now).toBeLessThanOrEqual(version);
        applied = now;
        if (!killed) {
          expect(code).toBe(0);
          break;
        }
        kills += 1;
      }
      expect([kills >= least, applied]).toEqual([true, version]);
      expect(kills).toBeLessThan(MOST_WRITES);
      const { entries } = checkLedger(world.paths, world.trust());
      const index = entries.findLastIndex(({ type }) => type === 'policy.applied');
      const receipt = readFileSync(join(world.paths.outbox, `receipt-${SITE}-${index}.json`), 'utf8');
      const known = { site: SITE, ...world.trust() };
      expect(verifyReceipt(receipt, known).receipt.in_force?.serial).toBe(version);
      expect(existsSync(join(world.paths.state, '.staging'))).toBe(false);
    },
  );
});
