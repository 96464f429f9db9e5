import { spawnSync } from 'node:child_process';
import {
  appendFileSync,
  cpSync,
  mkdtempSync,
  renameSync,
  rmdirSync,
  rmSync,
  statfsSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { ask, type Role, until, World } from '../world.ts';
import { expectIntact, expectKept, expectProven } from './history.ts';
import { Load } from './load.ts';

const run = (...command: string[]) => spawnSync(command[0] ?? '', command.slice(1)).status === 0;

/** Why no small file system can be had here; null when it can. */
const noMount: string | null = (() => {
  if (process.getuid?.() !== 0) return 'needs root';
  const probe = mkdtempSync(join(tmpdir(), 'hf-mount-'));
  const mounted = run('mount', '-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', probe);
  if (mounted) run('umount', probe);
  rmdirSync(probe);
  return mounted ? null : 'may not mount here';
})();

const BYTES = 4 * 1024 * 1024;

describe.skipIf(noMount !== null)(
  `a disk that fills up${noMount === null ? '' : ` (skipped: ${noMount})`}`,
  () => {
    let world: World;
    let daemon: Role;
    let load: Load;
    const ballast = () => join(world.paths.state, 'ballast');

    beforeAll(async () => {
      world = await World.make();
      const { state } = world.paths;
      const aside = join(world.root, 'state');
      renameSync(state, aside);
      cpSync(aside, state, { recursive: true, filter: (path) => path === aside });
      expect(run('mount', '-t', 'tmpfs', '-o', `size=${BYTES},mode=700`, 'tmpfs', state)).toBe(true);
      cpSync(aside, state, { recursive: true });
      rmSync(aside, { recursive: true });
      daemon = await world.daemon();
      load = new Load(world, 1);
    });
    afterAll(async () => {
      await daemon?.kill();
      if (world !== undefined) run('umount', world.paths.state);
      await world?.close();
    });

    /** Takes what is left of the disk, byte for byte. */
    function fill(): void {
      writeFileSync(ballast(), '', { flag: 'a' });
      for (let piece = 256 * 1024; piece >= 1; piece = Math.floor(piece / 4)) {
        for (let more = true; more; ) {
          try {
            appendFileSync(ballast(), Buffer.alloc(piece));
          } catch {
            more = false;
          }
        }
      }
      expect(statfsSync(world.paths.state).bavail).toBe(0);
    }

    async function decide(mark: string): Promise<JsonObject> {
      const client = world.client('request');
      const answer = await client
        .createDecision(ask('mark', mark))
        .catch((error: { body: JsonObject }) => error.body);
      if ('decision_id' in answer) load.decided(answer as never);
      return answer as JsonObject;
    }

    it('is met with no, words and patience, and forgotten when space returns', async () => {
      for (let n = 0; n < 20; n++) expect(await decide(`before-${n}`)).toHaveProperty('permit');
      for (let time = 0; time < 2; time++) {
        fill();
        let answer = await decide(`full-${time}`);
        for (let n = 0; answer.code === undefined && n < 2_000; n++)
          answer = await decide(`full-${time}-${n}`);
        expect(answer).toMatchObject({ status: 503, code: 'ledger.unavailable' });
        // Neither a question nor the time that passes makes it believe otherwise.
        const since = performance.now();
        while (performance.now() - since < 1_800) {
          expect(await decide('still-full')).toMatchObject({ code: 'ledger.unavailable' });
          expect((await world.client('request').ready()).ready).toBe(false);
          await pause(150);
        }
        const status = await world.holdfast('status');
        expect(status.code).toBe(5);
        expect(status.stdout).toMatch(/disk.*is full/);
        expect(status.stdout).toMatch(/Free space/);
        unlinkSync(ballast());
        await until('it to decide again', async () => (await world.client('request').ready()).ready);
        expect(await decide(`after-${time}`)).toHaveProperty('permit');
      }
      const { degraded } = await world.client('operator').status();
      expect(degraded).toEqual([]);
      const truth = await expectIntact(world);
      expectProven(world, load.acknowledged);
      expectKept(truth, load.acknowledged);
      const outages = truth.entries.filter(({ type }) => type === 'system.heartbeat');
      // More than two when tidying up made just enough room to try again in vain.
      expect(outages.length).toBeGreaterThanOrEqual(2);
      for (const { data } of outages) expect(data.outage).toMatchObject({ cause: 'SQLITE_FULL' });
    });

    it('lets nothing be lost by a kill in the middle of it', async () => {
      fill();
      for (let n = 0; n < 2_000 && (await decide(`last-${n}`)).code === undefined; n++);
      await daemon.kill();
      unlinkSync(ballast());
      daemon = await world.daemon();
      expectKept(await expectIntact(world), load.acknowledged);
    });

    it('keeps a daemon from starting, which says why, and harms nothing', async () => {
      await daemon.kill('SIGTERM');
      fill();
      const { code, stderr } = await (await world.daemon({ unready: true })).ended;
      expect(code).toBe(5);
      expect(stderr).toMatch(/full/);
      unlinkSync(ballast());
      daemon = await world.daemon();
      expectKept(await expectIntact(world), load.acknowledged);
    });
  },
);
