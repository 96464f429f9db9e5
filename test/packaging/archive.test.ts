import fc from 'fast-check';
import { extract } from 'tar-stream';
import { describe, expect, it } from 'vitest';
import { ARCHIVE_TIME, ar, gzip, type Member, tar, zstd } from '../../packaging/archive.ts';

interface Found {
  name: string;
  type: string;
  mode: number;
  uid: number;
  time: number;
  content: string;
}

async function untar(bytes: Uint8Array): Promise<Found[]> {
  const found: Found[] = [];
  const reader = extract();
  reader.end(Buffer.from(bytes));
  for await (const entry of reader) {
    const chunks: Uint8Array[] = [];
    for await (const chunk of entry) chunks.push(chunk as Uint8Array);
    const { name, type, mode, uid, mtime } = entry.header;
    const content = Buffer.concat(chunks).toString();
    found.push({
      name,
      type: type ?? '',
      mode: mode ?? 0,
      uid: uid ?? -1,
      time: mtime?.getTime() ?? 0,
      content,
    });
  }
  return found;
}

const text = (path: string, content: string, mode = 0o644): Member => ({
  path,
  mode,
  content: Buffer.from(content),
});

describe('tar', () => {
  it('has each directory once and before what is in it, all of root and of one time', async () => {
    const found = await untar(await tar([text('usr/share/b', 'B'), text('usr/bin/a', 'A', 0o755)], './'));
    expect(found.map(({ name, type, mode }) => [name, type, mode.toString(8)])).toEqual([
      ['./usr/', 'directory', '755'],
      ['./usr/bin/', 'directory', '755'],
      ['./usr/bin/a', 'file', '755'],
      ['./usr/share/', 'directory', '755'],
      ['./usr/share/b', 'file', '644'],
    ]);
    expect(new Set(found.map(({ uid, time }) => `${uid} ${time}`))).toEqual(
      new Set([`0 ${ARCHIVE_TIME.getTime()}`]),
    );
  });

  it('does not depend on the order of its members, and gives back what went in', async () => {
    const name = fc.stringMatching(/^[a-z]{1,12}(\/[a-z]{1,12}){0,3}$/);
    const members = fc.uniqueArray(fc.record({ path: name, content: fc.string({ maxLength: 2_000 }) }), {
      selector: ({ path }) => path,
      maxLength: 8,
    });
    await fc.assert(
      fc.asyncProperty(members, async (all) => {
        // A file cannot be a directory, too.
        fc.pre(all.every(({ path }) => !all.some((other) => other.path.startsWith(`${path}/`))));
        const files = all.map(({ path, content }) => text(path, content));
        const bytes = await tar(files, '');
        expect(await tar([...files].reverse(), '')).toEqual(bytes);
        const back = (await untar(bytes)).filter(({ type }) => type === 'file');
        expect(new Map(back.map((one) => [one.name, one.content]))).toEqual(
          new Map(all.map(({ path, content }) => [path, Buffer.from(content).toString()])),
        );
      }),
      { numRuns: 40 },
    );
  });

  it('refuses two files of one name', async () => {
    await expect(tar([text('a', '1'), text('a', '2')], '')).rejects.toThrow('two files want to be a');
  });
});

describe('ar', () => {
  it('aligns members to even places and says their true sizes', () => {
    const bytes = Buffer.from(
      ar([
        { name: 'odd', content: Buffer.from('123') },
        { name: 'even', content: Buffer.from('1234') },
      ]),
    );
    expect(bytes.subarray(0, 8).toString()).toBe('!<arch>\n');
    expect(bytes.subarray(8, 68).toString()).toMatch(/^odd {13}1767225600 {2}0 {5}0 {5}100644 {2}3 {9}`\n$/);
    expect(bytes.subarray(68, 72).toString()).toBe('123\n');
    expect(bytes.subarray(72, 76).toString()).toBe('even');
    expect(bytes.length).toBe(8 + 60 + 4 + 60 + 4);
  });

  it('refuses a name that its header has no room for', () => {
    expect(() => ar([{ name: 'x'.repeat(17), content: Buffer.alloc(0) }])).toThrow('too long');
  });
});

it('compression leaves no trace of when and by whom', () => {
  const content = Buffer.from('words '.repeat(1000));
  expect(gzip(content)).toEqual(gzip(content));
  // RFC 1952: no name (FLG), no time (MTIME).
  expect([...gzip(content).subarray(3, 8)]).toEqual([0, 0, 0, 0, 0]);
  expect(zstd(content)).toEqual(zstd(content));
});
