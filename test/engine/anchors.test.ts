import { afterEach, describe, expect, test } from 'vitest';
import type { Bundle } from '../../daemon/core/bundle.ts';
import { compileBundle } from '../../daemon/core/compile.ts';
import { differences, isDecisionEntry, replayDecision } from '../../daemon/core/replay.ts';
import { checkProjections } from '../../daemon/engine/projection-check.ts';
import { internal, textOf } from '../../daemon/engine/protocol.ts';
import { rebuildProjections } from '../../daemon/engine/rebuild.ts';
import { anchorHead, anchorName, continues, parseAnchor } from '../../daemon/formats/anchor.ts';
import { openCheckpoint } from '../../daemon/formats/checkpoint.ts';
import { sha256Hex } from '../../daemon/formats/digest.ts';
import { publicKeyOf } from '../../daemon/formats/ed25519.ts';
import type { Entry } from '../../daemon/formats/entry.ts';
import { formatVkey } from '../../daemon/formats/signed-note.ts';
import { openDatabase } from '../../daemon/ledger/database.ts';
import { LEDGER_KIND } from '../../daemon/ledger/schema.ts';
import { ask, testBundle } from './bundle.ts';
import { EngineFixture, START } from './fixture.ts';

const HOUR = 3_600_000;
const open: EngineFixture[] = [];

function site(bundle: Bundle = testBundle()): EngineFixture {
  const fixture = new EngineFixture(bundle);
  open.push(fixture);
  return fixture;
}

afterEach(() => {
  for (const fixture of open.splice(0)) fixture.close();
});

const exported = (fixture: EngineFixture, reason = 'demand') =>
  fixture.call('anchors.export', { json: { reason } }).body as unknown as {
    unchanged: boolean;
    old: number;
    size: number;
    record_id: number;
    departed: boolean;
    anchor: string;
  };
const decide = (fixture: EngineFixture) =>
  fixture.call('decisions.create', { json: ask('read_telemetry', 'sensor:t-1') }).body;
const risky = (fixture: EngineFixture) =>
  fixture.call('decisions.create', { json: ask('set_pin', 'door:d-1', { payload: { pin: '1234' } }) }).body;
const entries = (fixture: EngineFixture) =>
  (fixture.call('ledger.entries').body.entries as unknown as { entry: Entry }[]).map(({ entry }) => entry);
const types = (fixture: EngineFixture) => entries(fixture).map(({ type }) => type);
const list = (fixture: EngineFixture) =>
  fixture.call('anchors.list').body as unknown as {
    size: number;
    departed: number | null;
    acknowledged: number | null;
    anchors: { old: number; size: number; departed: boolean }[];
  };

/** The tables are what the entries say, and a rebuild changes nothing. */
function assertTables(fixture: EngineFixture): void {
  const path = fixture.paths.ledger;
  const database = openDatabase(path, { kind: LEDGER_KIND, readonly: true });
  expect(checkProjections(database)).toEqual([]);
  database.close();
}

