import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { checkLedger } from '../oracle.ts';
import { PROGRAM } from '../program.ts';
import { ROOT } from '../structure/sources.ts';
import { type Role, until, World } from '../world.ts';

/* Reading, searching and following a site's ledger, with real processes and the starter policy. */

const PATIENCE = 120_000;
const restart = (intent: string) => ({
  action: {
    class: 'restart_service',
    intent,
    target: { type: 'service', id: 'relay-2' },
    payload: { grace_seconds: 7 },
  },
  context: { actor: { id: 'agent:ops-1', role: 'agent' }, environment: 'staging', request_source: 'test' },
});

let world: World;
let daemon: Role;
beforeAll(async () => {
  world = await World.make(join(ROOT, 'policies/field-site'));
  daemon = await world.daemon();
}, PATIENCE);
afterAll(async () => {
  await world?.close();
}, PATIENCE);

const ask = (intent: string) => world.client('request').createDecision(restart(intent));
const found = async (...args: string[]) =>
  (await world.json('ledger', 'search', ...args)) as unknown as {
    entries: { index: number; text: string | null; type: string }[];
    next: string | null;
    size: number;
    indexed: number;
    code: number;
  };
const isIndexed = async () => {
  const { size, indexed } = await found('--limit', '1');
  return size === indexed;
};

describe('searching a site', () => {
  it(
    'finds what was just recorded, page by page, and what came while the index was away',
    async () => {
      for (const word of ['alpha', 'beta', 'gamma']) await ask(`recover the ${word} relay`);
      const first = await found('recover', 'relay', '--limit', '2');
      expect(first.entries.map(({ text }) => text)).toEqual([
        'recover the gamma relay',
        'recover the beta relay',
      ]);
      const rest = await found('recover', 'relay', '--after', String(first.next));
      expect(rest.entries.map(({ text }) => text)).toEqual(['recover the alpha relay']);
      await until('the index to follow', isIndexed);

      await daemon.kill();
      rmSync(world.paths.search);
      expect((await found('alpha')).entries).toHaveLength(1);
      // Whatever lies there is no index: it is made anew.
      writeFileSync(world.paths.search, 'damaged');
      daemon = await world.daemon();
      await ask('recover the delta relay');
      await until('the index to be made anew', isIndexed);
      expect((await found('recover', 'relay')).entries).toHaveLength(4);
      const { search } = (await world.client('operator').status()).host as { search: JsonObject };
      expect(search).toMatchObject({ behind: 0, trouble: null });
      checkLedger(world.paths, world.trust());
    },
    PATIENCE,
  );

  it(
    'says what is wrong with a search, and finds no payload value',
    async () => {
      expect((await found('7', '--type', 'decision.authorized')).entries).toEqual([]);
      const wrong = [
        ['--type', 'decision.forged'],
        ['--since', 'yesterday'],
        ['--after', 'o3'],
        ['--limit', '0'],
        ['--', '""'],
      ];
      for (const args of wrong) {
        const { code, stderr, stdout } = await world.holdfast('ledger', 'search', ...args);
        expect({ args, code, stdout }).toEqual({ args, code: 2, stdout: '' });
        expect(stderr).toMatch(/^holdfast: .+/);
      }
      // What looks like a query language is words like any others.
      expect((await found('relay" OR "beta')).entries).toEqual([]);
      expect((await found('relay* NOT beta')).entries).toEqual([]);
    },
    PATIENCE,
  );
});

