import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkLedger } from '../oracle.ts';
import { until, World } from '../world.ts';

/* A role that is told to stop while it still starts: between its first socket and its word that it is ready. */

let world: World;
beforeAll(async () => {
  world = await World.make();
});
afterAll(() => world.close());

describe.each([
  ['daemon', 'request.sock'],
  ['gateway', 'gateway.sock'],
] as const)('a %s that is stopped when its first socket is there', (role, socket) => {
  it.each([1, 2, 3])('ends in order (time %i)', async () => {
    const running = await world[role]({ unready: true });
    const path = join(world.paths.run, socket);
    await until(`${socket} to be there`, async () => existsSync(path), 1);
    const { code, signal, stderr } = await running.kill('SIGTERM');
    expect({ code, signal, stderr }).toMatchObject({ code: 0, signal: null });
    expect(stderr).toContain('"stopped"');
    expect(existsSync(path)).toBe(false);
    expect(existsSync(`${world.paths.ledger}-wal`)).toBe(false);
  });
});

it('what they left is whole', () => {
  checkLedger(world.paths, world.trust());
});
