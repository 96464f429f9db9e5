import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DecisionReply } from '../../daemon/api/client.ts';
import { wrappedUnder } from '../../daemon/host/key-wrap.ts';
import { ROOT } from '../structure/sources.ts';
import { type Role, until, World } from '../world.ts';
import { Random, SEED } from './random.ts';

const ENVELOPES = 150;
const ROUNDS = 6;

let world: World;
let daemon: Role;
const made: DecisionReply[] = [];
const CREDENTIAL = Buffer.alloc(32, 5).toString('base64');
let env: { CREDENTIALS_DIRECTORY: string };

beforeAll(async () => {
  world = await World.make(join(ROOT, 'test/attacks/secret-policy'));
  const credentials = join(world.root, 'credentials');
  mkdirSync(credentials, { mode: 0o700 });
  writeFileSync(join(credentials, 'holdfast-kek'), CREDENTIAL, { mode: 0o400 });
  env = { CREDENTIALS_DIRECTORY: credentials };
  const wrapped = await world.holdfastWith(env, 'keys', 'wrap', '--json');
  expect(wrapped.code, wrapped.stderr).toBe(0);
  daemon = await world.daemon({ env });
}, 120_000);
afterAll(() => world?.close());

const joining = (number: number) => ({
  action: {
    class: 'join',
    intent: 'join the relay net',
    target: { type: 'interface', id: 'wlan0' },
    payload: { psk: `psk of ${number}`, pin: '0451' },
  },
  context: { actor: { id: 'agent:ops-1', role: 'agent' }, environment: 'production', request_source: 'test' },
});

async function add(count: number): Promise<void> {
  for (let number = 0; number < count; number++) {
    made.push(await world.client('request').createDecision(joining(made.length)));
  }
}

async function expectOpen(decision: DecisionReply): Promise<void> {
  const { decision_id: id } = decision;
  const opened = await world
    .client('operator')
    .discloseFields(id, { fields: ['psk'], reason: 'test', actor: { id: 'operator' } });
  expect(opened.values.psk?.value).toBe(`psk of ${made.indexOf(decision)}`);
}

const keyFiles = () =>
  readdirSync(world.paths.keys).filter((name) => /^(sealing|digest|envelope-\d+)\.key$/.test(name));

describe(`a daemon that is killed while the envelope key is rotated (CRASH_SEED=${SEED})`, () => {
  const random = new Random(SEED);

  it.each(Array.from({ length: ROUNDS }, (_, round) => round + 1))(
    'loses no value in round %i',
    { timeout: 120_000 },
    async () => {
      await add(ENVELOPES / ROUNDS);
      const rotated = await world.holdfast('keys', 'rotate', 'envelope', '--reason', 'test');
      expect([0, 3]).toContain(rotated.code);
      await pause(random.whole(0, 1_500));
      await daemon.kill();
      daemon = await world.daemon({ env });
      for (let look = 0; look < 5; look++) {
        const decision = made[random.whole(0, made.length - 1)];
        if (decision !== undefined) await expectOpen(decision);
      }
    },
  );

  it('ends with one key, and every value under it', { timeout: 120_000 }, async () => {
    await until('the rotation to end', async () => {
      const { secrets } = (await world.client('operator').status()) as unknown as {
        secrets: { rotating_since: string | null };
      };
      return secrets.rotating_since === null;
    });
    await world.holdfast('keys', 'rotate', 'envelope', '--reason', 'the last');
    await until('one envelope key to be left', async () => keyFiles().length === 2);
    for (const decision of made) await expectOpen(decision);
    const audited = await world.holdfast('ledger', 'verify');
    expect(audited.stdout).toMatch(/^INTACT /);
    expect((await daemon.kill('SIGTERM')).code).toBe(0);
  });

  it('leaves every key wrapped, and does not start without the key-encryption key or with another', {
    timeout: 180_000,
  }, async () => {
    const keys = readdirSync(world.paths.keys).filter((name) => name.endsWith('.key'));
    for (const name of keys)
      expect(wrappedUnder(readFileSync(join(world.paths.keys, name))), name).not.toBeNull();
    const without = await (await world.daemon({ unready: true })).ended;
    expect([without.code, without.stderr]).toEqual([2, expect.stringContaining('which is not here')]);
    writeFileSync(join(world.root, 'other'), Buffer.alloc(32, 6), { mode: 0o600 });
    const config = JSON.parse(readFileSync(world.paths.config, 'utf8')) as object;
    writeFileSync(
      world.paths.config,
      JSON.stringify({ ...config, secrets: { kek_file: join(world.root, 'other') } }),
    );
    const foreign = await (await world.daemon({ unready: true })).ended;
    expect(foreign.stderr).toContain('the one at hand is');
    expect(foreign.stderr).not.toContain(CREDENTIAL.slice(0, 20));
  });
});
