import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { openCheckpoint } from '../../daemon/formats/checkpoint.ts';
import { toHex } from '../../daemon/formats/digest.ts';
import { encodeEntry } from '../../daemon/formats/entry.ts';
import { signRotation } from '../../daemon/formats/key-rotation.ts';
import {
  firstLineage,
  keysOfLogs,
  type LogKey,
  type LogVkey,
  succeeded,
} from '../../daemon/formats/log-keys.ts';
import type { LedgerWriter } from '../../daemon/ledger/append.ts';
import type { NoteSigner } from '../../daemon/ledger/ledger.ts';
import { createLedger, viewLedger } from '../../daemon/ledger/open.ts';
import { extendTileDirectory } from '../../daemon/ledger/tile-directory.ts';
import { verifyLedger } from '../../daemon/ledger/verify.ts';
import { verifyTileDirectory } from '../../daemon/ledger/verify-tiles.ts';
import { temporaryDir } from '../host/temporary.ts';
import { type Files, filesIn, grow, ORIGIN, SITE, signerOf } from './fixture.ts';

/* Ledgers whose keys changed, and logs that go on for others: made by hand, signed by whoever it takes. */

const [first, second, third, thief] = [signerOf(1), signerOf(2), signerOf(3), signerOf(66)];
const NEXT = `${ORIGIN}/1`;
let files: Files;
beforeEach(() => {
  files = filesIn(temporaryDir());
});

const create = (signer: NoteSigner, origin = ORIGIN): LedgerWriter =>
  createLedger({ path: files.ledger, headPath: files.head, origin, signer });
const verify = (vkeys: readonly LogVkey[], origin = ORIGIN) =>
  verifyLedger({ ledgerPath: files.ledger, trust: { origin, vkeys } });

/** Changes the key as the engine does, by whoever signs the statement. Returns the statement's size. */
function rotate(ledger: LedgerWriter, old: NoteSigner, next: NoteSigner): number {
  ledger.begin();
  const size = ledger.size + 1;
  const { seq, prev } = ledger.streamHead('keys');
  const statement = signRotation({ origin: ledger.origin, size }, old, next);
  const data = { name: 'ledger', old: old.vkey, new: next.vkey, size, statement };
  ledger.append(
    'keys',
    encodeEntry({
      v: 1,
      site: SITE,
      type: 'key.rotated',
      at: '2026-02-03T04:05:06.789Z',
      time_trust: 'trusted',
      stream: 'keys',
      seq,
      prev,
      actor: { id: null, role: 'system' },
      data,
    }),
  );
  ledger.changeKey(next);
  ledger.seal();
  ledger.commit();
  return size;
}

describe('a ledger whose key changed twice', () => {
  let at: [number, number];
  let known: LogKey[];
  beforeEach(() => {
    const ledger = create(first);
    grow(ledger, 40, 7);
    const one = rotate(ledger, first, second);
    grow(ledger, 300, 30);
    const two = rotate(ledger, second, third);
    grow(ledger, 20, 5);
    ledger.close();
    at = [one, two];
    known = [
      { vkey: first.vkey, from: 0, until: one - 1 },
      { vkey: second.vkey, from: one - 1, until: two - 1 },
      { vkey: third.vkey, from: two - 1, until: null },
    ];
  });

  test('verifies for who knows all keys, and nothing had to be followed', async () => {
    const report = await verify(known);
    expect(report).toMatchObject({ code: 0 });
    expect(report).not.toHaveProperty('followed');
  });

  test('verifies for who knows the first, or the first two', async () => {
    const followed = [
      { vkey: second.vkey, from: at[0] - 1 },
      { vkey: third.vkey, from: at[1] - 1, until: null },
    ];
    expect(await verify([first.vkey])).toMatchObject({ code: 0, followed });
    expect(await verify([{ vkey: first.vkey, from: 0, until: null }])).toMatchObject({ code: 0, followed });
    const two = [known[0], { vkey: second.vkey, from: at[0] - 1, until: null }] as LogKey[];
    expect(await verify(two)).toMatchObject({ code: 0, followed: [{ vkey: third.vkey }] });
  });

  test('is told the same as a tile directory', async () => {
    const directory = join(temporaryDir(), 'tiles');
    const view = viewLedger(files.ledger, { origin: ORIGIN, vkeys: known });
    extendTileDirectory(view, directory, { trust: { origin: ORIGIN, vkeys: known } });
    view.close();
    const told = (vkeys: readonly LogVkey[]) =>
      verifyTileDirectory({ directory, trust: { origin: ORIGIN, vkeys } });
    expect(await told(known)).toMatchObject({ code: 0 });
    expect(await told([first.vkey])).toMatchObject({ code: 0, followed: [{}, { vkey: third.vkey }] });
    expect(await told([thief.vkey])).toMatchObject({ code: 13 });
    // Whose time was over before the directory's checkpoint was made.
    expect(await told(known.slice(0, 2))).toMatchObject({ code: 13 });
  });

  test('does not verify for who knows the last alone, or a stranger', async () => {
    const last = await verify([known[2] as LogKey]);
    expect(last.code).toBe(13);
    expect(last.findings.every(({ what, code }) => what === 'checkpoint' && code === 13)).toBe(true);
    expect(await verify([thief.vkey])).toMatchObject({ code: 13 });
  });
});