describe('the chain of anchors', () => {
  test('links each tree head to the one before, under the log’s own signature', () => {
    const fixture = site();
    let before: { size: number; root: Uint8Array } | null = null;
    for (let n = 0; n < 5; n++) {
      for (let i = 0; i <= n * 3; i++) decide(fixture);
      const made = exported(fixture);
      const anchor = parseAnchor(made.anchor);
      const head = openCheckpoint(anchor.checkpoint, { vkeys: [fixture.vkey] });
      expect(made).toMatchObject({ unchanged: false, old: before?.size ?? 0, size: head.size });
      // The entry that says so is above the tree head that left.
      expect(made.record_id).toBeGreaterThanOrEqual(made.size);
      expect(before === null ? continues(anchor) : continues(anchor, before.root)).toBe(true);
      before = head;
    }
    expect(list(fixture).anchors).toHaveLength(5);
    expect(entries(fixture).findLast(({ type }) => type === 'anchor.exported')).toMatchObject({
      stream: 'anchor',
      data: { reason: 'demand', size: before?.size },
    });
    assertTables(fixture);
  });

  test('does not grow by itself: bookkeeping is no news', () => {
    const fixture = site();
    decide(fixture);
    const first = exported(fixture);
    const size = list(fixture).size;
    for (let n = 0; n < 5; n++) expect(exported(fixture, 'schedule')).toEqual({ ...first, unchanged: true });
    fixture.call('anchors.carried', { json: { size: first.size, actor: 'human:alice' } });
    expect(exported(fixture)).toMatchObject({ unchanged: true, departed: true });
    expect(list(fixture).size).toBe(size + 1);
    decide(fixture);
    expect(exported(fixture)).toMatchObject({ unchanged: false, old: first.size });
  });

  test('gives the same bytes whenever they are asked for, restarts or not, and proves from any size', () => {
    const fixture = site();
    const made = [1, 2, 3].map(() => {
      decide(fixture);
      return exported(fixture);
    });
    fixture.reopen();
    const from = (old: number, size?: number) => {
      const args = { old: String(old), ...(size === undefined ? {} : { size: String(size) }) };
      const [reply] = fixture.engine.process([{ ...internal('anchors.from', null), args }]).replies;
      return reply === undefined ? null : { status: reply.status, text: textOf(reply) };
    };
    for (const { old, size, anchor } of made) expect(from(old, size)).toEqual({ status: 200, text: anchor });
    const newest = list(fixture).size;
    for (let old = 0; old <= newest; old++) {
      const anchor = parseAnchor(from(old)?.text ?? '');
      expect([anchor.old, anchorHead(anchor).size]).toEqual([old, newest]);
    }
    expect(from(newest + 1)?.status).toBe(404);
    expect(from(0, newest + 7)?.status).toBe(404);
  });

  test('falls with its batch, and is rebuilt from the entries', () => {
    const fixture = site();
    decide(fixture);
    exported(fixture);
    fixture.reopen();
    decide(fixture);
    exported(fixture);
    fixture.engine.close();
    const repaired = rebuildProjections(fixture.paths.ledger);
    expect(repaired.find(({ table }) => table === 'anchors')).toEqual({
      table: 'anchors',
      rows: 2,
      repaired: 0,
    });
    const database = openDatabase(fixture.paths.ledger, { kind: LEDGER_KIND });
    database.exec('UPDATE anchors SET departed = 3 WHERE old = 0');
    expect(checkProjections(database)).toMatchObject([{ where: expect.stringContaining('anchors[') }]);
    database.close();
    rebuildProjections(fixture.paths.ledger);
    assertTables(fixture);
    fixture.engine = fixture.open();
  });
});

describe('what is known outside', () => {
  const acknowledge = (fixture: EngineFixture, file: string, text: string, key: string) =>
    fixture.call('outbox.acknowledge', {
      json: {
        files: [
          {
            file,
            sha256: sha256Hex(text),
            received_at: '2031-03-02T00:00:00Z',
            vkey: key,
            signature: 'c2ln',
          },
        ],
      },
    });
  const KEY = formatVkey('hq.example', publicKeyOf(new Uint8Array(32).fill(7)));

  test('is told by the bytes that headquarters acknowledged, not by a name', () => {
    const fixture = site({ ...testBundle(), headquarters: { acknowledgement_keys: [KEY] } });
    decide(fixture);
    const first = exported(fixture);
    decide(fixture);
    const second = exported(fixture);
    const nameOf = (link: { old: number; size: number }) => `anchors/${anchorName(link)}`;
    acknowledge(fixture, nameOf(second), 'other bytes', KEY);
    acknowledge(fixture, 'note', first.anchor, KEY);
    expect(list(fixture)).toMatchObject({ departed: null, acknowledged: null });
    acknowledge(fixture, nameOf(first), `${first.anchor} `, KEY);
    expect(list(fixture)).toMatchObject({ departed: null, acknowledged: null });
    // One that joins both links.
    const joined = { old: 0, size: second.size };
    const args = { old: '0', size: String(second.size) };
    const [reply] = fixture.engine.process([{ ...internal('anchors.from', null), args }]).replies;
    acknowledge(fixture, nameOf(joined), reply === undefined ? '' : textOf(reply), KEY);
    expect(list(fixture)).toMatchObject({ departed: second.size, acknowledged: second.size });
    assertTables(fixture);
  });

  test('reaches as far as the newest that was carried', () => {
    const fixture = site();
    decide(fixture);
    const first = exported(fixture);
    decide(fixture);
    const second = exported(fixture);
    expect(fixture.call('anchors.carried', { json: { size: 99_999 } }).status).toBe(404);
    expect(fixture.call('anchors.carried', { json: { size: second.size, actor: null } }).body).toEqual({
      size: second.size,
      recorded: true,
    });
    // An older one says nothing new.
    expect(fixture.call('anchors.carried', { json: { size: first.size } }).body.recorded).toBe(false);
    expect(list(fixture)).toMatchObject({ departed: second.size, acknowledged: null });
    expect(types(fixture).filter((type) => type === 'anchor.carried')).toHaveLength(1);
    assertTables(fixture);
  });
});

