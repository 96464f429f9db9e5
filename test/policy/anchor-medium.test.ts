import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { anchorName } from '../../daemon/formats/anchor.ts';
import { carryAnchors } from '../../daemon/policy/anchor-medium.ts';
import { MutableLog } from '../core/anchor-log.ts';
import { SITE } from '../engine/fixture.ts';
import { AnchorSite } from './anchor-site.ts';

let site: AnchorSite;
let stick: string;

beforeEach(() => {
  site = new AnchorSite();
  stick = mkdtempSync(join(tmpdir(), 'holdfast-stick-'));
});

afterEach(() => {
  site.close();
  rmSync(stick, { recursive: true, force: true });
});

const folder = () => join(stick, 'holdfast-anchors', SITE);
const carry = (vkey = site.fixture.vkey) =>
  carryAnchors({
    engine: site.engine,
    site: SITE,
    path: stick,
    who: 'human:alice',
    trust: () => ({ origin: `${SITE}/ledger`, vkeys: [vkey] }),
  });
const carried = () => site.fixture.call('anchors.list').body.departed;

describe('anchors on a medium', () => {
  it('are only those that it lacks', async () => {
    site.anchor();
    const first = await carry();
    expect(first).toMatchObject({ directory: folder(), failure: null, contradiction: null });
    expect(first.written).toEqual(readdirSync(folder()));
    expect(carried()).toBe(first.size);
    expect(await carry()).toMatchObject({ written: [], size: first.size });
    const size = site.anchor();
    const before = first.size ?? 0;
    const second = await carry();
    // The chain goes on from what lies there; the medium's own anchor is the newest.
    expect(second.written[0]).toBe(anchorName({ old: before, size }));
    expect(carried()).toBe(second.size);
  });

  it('are written anew where a pulled stick cut one short', async () => {
    site.anchor();
    const { written } = await carry();
    const path = join(folder(), written[0] ?? '');
    const whole = readFileSync(path, 'utf8');
    writeFileSync(path, whole.slice(0, 20));
    site.anchor();
    const again = await carry();
    expect(again.contradiction).toBeNull();
    expect(readFileSync(path, 'utf8')).toBe(whole);
  });

  it('are not put where something else lies, and nothing is said to have left', async () => {
    site.anchor();
    writeFileSync(join(stick, 'holdfast-anchors'), 'a file');
    expect(await carry()).toMatchObject({ size: null, failure: expect.stringContaining('something else') });
    rmSync(join(stick, 'holdfast-anchors'));
    const elsewhere = join(stick, 'elsewhere');
    mkdirSync(elsewhere);
    symlinkSync(elsewhere, join(stick, 'holdfast-anchors'));
    expect(await carry()).toMatchObject({ size: null, failure: expect.stringContaining('something else') });
    expect(readdirSync(elsewhere)).toEqual([]);
    expect(carried()).toBeNull();
  });

  it('that know more than the ledger are told, and nothing is added to them', async () => {
    site.anchor();
    await carry();
    const key = new MutableLog().vkey;
    const log = MutableLog.of(900);
    writeFileSync(join(folder(), anchorName({ old: 0, size: 900 })), log.anchor(0));
    // Signed by nobody that this site knows: anybody may write to a stick.
    expect(await carry()).toMatchObject({ contradiction: null });
    site.anchor();
    const told = await carry(key);
    expect(told).toMatchObject({
      written: [],
      size: null,
      contradiction: { name: anchorName({ old: 0, size: 900 }), size: 900, kind: 'ahead' },
    });
    // One incident, however often the stick is put in.
    const again = await carry(key);
    expect(again.contradiction?.incident_id).toBe(told.contradiction?.incident_id);
    const { incidents } = site.fixture.call('incidents.list').body as unknown as {
      incidents: { incident_id: string; cause: string; halt: object }[];
    };
    expect(incidents).toMatchObject([
      {
        incident_id: told.contradiction?.incident_id,
        cause: 'history_contradicted',
        halt: { scope: 'site' },
      },
    ]);
  });

  it('of another history are told', async () => {
    const size = site.anchor();
    mkdirSync(folder(), { recursive: true });
    const log = MutableLog.of(size);
    writeFileSync(join(folder(), anchorName({ old: 0, size })), log.anchor(0));
    expect(await carry(log.vkey)).toMatchObject({
      written: [],
      contradiction: { size, kind: 'other_history' },
    });
    expect(carried()).toBeNull();
  });
});