describe('a key that no statement leads to', () => {
  test('is not followed, whoever says so in the ledger', async () => {
    const ledger = create(first);
    grow(ledger, 10, 5);
    // The entry claims that the first key vouches; the statement is the thief's own.
    rotate(ledger, thief, second);
    grow(ledger, 10, 5);
    ledger.close();
    const report = await verify([first.vkey]);
    expect(report).toMatchObject({ code: 13 });
    expect(report).not.toHaveProperty('followed');
  });

  test('is not followed from a key whose time was over', async () => {
    const ledger = create(first);
    grow(ledger, 10, 5);
    const size = rotate(ledger, first, thief);
    grow(ledger, 10, 5);
    ledger.close();
    const trust = [
      { vkey: first.vkey, from: 0, until: 8 },
      { vkey: second.vkey, from: 8, until: null },
    ];
    const report = await verify(trust);
    expect(report.code).toBe(13);
    expect(report.findings.map(({ where }) => where)).toContain(`checkpoints[${size}]`);
  });
});

describe('a log that another goes on for', () => {
  const successor = signerOf(9, NEXT);

  /** The old log with `size` entries, and what a trust file says after it was closed at `closed`. */
  function closed(size: number, at: number): LogKey[] {
    const ledger = create(first);
    grow(ledger, size, 5);
    const note = ledger.checkpoint() ?? '';
    ledger.close();
    const { root } = openCheckpoint(note, { vkeys: [first.vkey] });
    const head = { origin: NEXT, vkey: successor.vkey, size: at, root: toHex(root) };
    return keysOfLogs(succeeded([firstLineage(ORIGIN, first.vkey)], head));
  }

  test('verifies up to where it was closed, by the trust file of the new one', async () => {
    expect(await verify(closed(25, 25), NEXT)).toMatchObject({ code: 0, origin: ORIGIN });
  });

  test('is refused where it goes on behind that, and where it ends before', async () => {
    const further = await verify(closed(35, 25), NEXT);
    expect(further).toMatchObject({
      code: 13,
      findings: [{ where: 'checkpoints[30]' }, { where: 'checkpoints[35]' }],
    });
    expect(further.findings[0]?.detail).toContain('its log closed, after size 25');
    files = filesIn(temporaryDir());
    const cut = await verify(closed(20, 25), NEXT);
    expect(cut).toMatchObject({ code: 14, findings: [{ detail: expect.stringContaining('had 25') }] });
  });

  test('is changed where it is not the one that was closed, whoever has its key', async () => {
    const ledger = create(first);
    grow(ledger, 25, 5);
    ledger.close();
    const root = '5c'.repeat(32);
    const logs = succeeded([firstLineage(ORIGIN, first.vkey)], {
      origin: NEXT,
      vkey: successor.vkey,
      size: 25,
      root,
    });
    const trust = { origin: NEXT, vkeys: keysOfLogs(logs), logs };
    const finding = { what: 'checkpoint', where: 'size 25', detail: expect.stringContaining('was closed') };
    const expected = { code: 10, origin: ORIGIN, findings: [finding] };
    expect(await verifyLedger({ ledgerPath: files.ledger, trust })).toMatchObject(expected);
    const directory = join(temporaryDir(), 'tiles');
    const own = { origin: ORIGIN, vkeys: [first.vkey] };
    const view = viewLedger(files.ledger, own);
    extendTileDirectory(view, directory, { trust: own });
    view.close();
    expect(await verifyTileDirectory({ directory, trust })).toMatchObject(expected);
  });

  test('does not stand for the new one, nor the new one for it', async () => {
    const trust = closed(25, 25);
    files = filesIn(temporaryDir());
    const ledger = create(successor, NEXT);
    grow(ledger, 10, 5);
    ledger.close();
    const report = await verify(trust, NEXT);
    expect(report).toMatchObject({ code: 0 });
    expect(report).not.toHaveProperty('origin');
    expect((await verify(trust.slice(0, 1), NEXT)).code).toBe(13);
  });
});
