import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { formatAnchor, parseAnchor } from '../../daemon/formats/anchor.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { openDatabase } from '../../daemon/ledger/database.ts';
import { viewLedger } from '../../daemon/ledger/open.ts';
import { LEDGER_KIND, LEDGER_OBJECTS } from '../../daemon/ledger/schema.ts';
import { extendTileDirectory } from '../../daemon/ledger/tile-directory.ts';
import { MutableLog } from '../core/anchor-log.ts';
import { must } from '../demo/narrator.ts';
import { SITE, Stage } from '../demo/stage.ts';

/* What an auditor can tell from anchors: with real processes, a real stick, and a site that is tampered with. */

const stage = new Stage();
const at = (...names: string[]) => join(stage.dir, ...names);
const trust = at('site.trust');
const anchors = at('anchors');

async function done(...args: string[]): Promise<string> {
  const ran = await stage.holdfast(...args);
  must(ran.code === 0, `${args.join(' ')}: ${ran.stderr}${ran.stdout}`);
  return ran.stdout;
}

async function verify(...args: string[]): Promise<{ code: number | null; text: string }> {
  const { code, stdout, stderr } = await stage.holdfast('anchor', 'verify', ...args);
  return { code, text: `${stdout}${stderr}`.replaceAll(/\s+/g, ' ') };
}

async function happen(times: number, dir = stage.paths.root): Promise<void> {
  for (let n = 0; n < times; n++) {
    await stage.holdfast(
      ...['request', '--dir', dir, '--actor', 'agent:ops-1', '--class', 'read_telemetry'],
      ...['--target', 'sensor:pump-1', '--env', 'production', '--intent', `look ${n}`],
    );
  }
}

const size = async () =>
  ((JSON.parse(await done('anchor', 'list', '--json', '--limit', '1')) as JsonObject).size ?? 0) as number;

beforeAll(async () => {
  await done('init', '--site', SITE, '--profile', 'dev', '--policy', stage.writePolicy());
  await stage.start('daemon');
  await done('site', 'export-trust', trust);
  for (const times of [1, 2, 1]) {
    await happen(times);
    await done('anchor', 'export', '-o', anchors);
  }
}, 120_000);

afterAll(async () => expect(await stage.clear()).toEqual([]));

describe('a site as it should be', () => {
  it('is one history, live and by the anchors alone', async () => {
    expect(await verify(anchors)).toMatchObject({ code: 0, text: expect.stringContaining('ONE HISTORY') });
    const { code, text } = await verify(anchors, '--trust', trust);
    expect([code, text]).toEqual([0, expect.stringContaining('All belong to the same history')]);
    const [newest = ''] = readdirSync(anchors).sort().reverse();
    expect(await verify(join(anchors, newest), join(anchors, newest))).toMatchObject({ code: 0 });
  });

  it('takes the same anchor as a QR code', async () => {
    const png = at('anchor.png');
    await done('anchor', 'export', '--png', png);
    const pictures = readdirSync(stage.dir).filter((name) => name.endsWith('.png'));
    expect(await verify(...pictures.map((name) => at(name)))).toMatchObject({ code: 0 });
  });

  it('has its chain in the outbox, also after a crash came between entry and file', async () => {
    const outbox = join(stage.paths.outbox, 'anchors');
    const before = readdirSync(outbox).sort();
    await stage.end('daemon', 'SIGKILL');
    rmSync(outbox, { recursive: true });
    await stage.start('daemon');
    // Each is written under another name first.
    const there = () => readdirSync(outbox).filter((name) => !name.endsWith('.tmp'));
    await stage.until('the chain to be there again', async () => {
      return existsSync(outbox) && there().length >= before.length;
    });
    expect(there().sort()).toEqual(before);
  });

  it('takes its anchors along on the stick of an import', async () => {
    const stick = at('stick');
    cpSync(join(stage.paths.publisher, 'repository'), stick, { recursive: true });
    expect(await done('import', stick)).toContain('along');
    const folder = join(stick, 'holdfast-anchors', SITE);
    expect(await verify(stick)).toMatchObject({ code: 0 });
    const names = readdirSync(folder);
    // Nothing happened since but that: nothing more to take.
    expect(JSON.parse(await done('import', stick, '--json'))).toMatchObject({
      anchors: { written: [], size: await size(), contradiction: null },
    });
    expect(readdirSync(folder)).toEqual(names);
  });
});

