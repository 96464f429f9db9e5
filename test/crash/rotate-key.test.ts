import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { composeEngine } from '../../daemon/engine/compose.ts';
import { Engine } from '../../daemon/engine/engine.ts';
import { internal } from '../../daemon/engine/protocol.ts';
import type { LogKey } from '../../daemon/formats/log-keys.ts';
import { parseNote } from '../../daemon/formats/signed-note.ts';
import { loadSigner } from '../../daemon/host/signer.ts';
import { verifyLedger } from '../../daemon/ledger/verify.ts';
import { ask, type Role, World } from '../world.ts';
import { expectIntact } from './history.ts';

const CHILD = join(import.meta.dirname, 'rotate-key-child.ts');
/** Far more changes to files than a rotation makes. */
const MOST = 120;

let world: World;
let first: { origin: string; vkeys: LogKey[] };
beforeAll(async () => {
  world = await World.make();
  first = world.trust();
});
afterAll(() => world?.close());

const keyFile = () => join(world.paths.keys, 'ledger.key');

/** Rotates in a process of its own that dies before its nth change to a file; false when it came to an end before. */
async function rotateAndDie(nth: number): Promise<boolean> {
  const child = spawn(process.execPath, [CHILD, world.dir, String(nth)], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
  expect({ code, stderr }).toMatchObject({ code: null });
  return signal === 'SIGKILL';
}

/** Starts an engine, which finishes what the crash left or forgets it; returns the vkey that it signs with. */
function startAgain(): string {
  const engine = new Engine(composeEngine({ dir: world.dir }));
  const { replies } = engine.process([internal('ledger.keys', null)]);
  engine.stop('test');
  return (JSON.parse(String(replies[0]?.body)) as { vkey: string }).vkey;
}

/** One key in use, the same by all files and by the ledger's newest checkpoint; no other private key lies around. */
async function expectOneKey(vkey: string): Promise<void> {
  expect(readdirSync(world.paths.keys).filter((name) => name.includes('ledger.key'))).toEqual(['ledger.key']);
  expect(loadSigner(keyFile()).vkey).toBe(vkey);
  expect(readFileSync(join(world.paths.trust, 'ledger.vkey'), 'utf8')).toBe(`${vkey}\n`);
  expect(readFileSync(join(world.paths.trust, 'tlog-policy'), 'utf8')).toContain(`log ${vkey}\n`);
  const trust = world.trust();
  expect(trust.vkeys.at(-1)).toMatchObject({ vkey, until: null });
  const { entries } = await expectIntact(world);
  expect(entries.filter(({ type }) => type === 'key.rotated').at(-1)?.data.new ?? first.vkeys[0]?.vkey).toBe(
    vkey,
  );
  // Whoever knows the very first key alone comes to the same end.
  const report = await verifyLedger({ ledgerPath: world.paths.ledger, trust: first });
  expect(report).toMatchObject({ code: 0 });
  expect(report.followed?.at(-1)?.vkey ?? vkey).toBe(vkey);
}

describe('a rotation of the ledger key that is cut short', () => {
  it('at any change to a file leaves a site that starts with exactly one key', {
    timeout: 600_000,
  }, async () => {
    let vkey = startAgain();
    const outcomes = { kept: 0, rotated: 0 };
    let died = true;
    for (let nth = 1; died && nth < MOST; nth++) {
      died = await rotateAndDie(nth);
      const now = startAgain();
      outcomes[now === vkey ? 'kept' : 'rotated']++;
      vkey = now;
      await expectOneKey(vkey);
    }
    expect(died).toBe(false);
    expect(outcomes.kept).toBeGreaterThan(3);
    expect(outcomes.rotated).toBeGreaterThan(5);
  });
});

describe('a daemon whose ledger key is rotated', () => {
  let daemon: Role;

  it('goes on, and so does a gateway that runs beside it', { timeout: 300_000 }, async () => {
    daemon = await world.daemon();
    const gateway = await world.gateway();
    const gatewayClient = world.client('gateway');
    expect(await gatewayClient.action(ask('mark', 'before'))).toMatchObject({
      outcome: { result: 'succeeded' },
    });
    const made = await world.json('keys', 'rotate', 'ledger', '--reason', 'a test');
    expect(made).toMatchObject({ code: 0, name: 'ledger' });
    const signatures = parseNote(String(made.checkpoint)).signatures;
    expect(signatures).toHaveLength(2);
    expect(await gatewayClient.action(ask('mark', 'after'))).toMatchObject({
      outcome: { result: 'succeeded' },
    });
    const { incidents } = (await world.client('operator').status()) as unknown as {
      incidents: { open: number };
    };
    expect(incidents.open).toBe(0);
    await gateway.kill('SIGTERM');
    expect(await (await world.gateway()).kill('SIGTERM')).toMatchObject({ code: 0 });
    await expectIntact(world);
  });

  it.each([0, 2, 5, 10, 25])('and killed %i ms after it was asked to comes back', async (ms) => {
    const asked = world.client('operator').rotateLedgerKey({ reason: 'a test' });
    asked.catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, ms));
    await daemon.kill();
    const told = await asked.then(
      (made) => made.new,
      () => null,
    );
    daemon = await world.daemon();
    const { vkey } = await world.client('operator').ledgerKeys();
    if (told !== null) expect(vkey).toBe(told);
    await expectOneKey(vkey);
  });
});
