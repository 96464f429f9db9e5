import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { formatCheckpoint, openCheckpoint } from '../../../daemon/formats/checkpoint.ts';
import type { JsonObject } from '../../../daemon/formats/json.ts';
import { type Receipt, signReceipt } from '../../../daemon/formats/receipt.ts';
import { type NoteSigner, signNote } from '../../../daemon/formats/signed-note.ts';
import { parseProof } from '../../../daemon/formats/tlog-proof.ts';
import { loadSigner, newSigningKey } from '../../../daemon/host/signer.ts';
import { ask, type Role, World } from '../../world.ts';

/* A site changes its ledger key; an auditor has files from before and after, and two trust files. */

let world: World;
let daemon: Role;
let thief: NoteSigner;
let rotation: JsonObject;
const file = (name: string) => join(world.root, name);

beforeAll(async () => {
  world = await World.make();
  daemon = await world.daemon();
  await collect('old');
  thief = loadSigner(join(world.paths.keys, 'ledger.key'));
  rotation = await world.json('keys', 'rotate', 'ledger', '--reason', 'yearly');
  await collect('new');
  await daemon.kill('SIGTERM');
}, 120_000);
afterAll(() => world?.close());

/** Trust file, tlog-policy, a permit and a receipt of the moment. */
async function collect(when: string): Promise<void> {
  await world.holdfast('site', 'export-trust', file(`${when}.trust`));
  cpSync(join(world.paths.trust, 'tlog-policy'), file(`${when}.policy`));
  const { permit } = await world.client('request').createDecision(ask('mark', when));
  writeFileSync(file(`${when}.permit`), permit?.proof ?? '');
  await world.holdfast('anchor', 'export', '-o', file('anchors'));
}

async function verified(...args: string[]): Promise<{ code: number | null; words: string }> {
  const { code, stdout, stderr } = await world.holdfast(...args);
  return { code, words: stdout + stderr };
}