describe('a site that was tampered with', () => {
  const old = at('old');
  const live = () => stage.paths.ledger;

  beforeAll(async () => {
    // A snapshot of everything, as somebody with root would keep it.
    await stage.end('daemon', 'SIGTERM');
    cpSync(stage.paths.root, old, { recursive: true });
    rmSync(join(old, 'run'), { recursive: true, force: true });
    mkdirSync(join(old, 'run'));
    await stage.start('daemon');
    await happen(2);
    await done('anchor', 'export', '-o', anchors);
  }, 120_000);

  it('was rolled back', async () => {
    const ledger = join(old, 'state/ledger.sqlite');
    const { code, text } = await verify(anchors, '--trust', trust, '--ledger', ledger);
    expect([code, text]).toEqual([14, expect.stringContaining('ROLLED BACK')]);
    expect(text).toMatch(/at least \d+ entr(y|ies) (is|are) missing/);
    expect(await verify(anchors, '--dir', old)).toMatchObject({ code: 14 });
  });

  it('had an entry changed', async () => {
    const copy = at('changed.sqlite');
    await stage.end('daemon', 'SIGTERM');
    cpSync(live(), copy);
    const database = openDatabase(copy, { kind: LEDGER_KIND });
    // As somebody would who can write the file: past the triggers, and back with them.
    database.exec('DROP TRIGGER entries_update');
    database.exec(
      `UPDATE entries SET bytes = CAST(replace(CAST(bytes AS TEXT), 'outpost-7', 'outpost-8') AS BLOB) WHERE idx = 6`,
    );
    database.exec(LEDGER_OBJECTS.find(({ name }) => name === 'entries_update')?.sql ?? '');
    database.close();
    const { code, text } = await verify(anchors, '--trust', trust, '--ledger', copy);
    expect([code, text]).toEqual([10, expect.stringContaining('TAMPERED')]);
    expect(text).toContain('entry 6:');
    await stage.start('daemon');
  });

  it('went on from the snapshot under the same key: two histories, to the entry', async () => {
    const other = new Stage();
    cpSync(old, other.paths.root, { recursive: true });
    await other.start('daemon');
    const elsewhere = at('elsewhere');
    try {
      await happen(1, other.paths.root);
      await done('anchor', 'export', '--dir', other.paths.root, '-o', elsewhere);
    } finally {
      await other.end('daemon', 'SIGTERM');
    }
    const { code, text } = await verify(elsewhere, '--against', other.paths.ledger);
    expect([code, text]).toEqual([10, expect.stringContaining('DIVERGES')]);
    expect(text).toMatch(/entry \d+ is the first that differs/);
    const tiles = at('tiles');
    const own = JSON.parse(readFileSync(trust, 'utf8')) as { origin: string; vkeys: string[] };
    const view = viewLedger(live(), own);
    extendTileDirectory(view, tiles, { trust: own });
    view.close();
    const args = ['--trust', trust, '--tiles', tiles, '--against', other.paths.ledger, '--json'];
    const ran = await stage.holdfast('anchor', 'verify', elsewhere, ...args);
    const { ledger } = JSON.parse(ran.stdout) as { ledger: { against: { index: number } } };
    expect(text).toContain(`entry ${ledger.against.index} is the first that differs`);
    await other.clear();
  });

  it('shows two auditors two histories, which their anchors alone prove', async () => {
    const log = MutableLog.of(12);
    const fork = log.fork();
    log.grow(5);
    fork.grow(5, 'another');
    const [left, right] = [at('left'), at('right')];
    for (const [dir, one] of [
      [left, log],
      [right, fork],
    ] as const) {
      mkdirSync(dir);
      writeFileSync(join(dir, 'a.anchor'), one.anchor(0, 12));
      writeFileSync(join(dir, 'b.anchor'), one.anchor(12, 17));
    }
    const foreign = at('foreign.trust');
    writeFileSync(
      foreign,
      JSON.stringify({
        v: 1,
        site: SITE,
        origin: `${SITE}/ledger`,
        profile: 'dev',
        vkeys: [log.vkey],
        root: 'e30=',
      }),
    );
    const { code, text } = await verify(left, right, '--trust', foreign);
    expect([code, text]).toEqual([10, expect.stringContaining('TWO HISTORIES')]);
    expect(text).toContain('the same up to 12 entries');
    expect(await verify(left, '--trust', foreign)).toMatchObject({ code: 0 });
    // The same anchors, of keys that the site's own trust file does not know.
    expect(await verify(left, right, '--trust', trust)).toMatchObject({
      code: 13,
      text: expect.stringContaining('UNKNOWN KEY'),
    });
  });
});

describe('files that are no anchors', () => {
  const [garbage, large, damaged] = [at('garbage.anchor'), at('large.anchor'), at('damaged.anchor')];

  it('count for nothing, and are told', async () => {
    writeFileSync(garbage, 'old\u0007 3\n\nsomething');
    writeFileSync(large, Buffer.alloc(40_000_000));
    for (const path of [garbage, large]) {
      const { code, text } = await verify(anchors, path, '--trust', trust);
      expect([code, text]).toEqual([10, expect.stringContaining('counts for nothing')]);
      expect(text).not.toContain('\u0007');
    }
    expect(await verify(at('nowhere'))).toMatchObject({ code: 2 });
    mkdirSync(at('empty'));
    expect(await verify(at('empty'), '--trust', trust)).toMatchObject({ code: 2 });
  });

  it('are told from two histories where only the proof was damaged', async () => {
    const link = readdirSync(anchors).sort()[2] ?? '';
    const anchor = parseAnchor(readFileSync(join(anchors, link)));
    const proof = anchor.proof.map((hash, index) => (index === 0 ? new Uint8Array(32) : hash));
    writeFileSync(damaged, formatAnchor({ ...anchor, proof }));
    const { code, text } = await verify(anchors, damaged, '--trust', trust);
    expect([code, text]).toEqual([10, expect.stringContaining('does not add up')]);
  });
});
