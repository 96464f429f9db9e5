import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { sha256 } from '../../daemon/formats/digest.ts';
import { type DatabaseKind, openDatabase } from '../../daemon/ledger/database.ts';
import { openWitnessStore, type SeenLog } from '../../daemon/ledger/witness-store.ts';
import { codeOf } from '../codes.ts';

const ORIGIN = 'outpost-7.example/ledger';
const KIND: DatabaseKind = { name: 'witness state', applicationId: 0x484c4457, version: 1 };

let path: string;

beforeEach(() => {
  const dir = mkdtempSync(join(tmpdir(), 'hf-witness-store-'));
  path = join(dir, 'witness.sqlite');
  return () => rmSync(dir, { recursive: true, force: true });
});

const head = (size: number, what = 'tree'): SeenLog => ({
  size,
  root: sha256(Buffer.from(`${what} ${size}`)),
  note: `note ${size}`,
  keys: '[]',
  at: '2031-03-01T12:00:00.000Z',
});

describe('what a witness remembers', () => {
  it('moves forwards only, from exactly what was read', () => {
    const store = openWitnessStore(path, { create: true });
    expect(store.read(ORIGIN)).toBeNull();
    expect(store.advance(ORIGIN, null, head(5))).toBe(true);
    expect(store.read(ORIGIN)).toEqual(head(5));
    expect(store.advance(ORIGIN, null, head(9))).toBe(false);
    expect(store.advance(ORIGIN, head(4), head(9))).toBe(false);
    expect(store.advance(ORIGIN, head(5, 'fork'), head(9))).toBe(false);
    expect(store.advance(ORIGIN, head(5), head(4))).toBe(false);
    expect(store.advance(ORIGIN, head(5), head(5, 'fork'))).toBe(false);
    expect(store.advance(ORIGIN, head(5), { ...head(5), at: '2031-03-02T12:00:00.000Z' })).toBe(true);
    expect(store.advance(ORIGIN, head(5), head(9))).toBe(true);
    expect(store.read('other.example/ledger')).toBeNull();
    store.close();
    const again = openWitnessStore(path);
    expect(again.read(ORIGIN)).toEqual(head(9));
    again.close();
  });

  it('lets one of two runs win', () => {
    openWitnessStore(path, { create: true }).close();
    const [a, b] = [openWitnessStore(path), openWitnessStore(path)];
    for (const store of [a, b]) expect(store.read(ORIGIN)).toBeNull();
    expect(b.advance(ORIGIN, null, head(7))).toBe(true);
    expect(a.advance(ORIGIN, null, head(6))).toBe(false);
    const seen = a.read(ORIGIN);
    expect(b.advance(ORIGIN, seen, head(8))).toBe(true);
    expect(a.advance(ORIGIN, seen, head(8, 'fork'))).toBe(false);
    expect(a.read(ORIGIN)).toEqual(head(8));
    a.close();
    b.close();
  });

  it('is never made or mended implicitly', () => {
    expect(codeOf(() => openWitnessStore(path))).toBe('database.missing');
    writeFileSync(path, 'something else');
    expect(codeOf(() => openWitnessStore(path))).toMatch(/^database\./);
    rmSync(path);
    const other = openDatabase(path, { kind: KIND, create: true });
    other.exec('CREATE TABLE seen (origin TEXT)');
    other.close();
    expect(codeOf(() => openWitnessStore(path))).toBe('witness.malformed');
  });

  it('is refused where a row was damaged', () => {
    const store = openWitnessStore(path, { create: true });
    store.advance(ORIGIN, null, head(5));
    store.close();
    const database = openDatabase(path, { kind: KIND });
    database.exec(`UPDATE seen SET root = '${'z'.repeat(64)}'`);
    database.close();
    const again = openWitnessStore(path);
    expect(codeOf(() => again.read(ORIGIN))).toBe('witness.malformed');
    again.close();
  });
});
