import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { SeenRoots } from '../../daemon/gateway/seen-roots.ts';
import { codeOf } from '../codes.ts';

let dir: string;
let path: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'hf-roots-'));
  path = join(dir, 'roots.json');
});
afterEach(() => rmSync(dir, { recursive: true }));

const root = (version: unknown, text = '') => Buffer.from(JSON.stringify({ signed: { version }, text }));
const update = (...roots: [number, Buffer][]) =>
  new Map(roots.map(([version, bytes]) => [`metadata/${version}.root.json`, new Uint8Array(bytes)]));
describe('a trust directory', () => {
  test('starts the gateway again, and with a newer root', () => {
    SeenRoots.open(path, root(3));
    SeenRoots.open(path, root(3));
    SeenRoots.open(path, root(5));
    expect(JSON.parse(readFileSync(path, 'utf8'))).toMatchObject({ v: 1, pinned: 5 });
  });

  test('put back as it was before does not', () => {
    SeenRoots.open(path, root(3));
    SeenRoots.open(path, root(5));
    expect(codeOf(() => SeenRoots.open(path, root(3)))).toBe('trust.root_rolled_back');
    expect(codeOf(() => SeenRoots.open(path, root(5)))).toBe('accepted');
  });

  test('with another root of a version that was seen does not, pinned or in an update', () => {
    const seen = SeenRoots.open(path, root(3));
    expect(codeOf(() => SeenRoots.open(path, root(3, 'other')))).toBe('trust.root_forked');
    seen.note(update([3, root(3)], [4, root(4)]));
    expect(codeOf(() => SeenRoots.open(path, root(4, 'other')))).toBe('trust.root_forked');
    expect(codeOf(() => SeenRoots.open(path, root(4)))).toBe('accepted');
  });

  test.each([
    ['nothing', ''],
    ['no JSON', '{'],
    ['another shape', '{"pinned":"1","roots":{}}'],
    ['digests that are none', '{"pinned":1,"roots":{"1":"x"}}'],
    ['no roots', '{"pinned":1}'],
  ])('is not believed when its memory holds %s', (_what, text) => {
    writeFileSync(path, text);
    expect(codeOf(() => SeenRoots.open(path, root(1)))).toBe('trust.roots_damaged');
  });

  test.each([root(0), root('1'), Buffer.from('[]'), Buffer.from('x')])(
    'without a proper root does not',
    (bytes) => {
      expect(codeOf(() => SeenRoots.open(path, bytes))).toBe('trust.bad_root');
    },
  );
});

describe('an update', () => {
  test('of an older root is as good as it was; a fork of any is not, after a restart either', () => {
    const seen = SeenRoots.open(path, root(1));
    seen.note(update([1, root(1)], [2, root(2)], [3, root(3)]));
    seen.note(update([1, root(1)], [2, root(2)]));
    const fork = update([1, root(1)], [2, root(2, 'by the old keys')]);
    expect(codeOf(() => seen.note(fork))).toBe('update.root_forked');
    expect(codeOf(() => SeenRoots.open(path, root(1)).note(fork))).toBe('update.root_forked');
  });

  test('without news writes nothing', () => {
    const seen = SeenRoots.open(path, root(1));
    rmSync(path);
    seen.note(update([1, root(1)]));
    expect(existsSync(path)).toBe(false);
  });
});
