import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { assertKnownVariables } from '../../daemon/host/environment.ts';
import { ROOT, readSources } from '../structure/sources.ts';

const LIST = 'daemon/host/environment.ts';

describe('variables of the environment', () => {
  it('of ours are taken, and those of others are none of our business', () => {
    expect(() =>
      assertKnownVariables({ HOLDFAST_DIR: '/srv/site', HOLDFAST_LOG: 'x', PATH: '/bin' }),
    ).not.toThrow();
    expect(() => assertKnownVariables({ HOLDFASTDIR: 'x', holdfast_dir: 'y' })).not.toThrow();
  });

  it.each([
    ['HOLDFAST_DRI', 'did you mean HOLDFAST_DIR?'],
    ['HOLDFAST_UNSINGED', 'did you mean HOLDFAST_UNSIGNED?'],
    ['HOLDFAST_ZZZZZZZZZZZZZZZZZZZZ', 'is none of holdfast'],
  ])('are refused when nothing reads them: %s', (name, words) => {
    const refused = () => assertKnownVariables({ [name]: 'hunter2' });
    expect(refused).toThrow(words);
    expect(refused).not.toThrow(/hunter2/);
  });

  it('are all in the list that are read anywhere, and no others', () => {
    const read = readSources()
      .filter(({ path }) => path !== LIST)
      .flatMap(({ code }) => code.match(/\bHOLDFAST_[A-Z_]+\b/g) ?? []);
    const listed =
      /OURS: readonly string\[\] = \[([^\]]*)\]/.exec(readFileSync(join(ROOT, LIST), 'utf8'))?.[1] ?? '';
    expect([...new Set(read)].sort()).toEqual(listed.match(/HOLDFAST_[A-Z_]+/g));
  });
});
