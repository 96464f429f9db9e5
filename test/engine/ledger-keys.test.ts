import { cpSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { LedgerKeys } from '../../daemon/engine/ledger-keys.ts';
import { internal } from '../../daemon/engine/protocol.ts';
import { formatCheckpoint, openCheckpoint } from '../../daemon/formats/checkpoint.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { openRotation } from '../../daemon/formats/key-rotation.ts';
import { currentLog, type LogKey } from '../../daemon/formats/log-keys.ts';
import { type NoteSigner, parseNote, signNote } from '../../daemon/formats/signed-note.ts';
import { LedgerKeyFiles } from '../../daemon/host/ledger-key.ts';
import { createLogger } from '../../daemon/host/log.ts';
import { readLineage } from '../../daemon/host/log-lineage.ts';
import { createSigningKey, loadSigner } from '../../daemon/host/signer.ts';
import { openDatabase } from '../../daemon/ledger/database.ts';
import { openLedger, viewLedger } from '../../daemon/ledger/open.ts';
import { LEDGER_KIND } from '../../daemon/ledger/schema.ts';
import { verifyLedger } from '../../daemon/ledger/verify.ts';
import { rotateIfDue } from '../../daemon/roles/daemon-keys.ts';
import { checkLedger } from '../oracle.ts';
import { EngineFixture, type FixtureOptions, SITE } from './fixture.ts';

const ORIGIN = `${SITE}/ledger`;
const DAY_MS = 86_400_000;
const open: EngineFixture[] = [];
afterEach(() => {
  for (const fixture of open.splice(0)) fixture.close();
});

function site(options: FixtureOptions = {}): EngineFixture {
  const fixture = new EngineFixture(null, options);
  open.push(fixture);
  return fixture;
}

const rotate = (fixture: EngineFixture, reason = 'a test') =>
  fixture.call('ledger.rotate_key', { json: { reason } });
const keysOf = (fixture: EngineFixture) =>
  fixture.call('ledger.keys').body as unknown as {
    vkey: string;
    since: string;
    due: boolean;
    keys: LogKey[];
  };
const signerOf = (fixture: EngineFixture): NoteSigner => loadSigner(join(fixture.paths.keys, 'ledger.key'));
const trustOf = (fixture: EngineFixture) => ({
  origin: ORIGIN,
  vkeys: currentLog(readLineage(fixture.paths.trust)).keys,
});
const verify = (fixture: EngineFixture, vkeys: readonly (string | LogKey)[] = trustOf(fixture).vkeys) =>
  verifyLedger({
    ledgerPath: fixture.paths.ledger,
    headPath: fixture.paths.head,
    trust: { origin: ORIGIN, vkeys },
    inPlace: true,
  });

describe('a rotated ledger key', () => {
  test('is on record, vouched for by the old one, under a checkpoint of both', async () => {
    const fixture = site();
    const { status, body } = rotate(fixture, 'yearly');
    expect(status).toBe(200);
    expect(body).toMatchObject({
      name: 'ledger',
      destroyed: true,
      old: fixture.vkey,
      size: Number(body.record_id) + 1,
    });
    expect(parseNote(String(body.checkpoint)).signatures).toHaveLength(2);
    for (const vkey of [fixture.vkey, String(body.new)])
      expect(openCheckpoint(String(body.checkpoint), { vkeys: [vkey] }).size).toBe(body.size);
    const { entries } = checkLedger(fixture.paths, trustOf(fixture));
    const entry = entries[Number(body.record_id)];
    expect(entry).toMatchObject({
      type: 'key.rotated',
      stream: 'keys',
      data: { reason: 'yearly', new: body.new },
    });
    expect(openRotation(String(entry?.data.statement))).toEqual({
      origin: ORIGIN,
      size: body.size,
      old: fixture.vkey,
      new: body.new,
    });
    fixture.call('policy.refuse', { json: { source: 'x', who: 'x', code: 'update.x', reason: 'x' } });
    const later = fixture.engine.status() as { ledger: { checkpoint: string } };
    expect(parseNote(later.ledger.checkpoint).signatures).toHaveLength(1);
    expect(signerOf(fixture).vkey).toBe(body.new);
    expect(await verify(fixture)).toMatchObject({ code: 0, findings: [] });
  });

  test('may be followed by others, across restarts, and shows which one signed what', async () => {
    const fixture = site();
    for (let count = 0; count < 3; count++) {
      expect(rotate(fixture).status).toBe(200);
      fixture.reopen();
    }
    const { keys, vkey } = keysOf(fixture);
    expect(keys).toHaveLength(4);
    expect(keys[0]).toMatchObject({ vkey: fixture.vkey, from: 0 });
    expect(keys.at(-1)).toMatchObject({ vkey, until: null });
    expect(trustOf(fixture).vkeys).toEqual(keys);
    expect(await verify(fixture)).toMatchObject({ code: 0 });
    const followed = await verify(fixture, [fixture.vkey]);
    expect(followed).toMatchObject({ code: 0, followed: [{}, {}, { vkey }] });
  });

  test('comes once in a batch, and with whatever else is in it', async () => {
    const fixture = site();
    const ask = internal('ledger.rotate_key', JSON.stringify({ reason: 'x' }));
    const other = internal(
      'policy.refuse',
      JSON.stringify({ source: 'x', who: 'x', code: 'update.x', reason: 'x' }),
    );
    const { replies } = fixture.engine.process([other, ask, ask, other, other]);
    expect(replies.map(({ status }) => status)).toEqual([200, 200, 409, 200, 200]);
    fixture.call('policy.refuse', { json: { source: 'x', who: 'x', code: 'update.x', reason: 'x' } });
    expect(await verify(fixture)).toMatchObject({ code: 0 });
    expect(await verify(fixture, [fixture.vkey])).toMatchObject({ code: 0, followed: [{}] });
    fixture.reopen();
    expect(await verify(fixture)).toMatchObject({ code: 0 });
  });

  test('is forgotten with a batch that falls', async () => {
    const fixture = site();
    const blocker = openDatabase(fixture.paths.ledger, { kind: LEDGER_KIND });
    blocker.exec(
      "CREATE TRIGGER no_checkpoint BEFORE INSERT ON checkpoints BEGIN SELECT RAISE(ABORT, 'no'); END",
    );
    expect(rotate(fixture).status).toBe(503);
    blocker.exec('DROP TRIGGER no_checkpoint');
    blocker.close();
    fixture.clock.mono += 5_000;
    expect(keysOf(fixture)).not.toHaveProperty('keys.1');
    fixture.call('policy.refuse', { json: { source: 'x', who: 'x', code: 'update.x', reason: 'x' } });
    expect(keysOf(fixture)).toMatchObject({ vkey: fixture.vkey, keys: [{ until: null }] });
    expect(existsSync(join(fixture.paths.keys, 'ledger.key.next'))).toBe(false);
    expect(await verify(fixture)).toMatchObject({ code: 0 });
    expect(rotate(fixture).status).toBe(200);
    expect(await verify(fixture)).toMatchObject({ code: 0 });
  });

  test('goes on when the public files cannot be written, and they follow when they can', () => {
    const fixture = site();
    const vkeyFile = join(fixture.paths.trust, 'ledger.vkey');
    rmSync(vkeyFile);
    const { status, body } = rotate(fixture);
    expect(status).toBe(200);
    expect(body.destroyed).toBe(false);
    expect(fixture.reports).toHaveLength(1);
    fixture.engine.tick();
    writeFileSync(vkeyFile, `${fixture.vkey}\n`);
    fixture.engine.tick();
    expect(readFileSync(vkeyFile, 'utf8')).toBe(`${String(body.new)}\n`);
    expect(trustOf(fixture).vkeys).toHaveLength(2);
    expect(fixture.reports).toHaveLength(1);
  });

  test('is not undone by an old key file that was put back, though that one signed the last checkpoint, too', () => {
    const fixture = site();
    const keyFile = join(fixture.paths.keys, 'ledger.key');
    const old = readFileSync(keyFile);
    expect(rotate(fixture).status).toBe(200);
    fixture.engine.close();
    const next = readFileSync(keyFile);
    writeFileSync(keyFile, old);
    expect(() => fixture.open()).toThrow(/key was changed to/);
    writeFileSync(keyFile, next);
    fixture.engine = fixture.open();
    expect(rotate(fixture).status).toBe(200);
  });

  test('that cannot be forgotten on disk never becomes the key by that', () => {
    const fixture = site();
    fixture.engine.close();
    const path = join(fixture.paths.keys, 'ledger.key');
    createSigningKey(`${path}.next`, ORIGIN);
    const files = new LedgerKeyFiles(path, null);
    files.discard = () => {
      throw new Error('read-only');
    };
    const { paths } = fixture;
    const keys = new LedgerKeys({ paths, signer: files.load(), files, maxAgeMs: null, report: () => {} });
    const view = viewLedger(paths.ledger, { origin: ORIGIN, vkeys: [fixture.vkey] });
    keys.settle();
    keys.restore(view);
    keys.tend();
    view.close();
    expect(keys.isSettled).toBe(false);
    expect(loadSigner(path).vkey).toBe(fixture.vkey);
    fixture.engine = fixture.open();
  });

  test('leaves public files of another site alone, and says so', () => {
    const fixture = site();
    const stranger = site();
    const vkeyFile = join(fixture.paths.trust, 'ledger.vkey');
    writeFileSync(vkeyFile, `${stranger.vkey}\n`);
    expect(rotate(fixture).status).toBe(200);
    expect(readFileSync(vkeyFile, 'utf8')).toBe(`${stranger.vkey}\n`);
    expect(String(fixture.reports[0])).toContain('are not those that lead to the key');
  });
});

describe('an old key in the hands of a thief', () => {
  /** A site whose key was copied before it was rotated, and the thief's head over its entries and one more. */
  function robbed() {
    const fixture = site();
    const stolen = signerOf(fixture);
    const { body } = rotate(fixture);
    fixture.call('policy.refuse', { json: { source: 'x', who: 'x', code: 'update.x', reason: 'x' } });
    fixture.engine.close();
    const database = openDatabase(fixture.paths.ledger, { kind: LEDGER_KIND });
    const note = database
      .prepareColumn<string>('SELECT note FROM checkpoints ORDER BY size DESC LIMIT 1')
      .get() as string;
    const { size, root } = openCheckpoint(note, { vkeys: [String(body.new)] });
    const forged = signNote(formatCheckpoint({ origin: ORIGIN, size, root }), [stolen]);
    database.exec('DROP TRIGGER checkpoints_update');
    database.prepare('UPDATE checkpoints SET note = ? WHERE size = ?').run(forged, size);
    const sql = `CREATE TRIGGER checkpoints_update BEFORE UPDATE ON checkpoints
BEGIN SELECT RAISE(ABORT, 'checkpoints: append-only'); END`;
    database.exec(sql);
    database.close();
    return { fixture, stolen, size, until: Number(body.size) };
  }

  test('signs nothing that is believed: not by the verifier, not by the daemon', async () => {
    const { fixture, size, until } = robbed();
    const report = await verify(fixture);
    expect(report).toMatchObject({ code: 13, total: 1, findings: [{ where: `checkpoints[${size}]` }] });
    expect(report.findings[0]?.detail).toContain(`after size ${until - 1}`);
    // An old trust file knows the old key only, and the ledger itself tells it better.
    expect(await verify(fixture, [fixture.vkey])).toMatchObject({ code: 13, total: 1 });
    const { ledger: path, head: headPath } = fixture.paths;
    const signer = signerOf(fixture);
    expect(() => openLedger({ path, headPath, origin: ORIGIN, signer })).toThrow(
      /not signed by this site's key/,
    );
    open.splice(0);
    rmSync(fixture.paths.root, { recursive: true });
  });

  test('does not cut the log back to where that key was good, unnoticed', async () => {
    const fixture = site();
    fixture.engine.close();
    const copy = join(fixture.paths.root, 'before.sqlite');
    cpSync(fixture.paths.ledger, copy);
    fixture.engine = fixture.open();
    const { body } = rotate(fixture);
    const { vkeys } = trustOf(fixture);
    const report = await verifyLedger({ ledgerPath: copy, trust: { origin: ORIGIN, vkeys } });
    expect(report).toMatchObject({ code: 14, total: 1 });
    expect(report.findings[0]?.detail).toContain(`had ${Number(body.size)} when its key was changed`);
    // With the old trust file nothing is known but the old key: only an anchor could tell.
    const old = { origin: ORIGIN, vkeys: [fixture.vkey] };
    expect(await verifyLedger({ ledgerPath: copy, trust: old })).toMatchObject({ code: 0 });
  });
});

describe('the age of the ledger key', () => {
  const log = createLogger('daemon', 'silent', {});
  const degraded = (fixture: EngineFixture) =>
    (fixture.engine.status() as { degraded: JsonObject[] }).degraded.filter(
      ({ component }) => component === 'keys',
    );

  test('is told, and makes it due, and the schedule rotates it then and not before', async () => {
    const fixture = site({ keyMaxAgeMs: 30 * DAY_MS });
    const made = fixture.clock.now();
    fixture.clock.wall += 29 * DAY_MS;
    fixture.clock.mono += 29 * DAY_MS;
    await rotateIfDue(fixture.handle(), log);
    expect(keysOf(fixture)).toMatchObject({
      vkey: fixture.vkey,
      due: false,
      since: new Date(made).toISOString(),
    });
    expect(degraded(fixture)).toEqual([]);
    fixture.clock.wall += DAY_MS;
    fixture.clock.mono += DAY_MS;
    expect(keysOf(fixture)).toMatchObject({ due: true });
    expect(degraded(fixture)).toMatchObject([{ cause: expect.stringContaining('30 days') }]);
    await rotateIfDue(fixture.handle(), log);
    expect(degraded(fixture)).toEqual([]);
    const { vkey, due, since } = keysOf(fixture);
    expect({ due, since }).toEqual({ due: false, since: new Date(fixture.clock.now()).toISOString() });
    expect(vkey).not.toBe(fixture.vkey);
    fixture.reopen();
    expect(keysOf(fixture)).toMatchObject({ vkey, since });
  });

  test('is no matter where the configuration sets no limit', async () => {
    const fixture = site();
    fixture.clock.wall += 9_999 * DAY_MS;
    fixture.clock.mono += 9_999 * DAY_MS;
    await rotateIfDue(fixture.handle(), log);
    expect(keysOf(fixture)).toMatchObject({ vkey: fixture.vkey, due: false });
    expect(degraded(fixture)).toEqual([]);
  });
});
