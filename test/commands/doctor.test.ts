import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Check } from '../../daemon/commands/doctor/check.ts';
import { witness } from '../witnesses.ts';
import { ask, type Role, World } from '../world.ts';

describe('doctor and audit, as an operator runs them', () => {
  let world: World;
  let daemon: Role;

  beforeAll(async () => {
    world = await World.make();
    daemon = await world.daemon();
  });
  afterAll(() => world?.close());

  async function doctor(): Promise<{ code: number | null; checks: Map<string, Check[]> }> {
    const { code, checks } = await world.json('doctor');
    return { code, checks: Map.groupBy(checks as unknown as Check[], ({ id }) => id) };
  }
  const resultOf = (checks: Map<string, Check[]>, id: string) => checks.get(id)?.map(({ result }) => result);

  it('names the process that is down, and how to start it', async () => {
    const { code, checks } = await doctor();
    expect(code).toBe(5);
    expect(checks.get('process.gateway')).toMatchObject([
      { result: 'fail', fix: 'Start it with: holdfast gateway' },
    ]);
    expect(resultOf(checks, 'process.daemon')).toEqual(['pass']);
  });

  it('finds nothing to fail on a site that is well, and warns of what a dev site is', async () => {
    const gateway = await world.gateway();
    const { code, checks } = await doctor();
    const failed = [...checks.values()].flat().filter(({ result }) => result === 'fail');
    expect(failed).toEqual([]);
    expect(code).toBe(0);
    expect(resultOf(checks, 'site.profile')).toEqual(['warn']);
    for (const component of [
      'ledger',
      'policy',
      'identity',
      'time',
      'disk',
      'gateway',
      'incident',
      'breakglass',
    ])
      expect(checks.has(`health.${component}`)).toBe(true);
    const text = await world.holdfast('doctor', '--all');
    expect(text.stdout.split('\n').every((line) => line.length <= 100)).toBe(true);
    await gateway.kill('SIGTERM');
  });

  it('finds files that others can read, and says which command closes them', async () => {
    chmodSync(world.paths.state, 0o755);
    chmodSync(join(world.paths.keys, 'ledger.key'), 0o644);
    const { code, checks } = await doctor();
    expect(code).toBe(5);
    expect(checks.get('files.state_mode')).toMatchObject([
      { result: 'fail', fix: `chmod 0700 ${world.paths.state}` },
    ]);
    expect(checks.get('files.keys_mode')?.[0]?.fix).toContain('ledger.key');
    chmodSync(world.paths.state, 0o700);
    chmodSync(join(world.paths.keys, 'ledger.key'), 0o600);
  });

  it('finds a tool that is not there', async () => {
    const tool = join(world.work, 'mark');
    copyFileSync(tool, `${tool}.kept`);
    rmSync(tool);
    const { checks } = await doctor();
    expect(checks.get('tools.production')).toMatchObject([{ result: 'warn' }]);
    copyFileSync(`${tool}.kept`, tool);
    chmodSync(tool, 0o755);
  });

  it('says what it could not see when the trust files are gone', async () => {
    const vkey = join(world.paths.trust, 'ledger.vkey');
    copyFileSync(vkey, `${vkey}.kept`);
    rmSync(vkey);
    const { code, checks } = await doctor();
    expect(code).toBe(5);
    expect(checks.get('files.trust')).toMatchObject([{ result: 'fail' }]);
    copyFileSync(`${vkey}.kept`, vkey);
  });

  it('says whom the site believes as witnesses, and whether it helps', async () => {
    const path = join(world.paths.trust, 'tlog-policy');
    const before = readFileSync(path, 'utf8');
    expect((await doctor()).checks.has('trust.witnesses')).toBe(false);
    const named = before.replace('quorum none', `witness w1 ${witness('w1.example').vkey}\nquorum none`);
    for (const [text, result] of [
      [named, 'warn'],
      [named.replace('quorum none', 'quorum w1'), 'pass'],
      [before.replace('quorum none', 'quorum w1'), 'fail'],
    ] as const) {
      writeFileSync(path, text);
      expect((await doctor()).checks.get('trust.witnesses')).toMatchObject([{ result }]);
    }
    writeFileSync(path, before);
  });

  it('an audit waits for the outcome of what was redeemed, here and on a copy elsewhere', async () => {
    const decision = await world.client('request').createDecision(ask('mark', 'redeemed'));
    const { permit } = decision;
    if (permit === undefined) throw new Error('no permit');
    const audience = { audience: 'gateway' };
    const redeem = world.client('redeem');
    await redeem.redeem(permit.id, { ...audience, action_digest: decision.action_digest });
    const here = await world.json('ledger', 'audit');
    expect(here).toMatchObject({ code: 4, open: true, counts: { 'outcome.missing': 1 } });
    await redeem.outcome(permit.id, { ...audience, result: 'unknown' });
    const status = await world.holdfast('status');
    expect(status.stdout).toContain('decision reconcile');
    expect((await daemon.kill('SIGTERM')).code).toBe(0);
    const trust = join(world.root, 'trust.json');
    expect((await world.holdfast('site', 'export-trust', trust)).code).toBe(0);
    const elsewhere = join(world.root, 'elsewhere');
    mkdirSync(elsewhere);
    const copy = join(elsewhere, 'ledger.sqlite');
    copyFileSync(world.paths.ledger, copy);
    if (existsSync(`${world.paths.ledger}-wal`)) copyFileSync(`${world.paths.ledger}-wal`, `${copy}-wal`);
    const there = await world.holdfast('ledger', 'audit', '--ledger', copy, '--trust', trust);
    expect(there.code).toBe(4);
    expect(there.stdout).toContain(decision.decision_id);
    expect(there.stdout).toContain('holdfast decision reconcile');
  });

  it('a ledger that does not verify is not audited', async () => {
    const copy = join(world.root, 'elsewhere/ledger.sqlite');
    writeFileSync(copy, 'no ledger');
    const ran = await world.holdfast(
      'ledger',
      'audit',
      '--ledger',
      copy,
      '--trust',
      join(world.root, 'trust.json'),
    );
    expect(ran.code).toBeGreaterThanOrEqual(10);
    expect(ran.stdout).toContain('NOT AUDITED');
  });

  it('a moment that cannot be read is a slip of the pen', async () => {
    const ran = await world.holdfast('ledger', 'audit', '--since', 'yesterday');
    expect(ran.code).toBe(2);
    expect(ran.stderr).toContain('--since');
  });
});
