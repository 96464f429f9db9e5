import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { DecisionReply } from '../../daemon/api/client.ts';
import { FakedClock, LIBFAKETIME } from '../host/faketime.ts';
import { checkLedger } from '../oracle.ts';
import { ROOT } from '../structure/sources.ts';
import { ask, type Ran, type Role, SITE, until, World } from '../world.ts';

/* The real daemon, whose wall clock is set while it runs. */

/** What is asked for by class: allowed, waiting for a signature, or denied while the time is uncertain. */
const RULES: Record<string, string> = { mark: 'allow', careful_mark: 'queue', slow_mark: 'deny' };

describe.skipIf(LIBFAKETIME === null)('with libfaketime (skipped where it is not installed)', () => {
  let base: string;
  let world: World;
  let clock: FakedClock;
  let daemon: Role;

  beforeEach(async () => {
    base = mkdtempSync(join(tmpdir(), 'hf-clock-'));
    world = await World.make(policyIn(join(base, 'policy')));
    clock = new FakedClock(base);
    daemon = await world.daemon({ env: clock.env });
  });

  afterEach(async () => {
    await world.close();
    rmSync(base, { recursive: true, force: true });
  });

  const time = () => world.client('operator').time();
  const trustIs = (trust: string) => until(`time to be ${trust}`, async () => (await time()).trust === trust);
  const create = (name: string): Promise<DecisionReply> => {
    const payload = name === 'slow_mark' ? { seconds: 0 } : {};
    return world.client('request').createDecision(ask(name, 'm-1', payload));
  };
  const state = (...more: string[]): Promise<Ran> => {
    const key = join(world.paths.publisher, 'people/warden');
    return world.holdfast('time', 'state', '--key', key, '--now', 'clock', '--yes', '--json', ...more);
  };
  const redeem = (decision: DecisionReply) =>
    world.client('redeem').redeem(decision.permit?.id ?? '', {
      audience: 'gateway',
      action_digest: decision.action_digest,
    });

  it('a clock that jumps a year ahead and back ends nothing and is believed again', async () => {
    const permit = await create('mark');
    const waiting = await create('careful_mark');
    clock.set('+1y');
    await trustIs('uncertain');
    expect(await time()).toMatchObject({ cause: 'jumped' });
    expect((await create('careful_mark')).enforcement.result).toBe('queue');
    expect((await create('slow_mark')).status).toBe('denied');
    expect((await world.sign(waiting, 'approve')).stdout).toContain('approval.time_uncertain');
    expect((await redeem(permit)).permit_id).toBe(permit.permit?.id);
    clock.set('+0');
    await trustIs('floor');
    expect((await world.client('request').getDecision(waiting.decision_id)).status).toBe('pending_authority');
    expect((await world.sign(waiting, 'approve')).code).toBe(0);
    await closed();
  });

  it('a machine that comes back in 1970 is told what is wrong, and needs its clock set and no restart', async () => {
    const permit = await create('mark');
    await daemon.kill('SIGTERM');
    clock.set('@1970-01-01 00:00:10');
    daemon = await world.daemon({ env: clock.env });
    const status = await world.json('status');
    expect(JSON.stringify(status)).toContain('the clock says 1970-01-01');
    expect((await create('mark')).time_trust).toBe('uncertain');
    // The same boot: the permit is as good as it ever was, by the monotonic clock.
    expect((await redeem(permit)).permit_id).toBe(permit.permit?.id);
    const stated = await state();
    expect({ code: stated.code, stderr: stated.stderr }).toMatchObject({ code: 5 });
    clock.set('+0');
    await trustIs('trusted');
    expect((await create('careful_mark')).status).toBe('pending_authority');
    await closed();
  });

  it('a clock that was wrong and was corrected is believed by a statement, over a restart too', async () => {
    clock.set('+3h');
    await trustIs('uncertain');
    await daemon.kill();
    daemon = await world.daemon({ env: clock.env });
    expect((await time()).cause).toBe('jumped');
    const challenge = (await time()).challenge;
    const file = join(base, 'time.signed');
    // Signed on another machine, whose clock is what the site's should be.
    const hours = new Date(Date.now() + 3 * 3_600_000).toISOString().slice(0, 19);
    const elsewhere = ['--challenge', challenge, '--site', SITE, '--role', 'L2', '-o', file];
    const key = join(world.paths.publisher, 'people/warden');
    const signed = await world.holdfast(
      'time',
      'state',
      '--key',
      key,
      '--now',
      `${hours}Z`,
      '--yes',
      ...elsewhere,
    );
    expect({ code: signed.code, stderr: signed.stderr.slice(0, 20) }).toMatchObject({ code: 0 });
    const submitted = await world.holdfast('time', 'submit', file, '--json');
    expect(submitted.code).toBe(0);
    expect((await time()).trust).toBe('trusted');
    expect((await world.holdfast('time', 'submit', file)).code).toBe(3);
    await daemon.kill('SIGTERM');
    daemon = await world.daemon({ env: clock.env });
    expect((await time()).trust).toBe('trusted');
    await closed();
  });

  it('an import explains a clock that was set to when it was issued', async () => {
    clock.set('+40d');
    await trustIs('uncertain');
    const policy = join(world.paths.publisher, 'policy');
    const metadata = join(policy, 'metadata.yaml');
    writeFileSync(metadata, readFileSync(metadata, 'utf8').replace(/^version: 1$/m, 'version: 2'));
    const published = await world.holdfastWith(
      clock.env,
      'repo',
      'publish',
      world.paths.publisher,
      policy,
      '--site',
      SITE,
    );
    expect({ code: published.code, stderr: published.stderr }).toMatchObject({ code: 0 });
    const imported = await world.holdfast('import', join(world.paths.publisher, 'repository'));
    expect({ code: imported.code, out: imported.stdout }).toMatchObject({ code: 0 });
    await trustIs('floor');
    expect((await create('careful_mark')).status).toBe('pending_authority');
    await closed();
  });

  /** Ends in order; what is on disk is whole. */
  async function closed(): Promise<void> {
    expect((await daemon.kill('SIGTERM')).code).toBe(0);
    checkLedger(world.paths, world.trust());
  }
});

/** The policy of the fault tests, with rules about the time. */
function policyIn(directory: string): string {
  cpSync(join(ROOT, 'test/crash/policy'), directory, { recursive: true });
  writeFileSync(join(directory, 'time.yaml'), 'state_roles: [L2]\nmax_lowering: 30d\n');
  const actions = join(directory, 'actions.yaml');
  const text = readFileSync(actions, 'utf8').replace(
    /^([a-z_]+):\n/gm,
    (head, name: string) => `${head}${name in RULES ? `  time_uncertain: ${RULES[name]}\n` : ''}`,
  );
  writeFileSync(actions, text);
  return directory;
}
