import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { leaveOutbox } from '../../daemon/policy/medium-export.ts';
import { clearIntake, EXPORT_MARK, isMarked, takeIn } from '../../daemon/policy/medium-intake.ts';

const SITE = 'outpost-7.example';

let root: string;
let medium: string;
let area: string;
let outbox: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'hf-medium-'));
  [medium, area, outbox] = ['medium', 'area', 'outbox'].map((name) => join(root, name)) as [
    string,
    string,
    string,
  ];
  for (const dir of [medium, outbox]) mkdirSync(dir);
});

afterEach(() => rmSync(root, { recursive: true, force: true }));

function put(base: string, name: string, content: string | Uint8Array = name): void {
  mkdirSync(join(base, name, '..'), { recursive: true });
  writeFileSync(join(base, name), content);
}

const tree = (dir: string): string[] =>
  readdirSync(dir, { recursive: true, encoding: 'utf8' })
    .filter((name) => statSync(join(dir, name)).isFile())
    .sort();

describe('what a medium brings', () => {
  test('is copied as far as it could be ours, for the group to read, and removed afterwards', async () => {
    for (const name of [
      'metadata/1.root.json',
      'targets/bundles/a.json',
      'acknowledgements/x.json',
      'cosignatures/5-w.note',
      'holiday/pictures.jpg',
      'acknowledgements/.hidden',
    ])
      put(medium, name);
    const dir = await takeIn(medium, area, SITE);
    expect(dir).not.toBeNull();
    expect(tree(dir ?? '')).toEqual([
      'acknowledgements/x.json',
      'cosignatures/5-w.note',
      'metadata/1.root.json',
      'targets/bundles/a.json',
    ]);
    expect(readFileSync(join(dir ?? '', 'cosignatures/5-w.note'), 'utf8')).toBe('cosignatures/5-w.note');
    expect(statSync(join(dir ?? '', 'metadata/1.root.json')).mode & 0o777).toBe(0o640);
    expect(statSync(join(dir ?? '', 'targets/bundles')).mode & 0o777).toBe(0o750);
    clearIntake(area);
    expect(existsSync(area)).toBe(false);
  });

  test('is found in the folder that copying a repository makes, with what lies beside it', async () => {
    for (const name of [
      'repository/metadata/1.root.json',
      'repository/acknowledgements/x.json',
      'cosignatures/5-w.note',
    ])
      put(medium, name);
    const dir = await takeIn(medium, area, SITE);
    expect(tree(dir ?? '')).toEqual([
      'acknowledgements/x.json',
      'cosignatures/5-w.note',
      'metadata/1.root.json',
    ]);
  });

  test('is not looked for behind a link', async () => {
    put(root, 'elsewhere/metadata/1.root.json');
    symlinkSync(join(root, 'elsewhere'), join(medium, 'repository'));
    expect(await takeIn(medium, area, SITE)).toBeNull();
  });

  test('is nothing when it is nothing of ours', async () => {
    put(medium, 'holiday/pictures.jpg');
    expect(await takeIn(medium, area, SITE)).toBeNull();
  });

  test.each([
    [
      'a link in place of a file',
      'update.file_not_regular',
      () => symlinkSync('/etc/passwd', join(medium, 'metadata/x')),
    ],
    [
      'a link in place of a folder',
      'update.file_not_directory',
      () => symlinkSync('/etc', join(medium, 'acknowledgements')),
    ],
    [
      'a file that is too large',
      'update.file_too_large',
      () => put(medium, 'acknowledgements/x.json', new Uint8Array(65_537)),
    ],
    [
      'too many files',
      'update.too_many_files',
      () => {
        for (let i = 0; i <= 2_000; i++) put(medium, `cosignatures/${i}.note`);
      },
    ],
  ])('is refused with %s, and nothing of it stays', async (_what, code, spoil) => {
    put(medium, 'metadata/1.root.json');
    spoil();
    await expect(takeIn(medium, area, SITE)).rejects.toMatchObject({ code });
    expect(existsSync(area)).toBe(false);
  });

  test('asks for an export by a folder, and by nothing else', async () => {
    expect(await isMarked(medium)).toBe(false);
    symlinkSync('/etc', join(medium, EXPORT_MARK));
    expect(await isMarked(medium)).toBe(false);
    rmSync(join(medium, EXPORT_MARK));
    put(medium, EXPORT_MARK);
    expect(await isMarked(medium)).toBe(false);
    rmSync(join(medium, EXPORT_MARK));
    mkdirSync(join(medium, EXPORT_MARK));
    expect(await isMarked(medium)).toBe(true);
  });
});

describe('what waits in the outbox', () => {
  beforeEach(() => {
    put(outbox, 'receipt-1.json');
    put(outbox, 'anchors/000-005.anchor');
  });

  test('goes below the mark, once, and stays in the outbox', async () => {
    mkdirSync(join(medium, EXPORT_MARK));
    const first = await leaveOutbox(medium, outbox, SITE);
    expect(first).toMatchObject({
      written: ['anchors/000-005.anchor', 'receipt-1.json'],
      already: 0,
      failed: [],
    });
    expect(tree(join(medium, EXPORT_MARK, SITE))).toEqual(['anchors/000-005.anchor', 'receipt-1.json']);
    put(outbox, 'anchors/005-009.anchor');
    expect(await leaveOutbox(medium, outbox, SITE)).toMatchObject({
      written: ['anchors/005-009.anchor'],
      already: 2,
    });
    expect(tree(outbox)).toHaveLength(3);
  });

  test('goes nowhere without the mark', async () => {
    expect(await leaveOutbox(medium, outbox, SITE)).toMatchObject({
      directory: null,
      written: [],
      failed: [],
    });
    expect(readdirSync(medium)).toEqual([]);
  });

  test('never replaces a file of other contents and follows no link', async () => {
    const elsewhere = join(root, 'elsewhere');
    mkdirSync(elsewhere);
    put(medium, `${EXPORT_MARK}/${SITE}/receipt-1.json`, 'something else');
    symlinkSync(elsewhere, join(medium, EXPORT_MARK, SITE, 'anchors'));
    const left = await leaveOutbox(medium, outbox, SITE);
    expect(left.written).toEqual([]);
    expect(left.failed.map(({ name }) => name)).toEqual(['anchors/000-005.anchor', 'receipt-1.json']);
    expect(readdirSync(elsewhere)).toEqual([]);
    expect(readFileSync(join(medium, EXPORT_MARK, SITE, 'receipt-1.json'), 'utf8')).toBe('something else');
  });
});
