import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { verifyReceipt } from '../../daemon/formats/receipt.ts';
import { checkLedger } from '../oracle.ts';
import { ask, SITE, until, World } from '../world.ts';
import { publish } from './publishing.ts';

let world: World;
beforeAll(async () => {
  world = await World.make();
});
afterAll(() => world?.close());

const known = () => ({ site: SITE, ...world.trust() });

it('imports through the daemon: who asked, flips of recent decisions, receipt on the stick', async () => {
  const daemon = await world.daemon();
  const decision = await world.client('request').createDecision(ask('mark', 'm-1'));
  const stick = await publish(world, 2);
  const ran = await world.json('import', stick, '--actor', 'person:ana');
  expect(ran).toMatchObject({ code: 0, applied: true, unchanged: false });
  const [name = ''] = readdirSync(join(stick, 'receipts'));
  const { receipt, entry } = verifyReceipt(readFileSync(join(stick, 'receipts', name), 'utf8'), known());
  expect(receipt).toMatchObject({ result: 'applied', who: 'person:ana', flips: { decisions: 1 } });
  expect(entry.data.flips).toEqual(receipt.flips);
  expect(decision.decision_id).toMatch(/^dec_/);

  const timestamp = join(stick, 'metadata/timestamp.json');
  writeFileSync(timestamp, readFileSync(timestamp, 'utf8').replace(/20\d\d-/, '2099-'));
  const refused = await world.json('import', stick);
  expect(refused).toMatchObject({ code: 3, applied: false });
  const { envelope } = refused.receipt as { envelope: string };
  expect(verifyReceipt(envelope, known()).receipt).toMatchObject({
    result: 'refused',
    in_force: receipt.in_force as unknown as JsonObject,
  });
  await daemon.kill('SIGTERM');
});

it('is whole after a kill at any moment of an import: the old policy or the new, and a receipt for it', async () => {
  const stick = await publish(world, 3);
  let applied = false;
  for (const delay of [0, 30, 60, 100, 150, 250]) {
    const daemon = await world.daemon();
    const running = world.holdfast('import', stick);
    await new Promise((resolve) => setTimeout(resolve, 200 + delay));
    await daemon.kill();
    await running;
    const { entries } = checkLedger(world.paths, world.trust());
    const count = entries.filter(
      ({ type, data }) => type === 'policy.applied' && serialOf(data) === 3,
    ).length;
    expect(count).toBeLessThanOrEqual(1);
    expect(count === 1 || !applied).toBe(true);
    applied = count === 1;
  }
  const daemon = await world.daemon();
  expect(existsSync(join(world.paths.state, '.staging'))).toBe(false);
  expect(await world.json('import', stick)).toMatchObject({ code: 0, applied: true });
  await daemon.kill('SIGTERM');
  const { entries } = checkLedger(world.paths, world.trust());
  const index = entries.findLastIndex(({ type }) => type === 'policy.applied');
  const name = `receipt-${SITE}-${index}.json`;
  await until('the receipt', async () => readdirSync(world.paths.outbox).includes(name));
  const text = readFileSync(join(world.paths.outbox, name), 'utf8');
  expect(verifyReceipt(text, known()).receipt.in_force?.serial).toBe(3);
});

function serialOf(data: JsonObject): unknown {
  return (data.site_target as JsonObject).serial;
}
