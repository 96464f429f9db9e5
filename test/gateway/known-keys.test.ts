import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { signRotation } from '../../daemon/formats/key-rotation.ts';
import { firstLineage, type LogLineage, rotated, succeeded } from '../../daemon/formats/log-keys.ts';
import type { NoteSigner } from '../../daemon/formats/signed-note.ts';
import { KnownKeys } from '../../daemon/gateway/known-keys.ts';
import { writeLineage } from '../../daemon/host/log-lineage.ts';
import { newSigningKey, parseSigningKey } from '../../daemon/host/signer.ts';

const ORIGIN = 'outpost-7.example/ledger';
let dir: string;
let trust: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'holdfast-known-keys-'));
  trust = join(dir, 'trust');
  mkdirSync(trust);
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const signer = (origin = ORIGIN): NoteSigner => parseSigningKey(newSigningKey(origin).text, 'key');
const open = () => KnownKeys.open(trust, join(dir, 'keys.json'));
const vkeys = (known: KnownKeys) => known.keys.map(({ vkey }) => vkey);

function next(log: LogLineage, old: NoteSigner, key: NoteSigner, size: number): LogLineage {
  const rotation = signRotation({ origin: log.origin, size }, old, key);
  return rotated(log, { vkey: key.vkey, size, rotation });
}

describe('the keys that a gateway believes', () => {
  const [a, b, c, thief] = [signer(), signer(), signer(), signer()];
  const first = firstLineage(ORIGIN, a.vkey);
  const second = next(first, a, b, 10);
  const third = next(second, b, c, 20);

  it('follow a rotation without a restart, and no alarm is raised', () => {
    writeFileSync(join(trust, 'ledger.vkey'), `${a.vkey}\n`);
    const known = open();
    const before = known.digest();
    expect(vkeys(known)).toEqual([a.vkey]);
    writeLineage(trust, [third]);
    expect(known.keys).toEqual(third.keys);
    expect(known.digest()).toBe(before);
    expect(vkeys(open())).toEqual([a.vkey, b.vkey, c.vkey]);
  });

  it('are not those that no key before them vouches for', () => {
    writeLineage(trust, [first]);
    const known = open();
    const before = known.digest();
    const forged = rotated(first, {
      vkey: thief.vkey,
      size: 10,
      rotation: signRotation({ origin: ORIGIN, size: 10 }, thief, b),
    });
    for (const log of [forged, firstLineage(ORIGIN, thief.vkey), next(next(first, a, b, 10), a, thief, 20)]) {
      writeLineage(trust, [log]);
      expect(vkeys(known)).not.toContain(thief.vkey);
      expect(known.digest()).not.toBe(before);
    }
  });

  it('are not those of an old key after it was rotated out', () => {
    writeLineage(trust, [second]);
    const known = open();
    const before = known.digest();
    writeLineage(trust, [next(first, a, thief, 10)]);
    expect(vkeys(known)).toEqual([a.vkey, b.vkey]);
    expect(known.digest()).not.toBe(before);
    expect(() => open()).toThrow(/has seen in use/);
  });

  it('do not go back with the trust directory, and a beginning anew is said', () => {
    writeLineage(trust, [second]);
    open();
    writeLineage(trust, [first]);
    expect(() => open()).toThrow(/Put the newer logs.json/);
    rmSync(join(dir, 'keys.json'));
    expect(vkeys(open())).toEqual([a.vkey]);
  });

  it('of a log that goes on for another are those of that log alone', () => {
    writeLineage(trust, [second]);
    open();
    const other = signer(`${ORIGIN}/1`);
    writeLineage(
      trust,
      succeeded([second], { origin: `${ORIGIN}/1`, vkey: other.vkey, size: 15, root: '0'.repeat(64) }),
    );
    const known = open();
    expect(known.origin).toBe(`${ORIGIN}/1`);
    expect(vkeys(known)).toEqual([other.vkey]);
  });

  it('are told from a file of its own that is damaged', () => {
    writeLineage(trust, [second]);
    open();
    const path = join(dir, 'keys.json');
    for (const text of [
      '',
      '{}',
      '{"logs":[]}',
      readFileSync(path, 'utf8').replace('"from":9', '"from":8'),
    ]) {
      writeFileSync(path, text);
      expect(() => open()).toThrow(/which ledger keys this gateway has seen/);
    }
  });

  it('are no alarm when a crash left the second of the two files behind', () => {
    writeLineage(trust, [first]);
    const known = open();
    const before = known.digest();
    writeLineage(trust, [second]);
    writeFileSync(join(trust, 'ledger.vkey'), `${a.vkey}\n`);
    expect(known.digest()).toBe(before);
    writeFileSync(join(trust, 'ledger.vkey'), `${thief.vkey}\n`);
    expect(known.digest()).not.toBe(before);
  });
});
