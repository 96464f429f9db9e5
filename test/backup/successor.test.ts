import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { checkProjections } from '../../daemon/engine/projection-check.ts';
import { Projections } from '../../daemon/engine/projections.ts';
import { rebuildProjections } from '../../daemon/engine/rebuild.ts';
import { initializeSuccessor, isOfFormerLog } from '../../daemon/engine/succeed.ts';
import { decodeEntry } from '../../daemon/formats/entry.ts';
import type { SignedAct } from '../../daemon/formats/signed-act.ts';
import { createSigningKey, loadSigner } from '../../daemon/host/signer.ts';
import { type SitePaths, sitePaths } from '../../daemon/host/site.ts';
import { type Database, openDatabase } from '../../daemon/ledger/database.ts';
import { viewLedger } from '../../daemon/ledger/open.ts';
import { LEDGER_KIND } from '../../daemon/ledger/schema.ts';
import { ask, testBundle } from '../engine/bundle.ts';
import { EngineFixture, person, SITE } from '../engine/fixture.ts';
import { Ed25519SecurityKey } from '../security-key.ts';

/* What the first entries of a log that goes on for another one take along. */

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

/** A site with a security key that counted to 41. */
function siteWithToken(): { fixture: EngineFixture; token: Ed25519SecurityKey } {
  const token = new Ed25519SecurityKey();
  const bundle = testBundle();
  Object.assign(bundle.principals.alice ?? {}, { keys: [{ public_key: token.line }] });
  const fixture = new EngineFixture(bundle);
  cleanups.push(() => fixture.close());
  const decision = fixture.call('decisions.create', { json: ask('restart_service', 'service:relay-2') }).body;
  const { act } = fixture.sign(person('alice'), decision);
  const json = { act, signature: token.sign(act, 'approval@holdfast', { counter: 41 }) };
  const { status } = fixture.call('decisions.approve', { args: { id: String(decision.decision_id) }, json });
  expect(status).toBe(200);
  return { fixture, token };
}

function successorOf(old: SitePaths, vkey: string, origin: string): { paths: SitePaths; vkey: string } {
  const root = mkdtempSync(join(tmpdir(), 'hf-next-'));
  cleanups.push(() => rmSync(root, { recursive: true }));
  const paths = sitePaths(root);
  mkdirSync(paths.keys, { recursive: true, mode: 0o700 });
  const made = createSigningKey(join(paths.keys, 'ledger.key'), `${SITE}/ledger/2`);
  const view = viewLedger(old.ledger, { origin, vkeys: [vkey] });
  const at = {
    paths,
    site: SITE,
    profile: 'dev',
    rootDigest: '0'.repeat(64),
    version: '1',
    signer: loadSigner(join(paths.keys, 'ledger.key')),
    actor: null,
    now: Date.parse('2031-03-02T00:00:00.000Z'),
    floorMs: 0,
  };
  const former = { origin, size: view.size, root: '0'.repeat(64) };
  const missing = { from: view.size, until: null, known_from: null };
  const backup = { file: 'a.age', made_at: '2031-03-01T12:00:00.000Z', keys: false };
  try {
    initializeSuccessor(at, view, { former, backup, missing, from_copy: 0, reason: null });
  } finally {
    view.close();
  }
  return { paths, vkey: made.vkey };
}

function reading<T>(path: string, read: (database: Database) => T): T {
  const database = openDatabase(path, { kind: LEDGER_KIND });
  try {
    return read(database);
  } finally {
    database.close();
  }
}

test('a security key counts on from where it was, through one restore and the next', () => {
  const { fixture, token } = siteWithToken();
  const second = successorOf(fixture.paths, fixture.vkey, `${SITE}/ledger`);
  const counted = (path: string) =>
    reading(path, (database) => new Projections(database).keyCounter(token.fingerprint));
  expect(counted(second.paths.ledger)).toBe(41);
  expect(reading(second.paths.ledger, (database) => checkProjections(database))).toEqual([]);
  // From the entries alone, too, and no row can say otherwise unnoticed.
  expect(rebuildProjections(second.paths.ledger).every(({ repaired }) => repaired === 0)).toBe(true);
  reading(second.paths.ledger, (database) => database.exec('UPDATE key_counters SET counter = 3'));
  const [finding] = reading(second.paths.ledger, (database) => checkProjections(database));
  expect(finding?.where).toContain('key_counters');
  rebuildProjections(second.paths.ledger);
  expect(counted(second.paths.ledger)).toBe(41);

  const third = successorOf(second.paths, second.vkey, `${SITE}/ledger/2`);
  expect(counted(third.paths.ledger)).toBe(41);
});

test('the first entry says what came along, and whether old requests are known again', () => {
  const { fixture, token } = siteWithToken();
  const { paths, vkey } = successorOf(fixture.paths, fixture.vkey, `${SITE}/ledger`);
  const view = viewLedger(paths.ledger, { origin: `${SITE}/ledger/2`, vkeys: [vkey] });
  const first = decodeEntry(view.entry(0) ?? new Uint8Array());
  view.close();
  expect(first).toMatchObject({
    type: 'backup.restored',
    data: {
      backup: { keys: false },
      counters: [{ key: token.fingerprint, counter: 41 }],
      carried: { counters: 1, ended: { held: 0, idempotency: 0 } },
    },
  });
});

test('an act that names the old log counts no more, though the clock of whoever signed it was ahead', () => {
  const { fixture } = siteWithToken();
  const { paths, vkey } = successorOf(fixture.paths, fixture.vkey, `${SITE}/ledger`);
  const view = viewLedger(paths.ledger, { origin: `${SITE}/ledger/2`, vkeys: [vkey] });
  cleanups.push(() => view.close());
  const act = (seen_checkpoint: string | null) =>
    ({ issued_at: '2031-03-02T00:05:00.000Z', seen_checkpoint }) as SignedAct;
  expect(isOfFormerLog(act(`${SITE}/ledger\n7\nx\n`), view)).toBe(true);
  expect(isOfFormerLog(act(`${SITE}/ledger/2\n7\nx\n`), view)).toBe(false);
  expect(isOfFormerLog(act(null), view)).toBe(false);
});