/** A policy that demands anchors: warns after a day, escalates after two, denies after three. */
function demanding(changes: Partial<NonNullable<Bundle['anchoring']>> = {}): Bundle {
  const bundle = testBundle();
  bundle.risk.bands.splice(1, 0, { band: 'noticeable', below: 0.35 });
  bundle.authority.routes.push({ id: 'free', bands: ['noticeable'], require: [] });
  const { set_pin } = bundle.actions;
  if (set_pin !== undefined) set_pin.base_risk = 0.32;
  bundle.anchoring = { warn_after: '1d', escalate_after: '2d', deny_after: '3d', ...changes };
  return bundle;
}

function pass(fixture: EngineFixture, hours: number): void {
  fixture.clock.pass(hours * HOUR);
  fixture.engine.tick();
}

const steps = (fixture: EngineFixture) =>
  entries(fixture)
    .filter(({ type }) => type === 'anchor.overdue')
    .map(({ data }) => `${data.environment} ${data.step}`);

interface Status {
  anchors: {
    newest: { size: number } | null;
    demanded: { environment: string; step: string; next: { step: string; at: string } | null }[];
  };
  degraded: { component: string; cause: string; effect: string; instruction: string }[];
}

const status = (fixture: EngineFixture) => fixture.call('status.get').body as unknown as Status;