describe('following a site', () => {
  function tail(...args: string[]): { child: ChildProcess; out: () => string; log: () => string } {
    const [program = '', ...rest] = [...PROGRAM, 'ledger', 'tail', '-f', '--dir', world.dir, ...args];
    const child = spawn(program, rest, { stdio: ['ignore', 'pipe', 'pipe'] });
    const text = { out: '', log: '' };
    child.stdout.on('data', (data: Buffer) => (text.out += data.toString()));
    child.stderr.on('data', (data: Buffer) => (text.log += data.toString()));
    return { child, out: () => text.out, log: () => text.log };
  }

  it(
    'prints every entry once and in order, across a daemon that is killed and one that is stopped',
    async () => {
      const { size } = await found('--limit', '1');
      const { child, out, log } = tail('--from', String(size), '--json', '--class', 'restart_service');
      const printed = () =>
        out()
          .split('\n')
          .slice(0, -1)
          .map((line) => JSON.parse(line) as { index: number; text: string });
      const wanted: string[] = [];
      for (const how of ['SIGKILL', 'SIGTERM'] as const) {
        wanted.push(`before ${how}`);
        await ask(`before ${how}`);
        await until('the tail to follow', async () => printed().length === wanted.length);
        await daemon.kill(how);
        daemon = await world.daemon();
        wanted.push(`after ${how}`);
        await ask(`after ${how}`);
        await until('the tail to go on', async () => printed().length === wanted.length);
      }
      expect(printed().map(({ text }) => text)).toEqual(wanted);
      const last = printed().at(-1)?.index ?? 0;
      child.kill('SIGINT');
      const [code] = await once(child, 'exit');
      expect(code).toBe(0);
      expect(log()).toContain(`ledger tail -f --from ${last + 1}`);
    },
    PATIENCE,
  );
});

describe('opening values and exporting', () => {
  it(
    'shows nothing without a reason, a right and a record',
    async () => {
      const decision = await ask('look closer');
      const index = String(decision.ledger.record_id);
      const show = (...args: string[]) => world.holdfast('ledger', 'show', index, ...args);
      const plain = await show();
      expect(plain.stdout).toContain('$masked');
      expect(plain.stdout).not.toContain('"grace_seconds": 7');
      expect((await show('--raw')).code).toBe(2);
      const refused = await show('--raw', '--reason', 'curious', '--actor', 'operator');
      expect([refused.code, refused.stdout]).toEqual([3, '']);
      const opened = await show('--raw', '--reason', 'checking the grace', '--actor', 'alice');
      expect(opened.stdout).toContain('"grace_seconds": 7');
      const { decision_id } = decision;
      const whole = await world.holdfast(
        'decision',
        'show',
        decision_id,
        '--raw',
        '--reason',
        'all of it',
        '--actor',
        'alice',
      );
      expect([whole.code, whole.stdout.includes('look closer')]).toEqual([0, true]);
      const proof = join(world.root, 'entry.tlog-proof');
      const prove = ['ledger', 'prove', index, '-o', proof, '--reason', 'for the board'];
      expect((await world.holdfast(...prove, '--actor', 'alice')).code).toBe(3);
      expect(existsSync(proof)).toBe(false);
      expect((await world.holdfast(...prove, '--actor', 'carol')).code).toBe(0);
      expect((await found('--type', 'ledger.read', '--about', decision_id)).entries).toHaveLength(1);
      const read = (await found('--type', 'ledger.read', '--actor', 'alice')).entries.at(-1);
      expect(read).toMatchObject({ text: 'checking the grace' });
    },
    PATIENCE,
  );

  it(
    'lets nothing leave the site while no daemon writes it down',
    async () => {
      const to = (name: string) => join(world.root, name);
      const run = (name: string, ...args: string[]) =>
        world.holdfast('ledger', 'export', '--tiles', to(name), ...args);
      expect((await run('tiles', '--reason', 'audit', '--actor', 'alice')).code).toBe(3);
      expect((await run('tiles', '--reason', 'audit', '--actor', 'carol')).code).toBe(0);
      expect(existsSync(join(to('tiles'), 'checkpoint'))).toBe(true);
      expect((await found('--type', 'ledger.read', 'audit')).entries).toHaveLength(1);
      await daemon.kill('SIGTERM');
      expect((await run('more', '--reason', 'audit', '--actor', 'carol')).code).toBe(5);
      expect(existsSync(to('more'))).toBe(false);
      const offline = await world.holdfast('ledger', 'list', '--limit', '500', '--json');
      expect(offline.stdout).toContain('$masked');
      expect(offline.stdout).not.toContain('"grace_seconds":7');
    },
    PATIENCE,
  );
});
