import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { judgePile } from '../../daemon/core/anchor-pile.ts';
import { anchorHead, anchorName, parseAnchor } from '../../daemon/formats/anchor.ts';
import { openCheckpoint } from '../../daemon/formats/checkpoint.ts';
import { sha256Hex } from '../../daemon/formats/digest.ts';
import { publicKeyOf } from '../../daemon/formats/ed25519.ts';
import { formatVkey } from '../../daemon/formats/signed-note.ts';
import { linksFrom } from '../../daemon/policy/anchor-links.ts';
import { AnchorOutbox, anchorFolder } from '../../daemon/policy/anchor-outbox.ts';
import { AnchorSite } from './anchor-site.ts';

const KEY = formatVkey('hq.example', publicKeyOf(new Uint8Array(32).fill(7)));
const open: AnchorSite[] = [];

afterEach(() => {
  for (const site of open.splice(0)) site.close();
});

function opened(keep = 100) {
  const site = new AnchorSite(KEY);
  open.push(site);
  const { inbox, outbox } = site.fixture.paths;
  const folder = join(outbox, 'anchors');
  const anchors = new AnchorOutbox({ engine: site.engine, inbox, outbox, keep });
  const files = () => (existsSync(folder) ? readdirSync(folder).sort() : []);
  return { site, anchors, folder, files, inbox };
}

/** What lies there is one chain from `from` to the newest anchor. */
function assertChain(folder: string, files: readonly string[], from: number, vkey: string): void {
  const links = files.map((name) => {
    const anchor = parseAnchor(readFileSync(join(folder, name)));
    const { size } = openCheckpoint(anchor.checkpoint, { vkeys: [vkey] });
    expect(name).toBe(anchorName({ old: anchor.old, size }));
    return { from: name, anchor };
  });
  let at = from;
  for (const { anchor } of links) {
    expect(anchor.old).toBe(at);
    at = anchorHead(anchor).size;
  }
  expect(judgePile(links)).toMatchObject({ fork: null, unproven: [], unlinked: [] });
}

describe('the outbox', () => {
  it('holds the whole chain, and joins the oldest links when there are too many', async () => {
    const { site, anchors, folder, files } = opened(4);
    for (let n = 0; n < 9; n++) {
      site.anchor();
      await anchors.refresh();
      // What was joined stays for a while: somebody may be reading it.
      expect(files().length).toBeLessThanOrEqual(8);
    }
    const wanted = files().slice(-4);
    const [oldest = ''] = files()
      .filter((name) => name.startsWith('000000000000-'))
      .slice(-1);
    expect(wanted).not.toContain(oldest);
    assertChain(folder, [oldest, ...wanted.slice(1)], 0, site.fixture.vkey);
  });

  it('is made again from the ledger, byte for byte', async () => {
    const { site, anchors, folder, files } = opened();
    for (let n = 0; n < 3; n++) site.anchor();
    await anchors.refresh();
    const before = files().map((name) => readFileSync(join(folder, name), 'utf8'));
    assertChain(folder, files(), 0, site.fixture.vkey);
    const [first = '', second = '', third = ''] = files();
    rmSync(join(folder, first));
    writeFileSync(join(folder, second), 'broken');
    rmSync(join(folder, third));
    symlinkSync('/etc/passwd', join(folder, third));
    writeFileSync(join(folder, 'note'), 'not ours');
    site.fixture.reopen();
    await anchors.refresh();
    expect(files()).toEqual([first, second, third, 'note']);
    expect([first, second, third].map((name) => readFileSync(join(folder, name), 'utf8'))).toEqual(before);
  });

  it('lets go of what headquarters has, and goes on from there', async () => {
    const { site, anchors, folder, files } = opened();
    for (let n = 0; n < 3; n++) site.anchor();
    await anchors.refresh();
    const [first = '', second = '', third = ''] = files();
    const bytes = readFileSync(join(folder, second));
    site.fixture.call('outbox.acknowledge', {
      json: {
        files: [
          {
            file: `anchors/${second}`,
            sha256: sha256Hex(bytes),
            received_at: '2031-03-02T00:00:00Z',
            vkey: KEY,
            signature: 'c2ln',
          },
        ],
      },
    });
    for (const name of [first, second, third]) rmSync(join(folder, name));
    await anchors.refresh();
    expect(files()).toEqual([third]);
    site.anchor();
    await anchors.refresh();
    assertChain(folder, files(), anchorHead(parseAnchor(bytes)).size, site.fixture.vkey);
  });

  it('answers who needs a proof from another size', async () => {
    const { site, anchors, folder, files, inbox } = opened();
    site.anchor();
    const size = site.anchor();
    const asked = join(inbox, 'anchors');
    mkdirSync(asked);
    for (const name of ['wanted-3', 'wanted-0', 'wanted-99', 'wanted-007', 'wanted-x', 'other'])
      writeFileSync(join(asked, name), '');
    expect(await anchors.answer()).toEqual([99]);
    expect(readdirSync(asked).sort()).toEqual(['other', 'wanted-007', 'wanted-x']);
    expect(files()).toEqual([anchorName({ old: 0, size }), anchorName({ old: 3, size })]);
    expect(parseAnchor(readFileSync(join(folder, anchorName({ old: 3, size })))).old).toBe(3);
    expect(await anchors.answer()).toEqual([]);
    // Who knows the newest link, or more, is led to the newest tree head.
    writeFileSync(join(asked, `wanted-${size}`), '');
    expect(await anchors.answer()).toEqual([]);
    expect(files()).toContain(anchorName({ old: size, size: size + 1 }));
  });

  it('gives a log that succeeded another a folder of its own', () => {
    expect(anchorFolder('x.example/ledger')).toBe('anchors');
    expect(anchorFolder('x.example/ledger/2')).toBe('anchors/2');
    expect(anchorFolder('x.example/ledger/../../etc')).toBe('anchors');
  });
});

describe('the links that somebody needs', () => {
  const chain = [
    { old: 30, size: 40 },
    { old: 20, size: 30 },
    { old: 10, size: 20 },
    { old: 0, size: 10 },
  ];

  it('never have a gap', () => {
    expect(linksFrom(chain, 0, 9)).toEqual([...chain].reverse());
    expect(linksFrom(chain, 20, 9)).toEqual([
      { old: 20, size: 30 },
      { old: 30, size: 40 },
    ]);
    expect(linksFrom(chain, 0, 2)).toEqual([
      { old: 0, size: 30 },
      { old: 30, size: 40 },
    ]);
    expect(linksFrom(chain, 40, 2)).toEqual([]);
    expect(linksFrom([], 0, 2)).toEqual([]);
  });
});
