import { chmodSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type IssuedRecord, ownSpiffeId, Register } from '../../daemon/identity/register.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'holdfast-register-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const print = (letter: string) => letter.repeat(64);
const record = (fingerprint: string, replaces: string | null = null): IssuedRecord => ({
  fingerprint,
  spiffe_id: 'spiffe://outpost-7.example/agent/ops-1',
  name: 'ops-1',
  serial: '40',
  issued_at: '2026-01-01T00:00:00.000Z',
  replaces,
  state: 'active',
});

describe('the register of certificates', () => {
  it('knows what was given out, and nothing else', () => {
    const register = new Register(dir);
    register.add(record(print('a')));
    expect(register.standing(print('a'))).toBe('active');
    expect(register.standing(print('b'))).toBe('unknown');
    expect(register.standing('../../etc/passwd')).toBe('unknown');
    expect(new Register(dir).standing(print('a'))).toBe('active');
  });

  it('ends the old one with the first use of the new one, not before, and for good', () => {
    const register = new Register(dir);
    register.add(record(print('a')));
    register.add(record(print('b'), print('a')));
    expect(register.standing(print('a'))).toBe('active');
    register.seen(print('b'));
    expect([register.standing(print('a')), register.standing(print('b'))]).toEqual(['replaced', 'active']);
    expect(new Register(dir).standing(print('a'))).toBe('replaced');
    register.seen(print('a'));
    expect(register.standing(print('a'))).toBe('replaced');
  });

  it('notices within moments what another process has ended', async () => {
    const [mine, other] = [new Register(dir), new Register(dir)];
    mine.add(record(print('a')));
    expect(mine.standing(print('a'))).toBe('active');
    other.replace(print('a'));
    await pause(300);
    expect(mine.standing(print('a'))).toBe('replaced');
  });

  it.each(['', '{}', '{"fingerprint":1}', 'null', `${' '.repeat(5_000)}`])(
    'lets nobody in by a damaged record: %j',
    (text) => {
      writeFileSync(join(dir, `${print('a')}.json`), text);
      expect(new Register(dir).standing(print('a'))).toBe('unknown');
    },
  );

  it('lets nobody in by a record of another certificate under its name', () => {
    writeFileSync(join(dir, `${print('b')}.json`), JSON.stringify(record(print('a'))));
    expect(new Register(dir).standing(print('b'))).toBe('unknown');
    expect(new Register(dir).list()).toEqual([]);
  });

  it('is for the site alone to read', () => {
    new Register(dir).add(record(print('a')));
    chmodSync(dir, 0o700);
    expect(readdirSync(dir)).toEqual([`${print('a')}.json`]);
  });
});

describe('an ID to be certified', () => {
  it('is of this site', () => {
    expect(ownSpiffeId('spiffe://outpost-7.example/a', 'outpost-7.example')).toBe(
      'spiffe://outpost-7.example/a',
    );
    expect(() => ownSpiffeId('spiffe://outpost-8.example/a', 'outpost-7.example')).toThrow(
      /not an ID of this site/,
    );
    expect(() => ownSpiffeId('outpost-7.example/a', 'outpost-7.example')).toThrow(/SPIFFE ID is/);
  });
});
