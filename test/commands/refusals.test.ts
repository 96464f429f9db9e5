import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { parseLimit } from '../../daemon/commands/access.ts';
import { readCosigned } from '../../daemon/commands/cosigned-files.ts';
import { filesOf } from '../../daemon/commands/ledger-verify.ts';
import { codeOf, codeOfLater } from '../codes.ts';
import { temporaryDir } from '../host/temporary.ts';

afterEach(() => vi.unstubAllEnvs());

describe('refusals name what was typed', () => {
  it('also the option that a number was given to', () => {
    expect(parseLimit('20')).toBe(20);
    expect(() => parseLimit('x')).toThrow('Write --limit as a whole number');
    expect(() => parseLimit('x', '--lines')).toThrow('Write --lines as a whole number');
    expect(codeOf(() => parseLimit('0', '--lines'))).toBe('limit.malformed');
  });

  it('also an empty file among cosigned checkpoints, which stops none of the others', async () => {
    const dir = temporaryDir();
    const [empty, good] = [join(dir, 'empty.note'), join(dir, 'good.note')];
    writeFileSync(empty, '\n');
    writeFileSync(good, 'a checkpoint');
    expect(await readCosigned([empty, good])).toMatchObject([
      { file: empty, error: { code: 'cosignature.empty' } },
      { file: good, note: 'a checkpoint' },
    ]);
  });
});

it('who was brought something to verify lacks trust, who is at a site lacks the site', async () => {
  vi.stubEnv('HOLDFAST_DIR', temporaryDir());
  expect(await codeOfLater(filesOf({}, true))).toBe('trust.missing');
  expect(await codeOfLater(filesOf({}))).toBe('site.not_found');
});
