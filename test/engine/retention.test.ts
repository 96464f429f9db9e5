import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { retentionRule } from '../../daemon/core/retention.ts';
import { checkProjections } from '../../daemon/engine/projection-check.ts';
import { rebuildProjections } from '../../daemon/engine/rebuild.ts';
import { newestEntries } from '../../daemon/engine/recent-decisions.ts';
import { type Prepared, planRetention, prepareSegment } from '../../daemon/engine/retention-plan.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { verifyProof } from '../../daemon/formats/tlog-proof.ts';
import { archiveDir } from '../../daemon/ledger/archive.ts';
import { openDatabase } from '../../daemon/ledger/database.ts';
import { LEDGER_KIND } from '../../daemon/ledger/schema.ts';
import { verifyLedger } from '../../daemon/ledger/verify.ts';
import { ask, testBundle } from './bundle.ts';
import { EngineFixture, SITE } from './fixture.ts';

const DAY = 86_400_000;
const ORIGIN = `${SITE}/ledger`;
const SECTION = {
  archive_after: '30d',
  keep_entries_for: '365d',
  envelopes_for: '60d',
  segment_size: 256,
} as const;

const open: EngineFixture[] = [];

function site(retention: object | null = SECTION): EngineFixture {
  const fixture = new EngineFixture(testBundle(retention === null ? {} : ({ retention } as never)));
  open.push(fixture);
  return fixture;
}

afterEach(() => {
  for (const fixture of open.splice(0)) fixture.close();
});

/** Requests that are denied: one entry each, closed at once. */
function deny(fixture: EngineFixture, count: number): string[] {
  return Array.from({ length: count }, (_, at) =>
    String(fixture.call('decisions.create', { json: ask('wipe_storage', `disk:d-${at}`) }).body.decision_id),
  );
}

/** The next segment by the rule in force, its file written as a round does. */
function prepare(fixture: EngineFixture): {
  prepared: Prepared | null;
  held: { decision: string; why: string }[];
} {
  const { ledger } = fixture.paths;
  const database = openDatabase(ledger, { kind: LEDGER_KIND, readonly: true });
  try {
    const plan = planRetention(database, retentionRule(SECTION), fixture.clock.now(), 1);
    const [candidate] = plan.candidates;
    const task = { directory: archiveDir(ledger), origin: ORIGIN };
    return {
      prepared: candidate === undefined ? null : prepareSegment(database, task, candidate),
      held: plan.held,
    };
  } finally {
    database.close();
  }
}

function archive(
  fixture: EngineFixture,
  prepared = prepare(fixture).prepared,
): ReturnType<EngineFixture['call']> {
  if (prepared === null) throw new Error('nothing to archive');
  return fixture.call('retention.archived', { json: prepared as never });
}

function clearAll(fixture: EngineFixture): void {
  for (let round = 0; round < 10; round++) fixture.engine.tick();
}

function carry(fixture: EngineFixture, changes: JsonObject = {}): ReturnType<EngineFixture['call']> {
  const [segment] = fixture.call('retention.get').body.segments as { first: number; sha256: string }[];
  const json = { first: segment?.first ?? 0, sha256: segment?.sha256 ?? '', to: 'cabinet 3', ...changes };
  return fixture.call('retention.carry', { json });
}

const rowsIn = (fixture: EngineFixture): number => {
  const database = openDatabase(fixture.paths.ledger, { kind: LEDGER_KIND, readonly: true });
  const rows = database.prepareColumn<number>('SELECT count(*) FROM entries').get() ?? 0;
  database.close();
  return rows;
};

const verify = (fixture: EngineFixture) =>
  verifyLedger({
    ledgerPath: fixture.paths.ledger,
    trust: { origin: ORIGIN, vkeys: [fixture.vkey] },
    inPlace: true,
    projectionChecks: checkProjections,
  });

