import { spawnSync } from 'node:child_process';
import {
  closeSync,
  cpSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type Medium, realMedium } from '../../daemon/policy/medium.ts';
import { stageRepository } from '../../daemon/policy/staging.ts';
import { temporaryDir } from '../host/temporary.ts';
import { offer } from './hostile-world.ts';
import { SITE } from './publisher-world.ts';
import { naming, pulledAfter } from './pulled-medium.ts';

/* What a medium can do to a site beside what is written on it, against a real engine. */

/** Code, what was done, how it is done to a good copy of the repository, and the medium if it is no real one. */
type Row = [string, string, (stick: string) => unknown, Medium?];

const nothing = (): void => {};

/** As a broken or hostile device may: it never says that a file is over. */
const endless: Medium = { ...realMedium, read: async (_file, buffer) => buffer.fill(32).length };

const ROWS: Row[] = [
  [
    'update.file_not_regular',
    'a link to /etc/shadow among the metadata',
    (stick) => symlinkSync('/etc/shadow', join(stick, 'metadata/9.root.json')),
  ],
  [
    'update.file_not_regular',
    'a link to /etc/shadow in the place of the timestamp',
    (stick) => {
      rmSync(join(stick, 'metadata/timestamp.json'));
      symlinkSync('/etc/hostname', join(stick, 'metadata/timestamp.json'));
    },
  ],
  [
    'update.file_not_regular',
    'a link to a directory',
    (stick) => symlinkSync('/etc', join(stick, 'targets/etc')),
  ],
  [
    'update.file_not_directory',
    'metadata that is a link to a directory',
    (stick) => {
      renameSync(join(stick, 'metadata'), join(stick, 'elsewhere'));
      symlinkSync('elsewhere', join(stick, 'metadata'));
    },
  ],
  [
    'update.file_not_regular',
    'a pipe that nobody writes to',
    (stick) => expect(spawnSync('mkfifo', [join(stick, 'metadata/9.root.json')]).status).toBe(0),
  ],
  [
    'update.file_not_regular',
    'a socket',
    (stick) =>
      new Promise<void>((listening) => {
        const server = createServer().listen(join(stick, 'metadata/9.root.json'), listening);
        onTestFinished(() => void server.close());
      }),
  ],
  ['update.bad_name', 'a name that climbs', nothing, naming('../../../../etc/cron.d/evil')],
  ['update.bad_name', 'the name of the directory above', nothing, naming('..')],
  ['update.bad_name', 'a name that begins like the directory above', nothing, naming('..evil.json')],
  ['update.bad_name', 'an absolute name', nothing, naming('/etc/cron.d/evil')],
  ['update.bad_name', 'a hidden name with a way up', nothing, naming('.x/../../evil')],
  [
    'update.bad_name',
    'a name that climbs on another system',
    (stick) => writeFileSync(join(stick, 'metadata/a\\..\\evil.json'), ''),
  ],
  ['update.bad_name', 'a name with NUL', nothing, naming('timestamp.json\u0000.png')],
  [
    'update.case_conflict',
    'two names that are one elsewhere',
    (stick) => cpSync(join(stick, 'metadata/timestamp.json'), join(stick, 'metadata/TIMESTAMP.json')),
  ],
  [
    'update.too_many_files',
    '100,000 files',
    (stick) => {
      mkdirSync(join(stick, 'targets/flood'));
      for (let n = 0; n < 100_000; n++) closeSync(openSync(join(stick, 'targets/flood', String(n)), 'w'));
    },
  ],
  [
    'update.file_too_large',
    'a sparse file of 4 GB',
    (stick) => {
      writeFileSync(join(stick, 'targets/sparse.bin'), '');
      truncateSync(join(stick, 'targets/sparse.bin'), 4 * 2 ** 30);
    },
  ],
  [
    'update.too_large',
    'many files that are too much together, each within bounds',
    (stick) => {
      for (let n = 0; n < 70; n++) {
        const file = join(stick, 'targets', `large-${n}.bin`);
        writeFileSync(file, '');
        truncateSync(file, 3_900_000);
      }
    },
  ],
  [
    'update.too_deep',
    'a deep nest',
    (stick) => mkdirSync(join(stick, `targets/${'a/'.repeat(500)}`), { recursive: true }),
  ],
  ['update.file_too_large', 'files without end, whatever their size is said to be', nothing, endless],
];

// The largest of these writes, and removes, 100,000 files.
describe('a medium', { timeout: 120_000 }, () => {
  it.each(ROWS)('is refused with %s: %s', async (code, _what, spoil, medium) => {
    const { site, good } = await offer();
    await site.refuses(code, async () => {
      const stick = join(good, '../spoiled');
      cpSync(good, stick, { recursive: true });
      await spoil(stick);
      return site.import(stick, medium);
    });
    expect(await site.import(good)).toMatchObject({ applied: true, unchanged: false });
  });

  it('that is pulled after every single read is refused each time, and works when it is put back', async () => {
    const { site, good } = await offer();
    const whole = pulledAfter(Number.POSITIVE_INFINITY);
    await stageRepository({ path: good, area: temporaryDir(), site: SITE, medium: whole });
    expect(whole.done).toBeGreaterThan(30);
    for (let steps = 0; steps < whole.done; steps++)
      await site.refuses('update.medium_failed', () => site.import(good, pulledAfter(steps)));
    expect(await site.import(good, pulledAfter(whole.done))).toMatchObject({ applied: true });
  });

  it('that changes while it is read gives what was read, or nothing', async () => {
    const { site, good, first } = await offer();
    let reads = 0;
    const changing: Medium = {
      ...realMedium,
      read: async (file, buffer, position) => {
        reads += 1;
        // In the middle of it somebody puts the files of before in the place of the new ones.
        if (reads === 6) cpSync(join(first, 'metadata'), join(good, 'metadata'), { recursive: true });
        return realMedium.read(file, buffer, position);
      },
    };
    const policy = await site.ask('policy.get');
    const result = await site.import(good, changing);
    if (!result.applied) expect(await site.ask('policy.get')).toEqual(policy);
    site.truth();
  });
});