describe('a policy that demands anchors', () => {
  test('warns, then demands an approval, then denies, and lets go with the next anchor', () => {
    const fixture = site(demanding());
    expect(risky(fixture).status).toBe('authorized');
    pass(fixture, 25);
    expect(risky(fixture).status).toBe('authorized');
    const overdue = status(fixture).degraded.filter(({ component }) => component === 'anchor');
    expect(overdue).toMatchObject([
      { component: 'anchor', effect: expect.stringContaining('Next: escalate') },
      { component: 'anchor' },
    ]);
    pass(fixture, 24);
    expect(risky(fixture)).toMatchObject({
      status: 'pending_authority',
      authority: { required: [{ group: 'anchor-overdue' }] },
    });
    pass(fixture, 24);
    expect(risky(fixture)).toMatchObject({
      status: 'denied',
      policy: { gates: [{ id: 'anchor.overdue', result: 'fail' }] },
    });
    expect(decide(fixture).status).toBe('authorized');
    exported(fixture);
    fixture.engine.tick();
    expect(risky(fixture).status).toBe('authorized');
    expect(steps(fixture).filter((step) => step.startsWith('production'))).toEqual([
      'production warn',
      'production escalate',
      'production deny',
      'production fresh',
    ]);
    expect(status(fixture).anchors.demanded[0]).toMatchObject({ step: 'fresh', next: { step: 'warn' } });
    assertTables(fixture);
  });

  test('is judged as overdue right after a restart, and records no step twice', () => {
    const fixture = site(demanding());
    pass(fixture, 80);
    fixture.reopen();
    expect(risky(fixture).status).toBe('denied');
    fixture.engine.tick();
    expect(steps(fixture)).toEqual(['production deny', 'staging deny']);
  });

  test('lets an anchor count only once it is known outside, where it says so', () => {
    const fixture = site(demanding({ counts: 'left' }));
    pass(fixture, 80);
    const { size } = exported(fixture);
    fixture.engine.tick();
    expect(risky(fixture).status).toBe('denied');
    fixture.call('anchors.carried', { json: { size } });
    fixture.engine.tick();
    expect(risky(fixture).status).toBe('authorized');
  });

  test('holds back the classes that it names, whatever their risk', () => {
    const fixture = site(demanding({ classes: ['read_telemetry'] }));
    pass(fixture, 80);
    expect(risky(fixture).status).toBe('authorized');
    expect(decide(fixture)).toMatchObject({ status: 'denied' });
  });

  test('makes the site export one every so often by itself, also when nothing happens', () => {
    const fixture = site(demanding({ every: '6h' }));
    fixture.engine.tick();
    for (let n = 0; n < 20; n++) pass(fixture, 6);
    fixture.engine.tick();
    const made = entries(fixture).filter(({ type }) => type === 'anchor.exported');
    expect(made).toHaveLength(21);
    expect(new Set(made.map(({ data }) => data.reason))).toEqual(new Set(['policy']));
    expect(steps(fixture)).toEqual([]);
    expect(risky(fixture).status).toBe('authorized');
    assertTables(fixture);
  });

  test('does not deny after a long stop what one anchor mends', () => {
    const fixture = site(demanding({ every: '6h' }));
    fixture.engine.close();
    fixture.clock.pass(90 * HOUR);
    fixture.engine = fixture.open();
    fixture.engine.tick();
    expect(risky(fixture).status).toBe('authorized');
    expect(steps(fixture)).toEqual([]);
  });

  test('counts an anchor made under a dead clock by what time it was at least', () => {
    const fixture = site(demanding());
    decide(fixture);
    fixture.engine.close();
    fixture.clock.boots(Date.parse('1970-01-01T00:00:00Z'));
    fixture.engine = fixture.open();
    exported(fixture);
    const made = entries(fixture).findLast(({ type }) => type === 'anchor.exported');
    expect(made?.time_trust).toBe('uncertain');
    expect(Date.parse(String(made?.data.made_at))).toBeGreaterThanOrEqual(START);
  });

  test('leaves what is needed for replay in the entry', () => {
    const bundle = demanding();
    const fixture = site(bundle);
    const digest = String(decide(fixture).policy_digest);
    for (const hours of [0, 49, 24]) {
      pass(fixture, hours);
      risky(fixture);
    }
    const compiled = compileBundle(bundle, digest);
    const decisions = entries(fixture).filter(isDecisionEntry);
    expect(decisions.map(({ data }) => data.anchoring ?? null)).toEqual([null, null, 'escalate', 'deny']);
    for (const entry of decisions) {
      const { recorded, replayed } = replayDecision(entry, compiled);
      expect(differences(recorded, replayed)).toEqual([]);
    }
    // Without the recorded step the verdict would be another one.
    const [, , , last] = decisions;
    const { anchoring: _, ...data } = last?.data ?? {};
    const { recorded, replayed } = replayDecision({ ...(last as Entry), data }, compiled);
    expect(differences(recorded, replayed)).not.toEqual([]);
  });

  test('that goes away lets go', () => {
    const fixture = site(demanding());
    pass(fixture, 80);
    expect(risky(fixture).status).toBe('denied');
    const relaxed = demanding();
    delete relaxed.anchoring;
    relaxed.metadata.version = 2;
    expect(fixture.apply(relaxed, 2).status).toBe(200);
    expect(risky(fixture).status).toBe('authorized');
    const again = demanding();
    again.metadata.version = 3;
    expect(fixture.apply(again, 3).status).toBe(200);
    expect(risky(fixture).status).toBe('denied');
    fixture.engine.tick();
    expect(steps(fixture)).toEqual(['production deny', 'staging deny']);
  });

  test('of which the durations do not grow is refused', () => {
    const wrong = (anchoring: NonNullable<Bundle['anchoring']>) => () =>
      compileBundle({ ...testBundle(), anchoring }, '0'.repeat(64));
    const good = { warn_after: '1d', escalate_after: '2d', deny_after: '3d' };
    expect(wrong(good)).not.toThrow();
    expect(wrong({ ...good, deny_after: '2d' })).toThrow();
    expect(wrong({ ...good, every: '2d' })).toThrow();
    expect(wrong({ ...good, every: '30s' })).toThrow();
    expect(wrong({ ...good, classes: ['nothing'] })).toThrow();
  });
});