describe('a closed segment that is old enough', () => {
  test('moves into its archive file, and everything about it can still be asked', async () => {
    const fixture = site();
    const decisions = deny(fixture, 300);
    const [some = ''] = decisions.slice(100);
    const before = fixture.call('decisions.get', { args: { id: some } }).body;
    const replayed = fixture.call('decisions.replay', { args: { id: some } }).body;
    fixture.clock.pass(31 * DAY);
    const { status, body } = archive(fixture);
    expect(status).toBe(200);
    const proven = verifyProof(String(body.proof), { origin: ORIGIN, vkeys: [fixture.vkey] });
    expect(JSON.parse(Buffer.from(proven.leaf).toString('utf8'))).toMatchObject({
      type: 'ledger.pruned',
      stream: 'retention',
      data: {
        step: 'archived',
        first: 0,
        until: 256,
        rule: { archive_after: '30d', policy: 'engine-test@1' },
      },
    });
    const rows = rowsIn(fixture);
    clearAll(fixture);
    expect(rowsIn(fixture)).toBeLessThan(rows - 200);
    const after = fixture.call('decisions.get', { args: { id: some } }).body;
    expect({ ...after, ledger: null }).toEqual({ ...before, ledger: null });
    expect(fixture.call('decisions.replay', { args: { id: some } }).body).toEqual(replayed);
    expect(
      (fixture.call('ledger.entries', { args: { from: '0', limit: '256' } }).body.entries as []).length,
    ).toBe(256);
    expect(await verify(fixture)).toMatchObject({ code: 0, findings: [], archive: { segments: 1 } });
    fixture.reopen();
    expect(fixture.call('decisions.get', { args: { id: some } }).body).toMatchObject({ decision_id: some });
    expect(fixture.reports).toEqual([]);
  });

  test('stays in the table until its removal is done, however often that is cut off', async () => {
    const fixture = site();
    deny(fixture, 600);
    fixture.clock.pass(31 * DAY);
    archive(fixture);
    archive(fixture);
    for (let round = 0; round < 6; round++) {
      fixture.reopen();
      fixture.engine.tick();
      expect(await verify(fixture)).toMatchObject({ code: 0 });
    }
    expect(rowsIn(fixture)).toBeLessThan(150);
  });

  test('is rebuilt from its file, and not without it', () => {
    const fixture = site();
    deny(fixture, 300);
    fixture.clock.pass(31 * DAY);
    archive(fixture);
    clearAll(fixture);
    fixture.engine.close();
    const report = rebuildProjections(fixture.paths.ledger);
    expect(report.filter(({ repaired }) => repaired > 0)).toEqual([]);
    const file = join(archiveDir(fixture.paths.ledger), '000000000000-000000000256.entries.zst');
    renameSync(file, `${file}.away`);
    expect(() => rebuildProjections(fixture.paths.ledger)).toThrow(/No table was changed/);
    renameSync(`${file}.away`, file);
    fixture.engine = fixture.open();
  });
});

describe('what may not move', () => {
  test('stays: without a rule, too young, in part, twice, from another file', () => {
    const fixture = site();
    deny(fixture, 300);
    expect(prepare(fixture)).toEqual({ prepared: null, held: [] });
    fixture.clock.pass(31 * DAY);
    const { prepared } = prepare(fixture);
    if (prepared === null) throw new Error('nothing prepared');
    const code = (changes: object) => archive(fixture, { ...prepared, ...changes }).body.code;
    expect(code({ first: 3 })).toBe('retention.wrong_segment');
    expect(code({ until: 1_024 })).toBe('retention.wrong_segment');
    expect(code({ file: { ...prepared.file, sha256: '0'.repeat(64) } })).toBe('retention.wrong_copy');
    const size = fixture.call('ledger.entries', { args: { limit: '1' } }).body.size;
    fixture.clock.pass(-2 * DAY);
    fixture.clock.mono += 4 * DAY;
    expect(archive(fixture, prepared).body.code).toBe('retention.too_young');
    fixture.clock.pass(2 * DAY);
    expect(fixture.call('ledger.entries', { args: { limit: '1' } }).body.size).toBeGreaterThanOrEqual(
      Number(size),
    );
    const other = site(null);
    expect(other.call('retention.archived', { json: prepared as never }).body.code).toBe('retention.no_rule');
  });

  test('is named with its reason: a decision that is open, or held', () => {
    const fixture = site();
    const [denied = ''] = deny(fixture, 10);
    const { body } = fixture.call('decisions.create', { json: ask('restart_service', 'service:s-1') });
    deny(fixture, 300);
    fixture.clock.pass(31 * DAY);
    expect(prepare(fixture).held).toEqual([
      { first: 0, until: 256, decision: body.decision_id, why: 'it is not closed' },
    ]);
    clearAll(fixture);
    const hold = { decision: denied, reason: 'asked for by a court', actor: { id: 'olga' } };
    expect(fixture.call('retention.hold', { json: hold }).status).toBe(200);
    expect(fixture.call('retention.hold', { json: hold }).body.code).toBe('retention.held');
    expect(prepare(fixture).held).toEqual([{ first: 0, until: 256, decision: denied, why: 'it is held' }]);
    expect(fixture.call('retention.release', { json: hold }).status).toBe(200);
    expect(fixture.call('retention.release', { json: hold }).body.code).toBe('retention.not_held');
    expect(prepare(fixture).prepared).not.toBeNull();
  });

  test('an altered file keeps its entries in the table', () => {
    const fixture = site();
    deny(fixture, 300);
    fixture.clock.pass(31 * DAY);
    expect(archive(fixture).status).toBe(200);
    const file = join(archiveDir(fixture.paths.ledger), '000000000000-000000000256.entries.zst');
    const bytes = readFileSync(file);
    bytes[40] = (bytes[40] ?? 0) ^ 1;
    writeFileSync(file, bytes);
    const rows = rowsIn(fixture);
    fixture.reopen();
    clearAll(fixture);
    expect(rowsIn(fixture)).toBeGreaterThanOrEqual(rows);
    expect(String(fixture.reports[0])).toMatch(/was changed/);
  });
});

