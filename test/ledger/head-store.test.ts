import { beforeEach, describe, expect, test } from 'vitest';
import { openHeadStore } from '../../daemon/ledger/head-store.ts';
import { temporaryDir } from '../host/temporary.ts';
import { commitBatch, create, type Files, filesIn, ORIGIN } from './fixture.ts';

let files: Files;

beforeEach(() => {
  files = filesIn(temporaryDir());
});

/** Checkpoints of a growing ledger, one entry apart. */
function checkpoints(count: number): string[] {
  const ledger = create(files);
  const notes = Array.from({ length: count }, () => commitBatch(ledger, ['system']));
  ledger.close();
  return notes;
}

const HASH = { a: 'a'.repeat(64), b: 'b'.repeat(64) };

describe('the head store', () => {
  test('is never made by opening it', () => {
    expect(() => openHeadStore(files.head)).toThrow(/is missing; nothing was created/);
  });

  test('keeps the newest checkpoint over processes', () => {
    const [first, second] = checkpoints(2) as [string, string];
    const store = openHeadStore(files.head);
    expect(store.read(ORIGIN)).toMatchObject({ size: 0, note: null, floorMs: 0 });
    expect(store.advanceTo(first)).toBe(true);
    expect(store.advanceTo(first)).toBe(false);
    expect(store.advanceTo(second)).toBe(true);
    store.close();
    const again = openHeadStore(files.head);
    expect(again.read(ORIGIN)).toMatchObject({ size: 2, note: second });
    expect(again.read('other.example/ledger')).toBeNull();
    again.close();
  });

  test('lets only one of two writers win', () => {
    const [first, second, third] = checkpoints(3) as [string, string, string];
    const one = openHeadStore(files.head);
    const other = openHeadStore(files.head);
    one.read(ORIGIN);
    other.read(ORIGIN);
    one.advanceTo(first);
    expect(() => other.advanceTo(second)).toThrow(/another process wrote/);
    expect(one.read(ORIGIN)?.size).toBe(1);
    one.advanceTo(third);
    one.close();
    other.close();
  });

  test('never moves backwards, sideways, or from where it is not', () => {
    checkpoints(1);
    const store = openHeadStore(files.head);
    const empty = store.read(ORIGIN) ?? expect.fail('no head');
    const at5 = { size: 5, root: HASH.a, note: 'five' };
    expect(store.advance(ORIGIN, at5, { size: 6, root: HASH.b, note: 'six' })).toBe(false);
    expect(store.advance(ORIGIN, empty, at5)).toBe(true);
    expect(store.advance(ORIGIN, at5, { size: 4, root: HASH.b, note: 'four' })).toBe(false);
    expect(store.advance(ORIGIN, at5, { size: 5, root: HASH.b, note: 'fork' })).toBe(false);
    expect(store.advance(ORIGIN, { ...at5, root: HASH.b }, { size: 6, root: HASH.b, note: 'six' })).toBe(
      false,
    );
    expect(store.advance('other', at5, { size: 6, root: HASH.b, note: 'six' })).toBe(false);
    expect(store.advance(ORIGIN, at5, { ...at5, note: 'five, cosigned' })).toBe(true);
    expect(store.read(ORIGIN)).toMatchObject({ size: 5, root: HASH.a, note: 'five, cosigned' });
    store.close();
  });

  test('raises the floor freely and lowers it only from where it is', () => {
    checkpoints(1);
    const store = openHeadStore(files.head);
    expect(store.raiseFloor(ORIGIN, 1_000)).toBe(true);
    expect(store.raiseFloor(ORIGIN, 999)).toBe(false);
    expect(store.raiseFloor(ORIGIN, 1_785_000_000_000)).toBe(true);
    expect(store.setFloor(ORIGIN, 1_000, 2_000)).toBe(false);
    expect(store.setFloor(ORIGIN, 1_785_000_000_000, 2_000)).toBe(true);
    expect(store.read(ORIGIN)?.floorMs).toBe(2_000);
    store.close();
  });

  test('enrolls an origin once', () => {
    checkpoints(1);
    const store = openHeadStore(files.head);
    store.enroll('outpost-7.example/ledger/2');
    expect(store.read('outpost-7.example/ledger/2')?.size).toBe(0);
    expect(() => store.enroll(ORIGIN)).toThrow(/knows outpost-7.example\/ledger already/);
    store.close();
  });

  test('refuses the checkpoint of a log that it does not know', () => {
    const [note] = checkpoints(1) as [string];
    const store = openHeadStore(files.head);
    expect(() => store.advanceTo(note.replace(ORIGIN, 'else.example/ledger'))).toThrow(
      /another process wrote/,
    );
    store.close();
  });
});