describe('after a change of the ledger key', () => {
  it('is told what happened', () => {
    expect(rotation).toMatchObject({ code: 0, name: 'ledger' });
    expect(rotation.size).toBe(Number(rotation.record_id) + 1);
  });

  it.each([
    ['old', ['--trust', 'new.trust'], 0],
    ['new', ['--trust', 'new.trust'], 0],
    ['old', ['--trust', 'old.trust'], 0],
    ['new', ['--trust', 'old.trust'], 13],
    ['old', ['--policy', 'old.policy'], 0],
    ['new', ['--policy', 'new.policy'], 0],
    ['new', ['--policy', 'old.policy'], 13],
    ['old', ['--policy', 'new.policy'], 13],
    ['old', [], 0],
    ['new', [], 0],
  ])('the %s permit under %j ends with code %i', async (when, [how, trust], code) => {
    const by = how === undefined || trust === undefined ? [] : [how, file(trust)];
    expect(await verified('permit', 'verify', file(`${when}.permit`), ...by)).toMatchObject({ code });
  });

  it('a permit by the old key over what came after is refused, and the words say why', async () => {
    const proof = readFileSync(file('new.permit'), 'utf8');
    const { checkpoint } = parseProof(proof);
    const { size, root, origin } = openCheckpoint(checkpoint, { vkeys: [String(rotation.new)] });
    const forged = proof.replace(checkpoint, signNote(formatCheckpoint({ origin, size, root }), [thief]));
    writeFileSync(file('forged.permit'), forged);
    const told = await verified('permit', 'verify', file('forged.permit'), '--trust', file('new.trust'));
    expect(told).toMatchObject({ code: 13 });
    expect(told.words).toContain(`rotated out, or its log closed, after size ${Number(rotation.size) - 1}`);
  });

  it.each<[string, (entry: string) => string, string | null]>([
    ['its time', (entry) => entry.replace(/"at":"[^"]*"/, '"at":"yesterday"'), '/at'],
    ['its type', (entry) => entry.replace('"type":"decision.', '"type":"decisive.'), '/type'],
    ['its action', (entry) => entry.replace(/"intent":"[^"]*"/, '"intent":"something else"'), '/data/action'],
    ['who asked', (entry) => entry.replace('"id":"agent:ops-1"', '"id":"agent:ops-9"'), null],
  ])('a permit file with %s changed names what can be told', async (_what, change, field) => {
    const proof = readFileSync(file('new.permit'), 'utf8');
    const [, extra = ''] = /\nextra ([^\n]*)\n/.exec(proof) ?? [];
    const entry = Buffer.from(extra, 'base64').toString('utf8');
    expect(change(entry)).not.toBe(entry);
    const changed = Buffer.from(change(entry), 'utf8').toString('base64');
    writeFileSync(file('changed.permit'), proof.replace(extra, changed));
    const told = await verified(
      'permit',
      'verify',
      file('changed.permit'),
      '--trust',
      file('new.trust'),
      '--json',
    );
    expect(told.code).toBe(10);
    const { suspect } = JSON.parse(told.words) as { suspect?: { field: string } };
    expect(suspect?.field ?? null).toBe(field);
  });

  it('a receipt from before counts, and one that the old key signed afterwards does not', async () => {
    const name = readdirSync(world.paths.outbox).find((each) => each.startsWith('receipt-')) ?? '';
    const receipt = join(world.paths.outbox, name);
    expect(await verified('receipt', 'verify', receipt, '--trust', file('new.trust'))).toMatchObject({
      code: 0,
    });
    const { payload } = JSON.parse(readFileSync(receipt, 'utf8')) as { payload: string };
    const before = JSON.parse(Buffer.from(payload, 'base64').toString('utf8')) as Receipt;
    await world.holdfast('ledger', 'prove', String(before.record_id), '-o', file('proof'));
    const proof = readFileSync(file('proof'), 'utf8');
    const after = { ...before, proof, checkpoint: parseProof(proof).checkpoint };
    for (const [signer, code] of [
      [thief, 13],
      [loadSigner(join(world.paths.keys, 'ledger.key')), 0],
    ] as const) {
      writeFileSync(file('receipt'), signReceipt(after, signer));
      expect(
        await verified('receipt', 'verify', file('receipt'), '--trust', file('new.trust')),
      ).toMatchObject({ code });
    }
  });

  it('the ledger verifies under either trust file, and an old one is told to be old', async () => {
    const ledger = ['ledger', 'verify', '--ledger', world.paths.ledger, '--trust'];
    const now = await verified(...ledger, file('new.trust'));
    expect(now).toMatchObject({ code: 0 });
    expect(now.words).not.toContain('predates');
    const then = await verified(...ledger, file('old.trust'));
    expect(then).toMatchObject({ code: 0 });
    expect(then.words).toContain(`rotated at ${String(rotation.size)}: your trust file predates it`);
    expect(await verified('ledger', 'verify')).toMatchObject({ code: 0 });
  });

  it('anchors from before and after are one history under either trust file, by the ledger', async () => {
    const anchors = ['anchor', 'verify', file('anchors'), '--trust'];
    const ledger = ['--ledger', world.paths.ledger];
    expect(await verified(...anchors, file('new.trust'))).toMatchObject({ code: 0 });
    const then = await verified(...anchors, file('old.trust'), ...ledger);
    expect(then).toMatchObject({ code: 0 });
    expect(then.words).toContain(`rotated at ${String(rotation.size)}: your trust file predates it`);
    expect(then.words).toContain('The ledger continues all of them');
    const told = JSON.parse((await verified(...anchors, file('old.trust'), ...ledger, '--json')).words);
    expect(told).toMatchObject({ refused: [], ledger: { code: 0, followed: [{ vkey: rotation.new }] } });
  });

  it('a permit and a receipt that somebody kept are held against the ledger as anchors are', async () => {
    const receipt = readdirSync(world.paths.outbox).find((each) => each.startsWith('receipt-')) ?? '';
    const kept = [file('old.permit'), file('new.permit'), join(world.paths.outbox, receipt)];
    const told = await verified(
      ...['anchor', 'verify', ...kept, '--trust', file('new.trust')],
      ...['--ledger', world.paths.ledger, '--json'],
    );
    expect(told).toMatchObject({ code: 0 });
    expect(JSON.parse(told.words)).toMatchObject({ refused: [], logs: [{ anchors: 3, comparison: {} }] });
  });

  it('anchors from after count for nothing under the old trust file alone, and the words say what may be', async () => {
    const told = await verified('anchor', 'verify', file('anchors'), '--trust', file('old.trust'));
    expect(told).toMatchObject({ code: 13 });
    expect(told.words.replaceAll(/\s+/g, ' ')).toContain(
      'The site may have changed its key since: then a newer trust file says so, or a copy of its ledger (--ledger).',
    );
  });

  it('a new trust file follows from the old one, and not the other way round, nor from a forger', async () => {
    const check = (now: string, old: string) =>
      verified('site', 'check-trust', file(now), '--against', file(old));
    expect(await check('new.trust', 'old.trust')).toMatchObject({ code: 0 });
    expect(await check('old.trust', 'old.trust')).toMatchObject({ code: 0 });
    expect(await check('old.trust', 'new.trust')).toMatchObject({ code: 13 });
    const text = readFileSync(file('new.trust'), 'utf8');
    writeFileSync(
      file('forged.trust'),
      text.replaceAll(String(rotation.new), newSigningKey(thief.name).vkey),
    );
    const forged = await check('forged.trust', 'old.trust');
    expect(forged).toMatchObject({ code: 13 });
    expect(forged.words).toContain('no key that you know vouches');
    writeFileSync(file('other.trust'), text.replace(/"site": "[^"]*"/, '"site": "else.example"'));
    expect((await check('other.trust', 'old.trust')).words).toContain('it is of else.example');
  });

  it('the keys are listed with what each one signed', async () => {
    const { words, code } = await verified('keys', 'list');
    expect(code).toBe(0);
    expect(words).toMatch(new RegExp(`ledger\\s+active\\s+-\\s+${String(rotation.size)}…`));
    expect(words).toMatch(new RegExp(`ledger\\s+replaced\\s+-\\s+1…${Number(rotation.size) - 1}`));
    expect(words).toMatch(/envelope\s+active\s+-\s+-\s+by hand\s+none; the daemon, which does not answer/);
  });

  it('a name that is no key is refused, and so is a site without its daemon', async () => {
    const stranger = await verified('keys', 'rotate', 'moon');
    expect(stranger).toMatchObject({ code: 2 });
    expect(stranger.words).toMatch(/nothing was changed.*ledger/);
    const silent = await verified('keys', 'rotate', 'ledger');
    expect(silent).toMatchObject({ code: 5 });
    expect(silent.words).toMatch(/daemon/);
  });
});
