import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { BoundaryError } from '../../daemon/formats/boundary-error.ts';
import { type Medium, realMedium } from '../../daemon/policy/medium.ts';
import { clearStaging, type StagingOptions, stageRepository } from '../../daemon/policy/staging.ts';
import { temporaryDir } from '../host/temporary.ts';
import { PublisherWorld, SITE } from './publisher-world.ts';
import { pulledAfter } from './pulled-medium.ts';

interface Fixture {
  publisher: PublisherWorld;
  area: string;
  stage: (options?: Partial<StagingOptions>) => Promise<string>;
}

function fixture(): Fixture {
  const publisher = new PublisherWorld(temporaryDir());
  publisher.publish(1);
  const area = temporaryDir();
  return {
    publisher,
    area,
    stage: (options = {}) => stageRepository({ path: publisher.dir, area, site: SITE, ...options }),
  };
}

const codeOf = (staging: Promise<unknown>): Promise<string> =>
  staging.then(
    () => 'staged',
    (error: unknown) => {
      if (error instanceof BoundaryError) return error.code;
      throw error;
    },
  );

describe('stageRepository', () => {
  it('copies the repository byte for byte, privately, and nothing else', async () => {
    const { publisher, stage } = fixture();
    publisher.publish(1, { site: 'other.example' });
    writeFileSync(publisher.path('autorun.inf'), 'junk');
    writeFileSync(publisher.path('metadata/._timestamp.json'), 'junk');
    const staged = await stage();
    const names = readdirSync(staged, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(staged.length + 1));
    for (const name of names)
      expect(readFileSync(join(staged, name))).toEqual(readFileSync(publisher.path(name)));
    expect(readdirSync(staged).sort()).toEqual(['metadata', 'targets']);
    expect(names.some((name) => name.endsWith(`.${SITE}.json`))).toBe(true);
    expect(names.some((name) => name.includes('other.example') || name.includes('/.'))).toBe(false);
    expect(await publisher.verify({ repositoryDir: staged })).toMatchObject({ siteTarget: { serial: 1 } });
  });

  it('clears what an earlier import left, and can be cleared', async () => {
    const { area, stage } = fixture();
    const first = await stage();
    const second = await stage();
    expect([existsSync(first), existsSync(second)]).toEqual([false, true]);
    clearStaging(area);
    expect(readdirSync(area)).toEqual([]);
  });

  it('survives the stick being pulled after every single step', async () => {
    const { area, stage } = fixture();
    const whole = pulledAfter(Number.POSITIVE_INFINITY);
    await stage({ medium: whole });
    expect(whole.done).toBeGreaterThan(30);
    for (let steps = 0; steps < whole.done; steps++) {
      expect([steps, await codeOf(stage({ medium: pulledAfter(steps) }))]).toEqual([
        steps,
        'update.medium_failed',
      ]);
      expect(readdirSync(area)).toEqual([]);
    }
  });

  it('does not wait for a medium that hangs', async () => {
    const { stage } = fixture();
    const awake = Promise.withResolvers<number>();
    const hanging: Medium = { ...realMedium, read: () => awake.promise };
    expect(await codeOf(stage({ medium: hanging, limits: { ms: 20 } }))).toBe('update.medium_too_slow');
    awake.resolve(0);
  });

  const LIMITS: [string, string, Partial<StagingOptions>['limits']][] = [
    ['update.too_many_files', 'too many files', { files: 3 }],
    ['update.too_many_files', 'too many names', { names: 5 }],
    ['update.too_large', 'too much altogether', { totalBytes: 3_000 }],
    ['update.file_too_large', 'too large a file', { fileBytes: 300 }],
    ['update.too_deep', 'directories in directories', { depth: 1 }],
  ];
  it.each(LIMITS)('refuses with %s: %s', async (code, _what, limits) => {
    const { area, stage } = fixture();
    expect(await codeOf(stage({ limits: limits ?? {} }))).toBe(code);
    expect(readdirSync(area)).toEqual([]);
  });

  it('counts what it reads, whatever the medium says of its size', async () => {
    const { stage } = fixture();
    const endless: Medium = { ...realMedium, read: async (_file, buffer) => buffer.fill(32).length };
    expect(await codeOf(stage({ medium: endless }))).toBe('update.file_too_large');
  });

  const HOSTILE: [string, string, (w: PublisherWorld) => void][] = [
    [
      'update.file_not_regular',
      'a link to /etc/shadow',
      (w) => symlinkSync('/etc/shadow', w.path('targets/a.json')),
    ],
    ['update.file_not_regular', 'a fifo', (w) => spawnSync('mkfifo', [w.path('metadata/2.root.json')])],
    ['update.file_not_regular', 'a link to a directory', (w) => symlinkSync('/etc', w.path('targets/etc'))],
    [
      'update.file_not_directory',
      'targets that are a link',
      (w) => {
        renameSync(w.path('targets'), w.path('elsewhere'));
        symlinkSync('elsewhere', w.path('targets'));
      },
    ],
    [
      'update.file_not_directory',
      'targets that are a file',
      (w) => {
        renameSync(w.path('targets'), w.path('elsewhere'));
        writeFileSync(w.path('targets'), '');
      },
    ],
    [
      'update.file_too_large',
      'a sparse file of 4 GB',
      (w) => {
        writeFileSync(w.path('targets/sparse.bin'), '');
        truncateSync(w.path('targets/sparse.bin'), 4 * 2 ** 30);
      },
    ],
    [
      'update.case_conflict',
      'two names of one letter in two cases',
      (w) => cpSync(w.path('metadata/timestamp.json'), w.path('metadata/Timestamp.json')),
    ],
    [
      'update.bad_name',
      'a name with a backslash',
      (w) => writeFileSync(w.path('metadata/a\\..\\etc.json'), ''),
    ],
    ['update.bad_name', 'a name with a line break', (w) => writeFileSync(w.path('metadata/a\nb.json'), '')],
    [
      'update.too_deep',
      'a deep nest',
      (w) => mkdirSync(w.path(`targets/${'a/'.repeat(40)}`), { recursive: true }),
    ],
    [
      'update.too_many_files',
      'a flood of names',
      (w) => {
        mkdirSync(w.path('targets/flood'));
        for (let n = 0; n < 300; n++) writeFileSync(w.path(`targets/flood/${n}`), '');
      },
    ],
  ];
  it.each(HOSTILE)('refuses with %s: %s', async (code, _what, spoil) => {
    const { publisher, area, stage } = fixture();
    spoil(publisher);
    expect(await codeOf(stage({ limits: { names: 250 } }))).toBe(code);
    expect(readdirSync(area)).toEqual([]);
  });
});
