import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DecisionReply } from '../../../daemon/api/client.ts';
import { ROOT } from '../../structure/sources.ts';
import { World } from '../../world.ts';

/* The commands about sensitive values, as people type them, against a real daemon. */

const PSK = 'correct horse battery';
let world: World;
let decision: DecisionReply;
let elsewhere: string;

beforeAll(async () => {
  world = await World.make(join(ROOT, 'test/attacks/secret-policy'));
  await world.daemon();
  decision = await world.client('request').createDecision({
    action: {
      class: 'join',
      intent: 'join the relay net',
      target: { type: 'interface', id: 'wlan0' },
      payload: { psk: PSK, pin: '0451' },
    },
    context: {
      actor: { id: 'agent:ops-1', role: 'agent' },
      environment: 'production',
      request_source: 'test',
    },
  });
  elsewhere = join(world.root, 'elsewhere');
  mkdirSync(elsewhere);
  expect((await world.holdfast('site', 'export-trust', join(elsewhere, 'trust.json'))).code).toBe(0);
}, 120_000);
afterAll(() => world?.close());

const disclose = (...more: string[]) =>
  world.holdfast(
    'decision',
    'disclose',
    decision.decision_id,
    '--reason',
    'dispute 12',
    '--actor',
    'operator',
    ...more,
  );
const signed = (verb: string, ...more: string[]) => {
  const key = join(world.paths.publisher, 'people', 'warden');
  return world.holdfast(
    'decision',
    verb,
    decision.decision_id,
    '--reason',
    'by order',
    '--key',
    key,
    '--yes',
    ...more,
  );
};
/** On a machine without the site. */
const check = (file: string) =>
  world.holdfastWith(
    { HOLDFAST_DIR: join(elsewhere, 'none') },
    'decision',
    'check-disclosure',
    file,
    '--trust',
    join(elsewhere, 'trust.json'),
  );

describe('the sensitive values of a decision', () => {
  it('are disclosed as a file that others check without the site', async () => {
    const file = join(elsewhere, 'psk.json');
    const { code, stderr, stdout } = await disclose('--field', 'psk', '-o', file);
    expect(code, stderr).toBe(0);
    expect(stdout).toContain('says so');
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const checked = await check(file);
    expect([checked.code, checked.stdout]).toEqual([0, expect.stringMatching(/^TRUE TO THE RECORD/)]);
    expect(checked.stdout).toContain(PSK);
    writeFileSync(
      join(elsewhere, 'forged.json'),
      readFileSync(file, 'utf8').replace(PSK, 'correct horse batterz'),
    );
    const forged = await check(join(elsewhere, 'forged.json'));
    expect([forged.code, forged.stdout]).toEqual([10, expect.stringContaining('NOT THE RECORD')]);
  });

  it('are not disclosed over a file that is there, nor without naming a field', async () => {
    const before = (await world.client('operator').status()).ledger;
    expect((await disclose('--field', 'psk', '-o', join(elsewhere, 'psk.json'))).stderr).toContain(
      'is not overwritten',
    );
    expect((await disclose()).stderr).toContain('--field');
    expect((await world.client('operator').status()).ledger).toEqual(before);
  });

  it('are withheld, and shown again, by signature', async () => {
    expect((await signed('withhold', '--field', 'psk')).code).toBe(0);
    const refused = await disclose('--field', 'psk');
    expect([refused.code, refused.stdout, refused.stderr]).toEqual([
      3,
      '',
      expect.stringContaining('psk is withheld'),
    ]);
    expect((await signed('withhold', '--field', 'psk', '--undo')).code).toBe(0);
    expect((await disclose('--field', 'psk')).stdout).toContain(PSK);
  });

  it('are destroyed once nothing can run with them, and the record still proves what it proved', async () => {
    expect((await signed('shred')).stderr).toContain('--field NAME, or --all');
    expect((await signed('shred', '--field', 'nothing')).stderr).toContain('Its sensitive fields: pin, psk');
    expect((await signed('shred', '--all')).stderr).toContain('Cancel it first');
    const cancelled = await world.holdfast(
      'decision',
      'cancel',
      decision.decision_id,
      '--actor',
      'agent:ops-1',
      '--reason',
      'wrong',
    );
    expect(cancelled.code).toBe(0);
    const { code, stdout, stderr } = await signed('shred', '--all');
    expect([code, stdout], stderr).toEqual([0, expect.stringContaining('pin, psk of')]);
    expect(stderr).toContain('DESTROY, for good, sensitive values');
    const again = await world.holdfast('decision', 'replay', decision.decision_id);
    expect([again.code, again.stdout]).toEqual([
      0,
      expect.stringMatching(/SAME VERDICT[\s\S]*destroyed +pin, psk/),
    ]);
    expect((await disclose('--field', 'psk')).stderr).toContain('psk is shredded');
    // What was disclosed before can still be checked: the commitment is in the record.
    expect((await check(join(elsewhere, 'psk.json'))).code).toBe(0);
    expect((await world.holdfast('ledger', 'verify')).stdout).toMatch(/^INTACT/);
  });
});
