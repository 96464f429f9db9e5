import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { belongsTogether, readCarried, readRequest } from '../../daemon/commands/carried.ts';
import { carry } from '../../daemon/commands/carry.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { codeAsPng, framesOf } from '../../daemon/host/qr-code.ts';
import { alice, bob, testBundle } from '../engine/bundle.ts';
import { EngineFixture } from '../engine/fixture.ts';

let fixture: EngineFixture;
let dir: string;
const decision: JsonObject = {
  decision_id: 'dec_01990000-0000-7000-8000-000000000000',
  action_digest: 'a'.repeat(64),
  policy_digest: 'b'.repeat(64),
};

beforeAll(() => {
  fixture = new EngineFixture(testBundle());
});
afterAll(() => fixture.close());
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'holdfast-carried-'));
  return () => rmSync(dir, { recursive: true, force: true });
});

const at = (name: string): string => join(dir, name);
const put = (name: string, content: string | Uint8Array): string => {
  writeFileSync(at(name), content);
  return at(name);
};
const encode = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));

describe('what was carried', () => {
  it('is found in files, pictures, typed lines, and as ssh-keygen leaves it', async () => {
    const [file, picture, lines, pair] = Array.from({ length: 4 }, () => fixture.sign(alice, decision));
    const frames = framesOf('S', encode(lines), 'terminal');
    const read = await readCarried([
      put('a.signed', JSON.stringify(file)),
      put('b.png', codeAsPng(framesOf('S', encode(picture), 'paper')[0] ?? '')),
      put('c.txt', `${frames.reverse().join('\r\n')}\r\n`),
      put('act.json', pair?.act ?? ''),
      put('act.json.sig', pair?.signature ?? ''),
    ]);
    const found = read.map((one) => (one.is === 'signed' ? one.signed : one));
    expect(found).toEqual([file, picture, lines, pair]);
    expect(read.at(-1)?.from).toEqual([at('act.json'), at('act.json.sig')]);
  });

  it('in codes of several things at once is told apart', async () => {
    const acts = [fixture.sign(alice, decision), fixture.sign(bob, decision)];
    const frames = acts.map((act) => framesOf('S', encode(act), 'terminal'));
    const mixed = frames.flat().reverse();
    const read = await readCarried([put('all.txt', mixed.join('\n'))]);
    expect(read.map((one) => (one.is === 'signed' ? one.signed : one))).toEqual(expect.arrayContaining(acts));
    expect(read).toHaveLength(2);
    const some = await readCarried([put('some.txt', mixed.slice(1).join('\n'))]);
    expect(some.map(({ is }) => is).sort()).toEqual(['signed', 'unusable']);
  });

  it('pairs acts with their own signatures, and says which is missing', async () => {
    const [one, two] = [fixture.sign(alice, decision), fixture.sign(bob, decision)];
    const files = [
      put('one.json', one.act),
      put('two.json', two.act),
      put('two.json.sig', two.signature),
      put('one.json.sig', one.signature),
    ];
    const read = await readCarried(files);
    expect(read.map((found) => found.is === 'signed' && belongsTogether(found.signed))).toEqual([true, true]);
    expect(await readCarried(files.slice(0, 3))).toMatchObject([
      {
        is: 'unusable',
        error: { code: 'carried.unpaired', message: expect.stringContaining('one.json.sig') },
      },
      { is: 'signed' },
    ]);
    expect(await readCarried(files.slice(2))).toMatchObject([{ is: 'unusable' }, { is: 'unusable' }]);
    expect(belongsTogether({ act: one.act, signature: two.signature })).toBe(false);
    expect(belongsTogether({ act: one.act.replace('looked', 'looke'), signature: one.signature })).toBe(
      false,
    );
  });

  it('that is nothing of ours is told for each file, and keeps back no other', async () => {
    const good = fixture.sign(alice, decision);
    const read = await readCarried([
      at('missing'),
      put('empty', ''),
      put('notes.txt', 'attack at dawn'),
      put('binary', Uint8Array.from([0xff, 0xfe, 0x00])),
      put('list.json', '[]'),
      put('more.json', JSON.stringify({ ...good, note: 'x' })),
      put('broken.png', Buffer.from('89504e470d0a1a0a00', 'hex')),
      put('good.signed', JSON.stringify(good)),
    ]);
    expect(read.map(({ is }) => is)).toEqual([...Array(7).fill('unusable'), 'signed']);
    expect(JSON.stringify(read.slice(0, 7))).not.toContain('dawn');
  });

  it('is not a request when it is a signature', async () => {
    const file = put('a.signed', JSON.stringify(fixture.sign(alice, decision)));
    await expect(readRequest([file])).rejects.toMatchObject({ code: 'carried.not_one' });
    await expect(readRequest([at('missing')])).rejects.toMatchObject({
      message: expect.stringContaining('missing'),
    });
  });
});

describe('what is to be carried', () => {
  it('goes to a file and to as many pictures as it takes, never over another', async () => {
    const text = JSON.stringify(Array.from({ length: 300 }, (_, n) => n * 7919));
    const files = await carry('S', text, { out: at('x.json'), png: at('x.png') });
    expect(files[0]).toBe(at('x.json'));
    expect(files.slice(1)).toEqual(files.slice(1).map((_, n) => at(`x-${n + 1}of${files.length - 1}.png`)));
    await expect(carry('S', text, { out: at('x.json') })).rejects.toMatchObject({ code: 'EEXIST' });
    await expect(carry('S', text, { png: at('x.png') })).rejects.toMatchObject({ code: 'file.exists' });
  });
});
