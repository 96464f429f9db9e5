import { spawnSync } from 'node:child_process';
import {
  appendFileSync,
  cpSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  statfsSync,
  statSync,
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

const MIB = 1024 * 1024;
const BYTES = 8 * MIB;
const DISK = { reserve_bytes: 2 * MIB, low_bytes: 2 * MIB };

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
      const config = JSON.parse(readFileSync(world.paths.config, 'utf8')) as object;
      writeFileSync(world.paths.config, JSON.stringify({ ...config, disk: DISK }));
      daemon = await world.daemon();
      await until('the reserve', async () => reserved() === DISK.reserve_bytes);
      load = new Load(world, 1);
    });
    afterAll(async () => {
      await daemon?.kill();
      if (world !== undefined) run('umount', world.paths.state);
      await world?.close();
    });

    const reserved = () => statSync(world.paths.reserve).size;
    const free = () => {
      const { bavail, bsize } = statfsSync(world.paths.state);
      return bavail * bsize;
    };

    /** Takes all but so many bytes. */
    function leave(bytes: number): void {
      writeFileSync(ballast(), Buffer.alloc(Math.max(0, free() - bytes)));
    }

    /** Takes what is left of the disk, and every part of the reserve as it is given back. */
    async function exhaust(): Promise<void> {
      await until('the reserve to be gone', async () => {
        fill();
        return reserved() === 0;
      });
      fill();
    }

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
    }

    async function decide(mark: string): Promise<JsonObject> {
      const client = world.client('request');
      const answer = await client
        .createDecision(ask('mark', mark))
        .catch((error: { body: JsonObject }) => error.body);
      if ('decision_id' in answer) load.decided(answer as never);
      return answer as JsonObject;
    }

    async function allowed(mark: string) {
      const decision = await world.client('request').createDecision(ask('mark', mark));
      load.decided(decision);
      const { permit } = decision;
      if (permit === undefined) throw new Error('no permit');
      return { ...decision, permit };
    }

    const ready = async () => (await world.client('request').ready()).ready;

    it('stops allowing before anything fails, and goes on by itself', async () => {
      expect(await decide('plenty')).toHaveProperty('permit');
      leave(DISK.low_bytes - 200_000);
      await until('it to stop allowing', async () => !(await ready()));
      const denied = await decide('scarce');
      expect(denied).toMatchObject({ status: 'denied' });
      expect((denied.policy as JsonObject).gates).toMatchObject([{ id: 'disk.low', result: 'fail' }]);
      const status = await world.holdfast('status');
      expect(status.code).toBe(5);
      expect(status.stdout).toMatch(/disk.*nearly full/);
      expect(status.stdout).toMatch(/Free space/);
      expect(reserved()).toBe(DISK.reserve_bytes);
      const replayed = await world.client('operator').replay(String(denied.decision_id));
      expect(replayed).toMatchObject({ differences: [] });
      unlinkSync(ballast());
      await until('it to allow again', ready);
      expect(await decide('plenty-again')).toHaveProperty('permit');
    });

    it('still records what must be recorded when it is full: denials, then outcomes, incidents and the stop', async () => {
      const running = await allowed('running');
      const unused = await allowed('never-redeemed');
      const { permit } = running;
      const audience = { audience: 'gateway' };
      const redeem = world.client('redeem');
      await redeem.redeem(permit.id, { ...audience, action_digest: running.action_digest });
      fill();
      // A write may fail before the guard looks; then the ledger is opened again first.
      await until('denials to be recorded', async () => (await decide('full')).status === 'denied');
      let denials = 0;
      let answer = await decide('full-still');
      for (; answer.code === undefined && denials < 5_000; denials++)
        answer = await decide(`full-${denials}`);
      // Denials until the last part of the reserve; then a plain no, without an entry.
      expect(denials).toBeGreaterThan(3);
      expect(answer).toMatchObject({ status: 503, code: 'disk.full' });
      expect(await redeem.outcome(permit.id, { ...audience, result: 'succeeded' })).toMatchObject({
        status: 'executed',
      });
      const bypass = redeem.outcome(unused.permit.id, { ...audience, result: 'succeeded' });
      await expect(bypass).rejects.toMatchObject({ code: 'permit.not_redeemed' });
      expect((await world.client('operator').incidents()).incidents).toHaveLength(1);
      expect((await daemon.kill('SIGTERM')).code).toBe(0);
      const stopped = await expectIntact(world);
      expect(stopped.entries.at(-1)?.type).toBe('system.stopped');
      expect(stopped.entries.filter(({ type }) => type === 'incident.opened')).toHaveLength(1);
      unlinkSync(ballast());
      daemon = await world.daemon({ unready: true });
      await until('the reserve to be whole again', async () => reserved() === DISK.reserve_bytes);
      expectKept(await expectIntact(world), load.acknowledged);
    });

    it('is met with no, words and patience when the reserve is gone too, and forgotten when space returns', async () => {
      await until('it to allow', ready);
      for (let n = 0; n < 20; n++) expect(await decide(`before-${n}`)).toHaveProperty('permit');
      for (let time = 0; time < 2; time++) {
        await exhaust();
        await until('it to say no', async () => {
          fill();
          return (await decide(`gone-${time}`)).code !== undefined;
        });
        const since = performance.now();
        while (performance.now() - since < 1_800) {
          expect((await decide('still-full')).code).toMatch(/^(ledger\.unavailable|disk\.full)$/);
          expect(await ready()).toBe(false);
          await pause(150);
        }
        const status = await world.holdfast('status');
        expect(status.code).toBe(5);
        expect(status.stdout).toMatch(/Free space/);
        unlinkSync(ballast());
        await until('it to decide again', ready);
        expect(await decide(`after-${time}`)).toHaveProperty('permit');
        await until('the reserve to be whole again', async () => reserved() === DISK.reserve_bytes);
      }
      // What stood still for the disk's sake (search, copies) looks again after a while.
      await until('nothing to be degraded but for the incident', async () => {
        const { degraded } = await world.client('operator').status();
        return (degraded as JsonObject[]).every(({ component }) => component === 'incident');
      });
      const truth = await expectIntact(world);
      expectProven(world, load.acknowledged);
      expectKept(truth, load.acknowledged);
    });

    it('lets nothing be lost by a kill in the middle of it', async () => {
      await exhaust();
      for (let n = 0; n < 200 && (await decide(`last-${n}`)).code === undefined; n++);
      await daemon.kill();
      unlinkSync(ballast());
      daemon = await world.daemon();
      expectKept(await expectIntact(world), load.acknowledged);
    });

    it('does not keep a daemon with a reserve from starting', async () => {
      await until('the reserve to be whole', async () => reserved() === DISK.reserve_bytes);
      await daemon.kill('SIGTERM');
      fill();
      daemon = await world.daemon({ unready: true });
      await until(
        'it to answer',
        async () =>
          (await world
            .client('request')
            .ready()
            .catch(() => null)) !== null,
      );
      expect(await ready()).toBe(false);
      expect(await decide('at-start')).toMatchObject({ status: expect.anything() as never });
      expect((await daemon.kill('SIGTERM')).code).toBe(0);
      const { entries } = await expectIntact(world);
      expect(entries.at(-1)?.type).toBe('system.stopped');
      unlinkSync(ballast());
    });

    it('keeps one without a reserve from starting, which says why, and harms nothing', async () => {
      writeFileSync(world.paths.reserve, '');
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
