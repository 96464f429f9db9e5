import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { canonicalText } from '../../daemon/formats/canonical-json.ts';
import { sha256Hex } from '../../daemon/formats/digest.ts';
import { decodeEntry, type Entry, encodeEntry } from '../../daemon/formats/entry.ts';
import { innerContradiction } from '../../daemon/formats/entry-contradiction.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { actionDigest } from '../../daemon/formats/permit.ts';
import type { Finding } from '../../daemon/ledger/finding.ts';
import { verifyLedger } from '../../daemon/ledger/verify.ts';
import { temporaryDir } from '../host/temporary.ts';
import { attack, copyFiles, create, type Files, filesIn, ORIGIN, SITE, TRUST } from './fixture.ts';

/* Which entry was changed, and which member of it, for every member there is. */

const ENTRIES = 300;
const STREAMS = 5;
const at = (index: number): string => new Date(Date.UTC(2026, 1, 3) + index * 1_000).toISOString();
const action = { class: 'read', intent: 'look', target: { type: 'service', id: 'relay-2' }, payload: {} };

let files: Files;
beforeEach(() => {
  files = filesIn(temporaryDir());
});

const made = new Map<number, Files>();

/** A ledger of five streams that take turns, one entry a second, in batches. Made once for each size of these. */
function grown(batch: number): void {
  const known = made.get(batch);
  if (known === undefined) {
    const fresh = filesIn(mkdtempSync(join(tmpdir(), 'holdfast-blame-')));
    grow(fresh, batch);
    made.set(batch, fresh);
  }
  copyFiles(made.get(batch) ?? files, files);
}

afterAll(() => {
  for (const { ledger } of made.values()) rmSync(dirname(ledger), { recursive: true });
});

function grow(fresh: Files, batch: number): void {
  const ledger = create(fresh);
  for (let index = 0; index < ENTRIES; ) {
    ledger.begin();
    for (let left = batch; left > 0 && index < ENTRIES; left--, index++) {
      const stream = `dec_${index % STREAMS}`;
      const { seq, prev } = ledger.streamHead(stream);
      const data: JsonObject =
        seq === 0 ? { action, action_digest: actionDigest(action) } : { text: `number ${index}` };
      const type = seq === 0 ? 'decision.authorized' : 'permit.redeemed';
      const actor = { id: 'agent:ops-1', role: 'agent' };
      const entry: Entry = {
        v: 1,
        site: SITE,
        type,
        at: at(index),
        time_trust: 'trusted',
        stream,
        seq,
        prev,
        actor,
        data,
      };
      ledger.append(stream, encodeEntry(entry));
    }
    ledger.seal();
    ledger.commit();
  }
  ledger.close();
}

/** Changes an entry in place, in a form that is still an entry's. */
function change(index: number, edit: (entry: Entry) => unknown): void {
  attack(files, (database) => {
    const bytes = database.prepareColumn<Uint8Array>('SELECT bytes FROM entries WHERE idx = ?').get(index);
    const changed = edit(decodeEntry(bytes ?? new Uint8Array(0))) as Entry;
    const canonical = Buffer.from(canonicalText(changed as unknown as JsonObject), 'utf8');
    database.prepare('UPDATE entries SET bytes = ? WHERE idx = ?').run(canonical, index);
  });
}

async function firstFinding(): Promise<Finding> {
  const { code, findings } = await verifyLedger({ ledgerPath: files.ledger, trust: TRUST });
  expect(code).toBe(10);
  const [first] = findings;
  if (first === undefined) throw new Error('nothing was found');
  return first;
}