describe('an archive file', () => {
  function archived(): { fixture: EngineFixture; decisions: string[]; file: string } {
    const fixture = site();
    const decisions = deny(fixture, 300);
    fixture.clock.pass(31 * DAY);
    archive(fixture);
    const file = join(archiveDir(fixture.paths.ledger), '000000000000-000000000256.entries.zst');
    return { fixture, decisions, file };
  }

  test('may be carried off when it is old enough and a true copy exists, and then its absence is no damage', async () => {
    const { fixture, decisions, file } = archived();
    fixture.clock.pass(400 * DAY);
    expect(carry(fixture).body.code).toBe('retention.wrong_segment');
    clearAll(fixture);
    expect(carry(fixture, { sha256: '0'.repeat(64) }).body.code).toBe('retention.wrong_copy');
    expect(carry(fixture, { first: 256 }).body.code).toBe('retention.not_archived');
    expect(carry(fixture).body).toMatchObject({
      again: false,
      file: '000000000000-000000000256.entries.zst',
    });
    expect(carry(fixture).body).toMatchObject({ again: true });
    rmSync(file);
    fixture.reopen();
    const [, some = ''] = decisions;
    expect(fixture.call('decisions.get', { args: { id: some } }).body).toMatchObject({
      code: 'ledger.archived',
    });
    const page = fixture.call('decisions.list', { args: { limit: '200', after: decisions[150] ?? '' } }).body;
    expect(page).toMatchObject({ decisions: [], elsewhere: expect.arrayContaining([some]) });
    const report = await verify(fixture);
    expect(report.findings).toEqual([]);
    expect(report).toMatchObject({
      code: 0,
      archive: { elsewhere: [{ first: 0, until: 256, to: 'cabinet 3' }] },
    });
    expect(fixture.reports).toEqual([]);
  });

  test('stays while the policy says so, or one of its decisions is held', () => {
    const { fixture, decisions } = archived();
    clearAll(fixture);
    expect(carry(fixture).body.code).toBe('retention.too_young');
    fixture.clock.pass(400 * DAY);
    const hold = { decision: decisions[5] ?? '', reason: 'asked for by a court' };
    expect(fixture.call('retention.hold', { json: hold }).status).toBe(200);
    expect(carry(fixture).body.code).toBe('retention.held');
  });
});

describe('envelopes past their time', () => {
  test('are destroyed for closed decisions that nobody holds', () => {
    const fixture = site();
    const pin = () =>
      fixture.call('decisions.create', { json: ask('set_pin', 'door:d-1', { payload: { pin: '4711' } }) })
        .body;
    const ids = [pin(), pin(), pin()].map(({ decision_id: id }) => String(id));
    const envelopes = () => fixture.call('retention.get').body.envelopes;
    expect(envelopes()).toBe(3);
    fixture.clock.pass(61 * DAY);
    expect(fixture.call('retention.shred', { json: {} }).body).toMatchObject({ shredded: 0 });
    clearAll(fixture);
    fixture.call('retention.hold', { json: { decision: ids[0] ?? '', reason: 'asked for by a court' } });
    expect(fixture.call('retention.shred', { json: {} }).body).toMatchObject({ shredded: 2, next: null });
    expect(envelopes()).toBe(1);
    const young = pin();
    expect(fixture.call('retention.shred', { json: {} }).body).toMatchObject({ shredded: 0 });
    expect(young.decision_id).toBeDefined();
    expect(envelopes()).toBe(2);
  });
});

test('the newest entries are read as far back as they are here', () => {
  const fixture = site();
  deny(fixture, 300);
  fixture.clock.pass(31 * DAY);
  archive(fixture);
  clearAll(fixture);
  const trust = { origin: ORIGIN, vkeys: [fixture.vkey] };
  const read = () => [...newestEntries(fixture.paths.ledger, trust, 1_000)].map(({ index }) => index);
  const all = read();
  expect(all.at(-1)).toBe(0);
  rmSync(join(archiveDir(fixture.paths.ledger), '000000000000-000000000256.entries.zst'));
  expect(read()).toEqual(all.filter((index) => index >= 256));
});