const other = 'f'.repeat(64);
const CHANGES: [string, (entry: Entry) => unknown, field: string | undefined, words: RegExp][] = [
  ['site', (entry) => ({ ...entry, site: 'outpost-8.example' }), '/site', /of site outpost-8/],
  ['stream', (entry) => ({ ...entry, stream: 'dec_other' }), '/stream', /stream is not that of entry/],
  ['seq', (entry) => ({ ...entry, seq: entry.seq + 1 }), '/seq', /seq is \d+ and should be \d+/],
  ['prev', (entry) => ({ ...entry, prev: other }), '/prev', /prev is not the hash of entry/],
  ['at, back', (entry) => ({ ...entry, at: at(3) }), '/at', /goes back/],
  ['at, forward', (entry) => ({ ...entry, at: '2027-01-01T00:00:00.000Z' }), '/at', /later/],
  ['at, malformed', (entry) => ({ ...entry, at: 'yesterday' }), '/at', /RFC 3339/],
  ['type, unknown', (entry) => ({ ...entry, type: 'permit.forged' }), '/type', /not a known entry type/],
  ['time_trust, unknown', (entry) => ({ ...entry, time_trust: 'total' }), '/time_trust', /unknown/],
  ['v', (entry) => ({ ...entry, v: 2 }), '/v', /must be 1/],
  ['actor, malformed', (entry) => ({ ...entry, actor: { id: 1, role: null } }), '/actor', /actor/],
  [
    'type',
    (entry) => ({ ...entry, type: 'permit.outcome' }),
    undefined,
    /actor, at, time_trust, type or data/,
  ],
  ['time_trust', (entry) => ({ ...entry, time_trust: 'floor' }), undefined, /cannot be told/],
  [
    'actor',
    (entry) => ({ ...entry, actor: { id: 'agent:ops-2', role: 'agent' } }),
    undefined,
    /cannot be told/,
  ],
  ['data', (entry) => ({ ...entry, data: { text: 'something else' } }), undefined, /cannot be told/],
];

describe('an entry that was changed', () => {
  test.each(CHANGES)(
    'in its %s is named, with the member where it can be told',
    async (_, edit, field, words) => {
      for (const [index, batch] of [
        [107, 1],
        [107, 40],
        [280, 1],
      ] as const) {
        files = filesIn(temporaryDir());
        grown(batch);
        change(index, edit);
        const finding = await firstFinding();
        expect(finding).toMatchObject({ what: 'entry', index, where: `entries[${index}]` });
        expect(finding.field).toBe(field);
        expect(finding.detail).toMatch(words);
      }
    },
  );

  test('in the data that it says twice is named with that', async () => {
    grown(1);
    change(2, (entry) => ({ ...entry, data: { ...entry.data, action: { ...action, intent: 'delete' } } }));
    expect(await firstFinding()).toMatchObject({ index: 2, field: '/data/action' });
  });

  test('among others under one checkpoint, before a tile has its hash, is narrowed down to those', async () => {
    grown(40);
    change(290, (entry) => ({ ...entry, data: { text: 'something else' } }));
    expect(await firstFinding()).toMatchObject({ what: 'entry', where: 'entries[290]', index: 290 });
    files = filesIn(temporaryDir());
    grown(40);
    change(299, (entry) => ({ ...entry, data: { text: 'something else' } }));
    expect(await firstFinding()).toMatchObject({ what: 'entry', where: 'entries[280…299]', index: 280 });
  });

  test('is not blamed for a tile that was changed', async () => {
    grown(1);
    attack(files, (database) => {
      const hashes = database.prepareColumn<Uint8Array>('SELECT hashes FROM tiles WHERE id = 0').get();
      const changed = Uint8Array.from(hashes ?? []);
      changed[40 * 32] = (changed[40 * 32] ?? 0) ^ 1;
      database.prepare('UPDATE tiles SET hashes = ? WHERE id = 0').run(changed);
    });
    expect(await firstFinding()).toMatchObject({ what: 'tree', where: 'tile/0/0' });
  });
});

describe('what an entry says twice', () => {
  const data: JsonObject = { action, action_digest: actionDigest(action) };
  const act = { answer: 'approve' };

  test.each<[string, JsonObject, string | null]>([
    ['an action and its digest', data, null],
    ['another action', { ...data, action: { ...action, class: 'write' } }, '/data/action'],
    ['a permit for another action', { ...data, permit: { action_digest: other } }, '/data/permit'],
    ['an action other than that of its permit', { action, permit: { action_digest: other } }, '/data/action'],
    ['an act and its digest', { act, act_digest: sha256Hex(canonicalText(act)) }, null],
    ['another act', { act: { answer: 'reject' }, act_digest: sha256Hex(canonicalText(act)) }, '/data/act'],
    ['a rotation that nobody signed', { statement: 'x' }, '/data/statement'],
    ['nothing', { text: ORIGIN }, null],
  ])('is compared: %s', (_, some, field) => {
    expect(innerContradiction({ data: some })?.field ?? null).toBe(field);
  });
});
