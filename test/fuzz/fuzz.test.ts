import { describe, expect, it } from 'vitest';
import { readSources } from '../structure/sources.ts';
import { campaign } from './campaign.ts';
import { FOUND } from './found.ts';
import { tryInput } from './fuzzer.ts';
import { GROUPS, load, TARGET_NAMES, targetNamed } from './table.ts';
import type { Target } from './target.ts';

/**
 * `FUZZ_SECONDS` for all targets together. The same seed each time: what a change breaks is found by the change's own
 * run; new ground is for `npm run fuzz`, which takes another seed each time.
 */
const SECONDS = Number(process.env.FUZZ_SECONDS ?? 60);
const SEED = Number(process.env.FUZZ_SEED ?? 20_261_121);

async function allTargets(): Promise<Target[]> {
  const loaded: Target[] = [];
  for (const group of Object.values(GROUPS)) loaded.push(...(await load(group)));
  return loaded;
}

describe('every target', () => {
  it('is in the table, once', async () => {
    expect((await allTargets()).map(({ name }) => name)).toEqual(TARGET_NAMES);
    expect(new Set(TARGET_NAMES).size).toBe(TARGET_NAMES.length);
  });

  it('accepts its first seed, and has no trouble with any', async () => {
    const troubles: string[] = [];
    for (const target of await allTargets())
      for (const [index, seed] of target.seeds.entries()) {
        const { place, bug } = await tryInput(target, seed);
        if (bug !== undefined) troubles.push(`${target.name} ${index}: ${bug}`);
        else if (index === 0 && !place?.startsWith('accepted')) troubles.push(`${target.name}: ${place}`);
      }
    expect(troubles).toEqual([]);
  }, 120_000);
});

describe('readers of untrusted bytes', () => {
  it('are all targets, or are read with one', async () => {
    const covered = new Set((await allTargets()).flatMap(({ covers }) => covers));
    const sources = readSources().filter(({ path }) => !path.startsWith('daemon/commands/'));
    const names = sources.flatMap(({ path, text }) =>
      [...text.matchAll(READER)].map(([, name = '']) => ({ path, name })),
    );
    const missing = names.filter(({ name }) => !covered.has(name) && !Object.hasOwn(ELSEWHERE, name));
    expect(missing).toEqual([]);
    const known = new Set(names.map(({ name }) => name));
    expect(Object.keys(ELSEWHERE).filter((name) => covered.has(name) || !known.has(name))).toEqual([]);
  });
});

describe(`fuzzing for ${SECONDS} s, seed ${SEED}`, () => {
  it(
    'finds nothing but refusals, in bounded time and memory',
    async () => {
      const found = await campaign({ seconds: SECONDS, seed: SEED });
      expect(
        found.map(({ input, ...rest }) => ({
          ...rest,
          base64: Buffer.from(input).toString('base64').slice(0, 4_000),
        })),
      ).toEqual([]);
    },
    SECONDS * 3_000 + 300_000,
  );
});

describe('what was found once', () => {
  it.each(FOUND)('$target: $what', async ({ target, base64 }) => {
    expect(await tryInput(await targetNamed(target), Buffer.from(base64, 'base64'))).not.toHaveProperty(
      'bug',
    );
  });
});

/** Exported functions that take text or bytes apart; those that are given a path, a name or a key's material are not meant. */
const READER =
  /^export (?:async )?function\*? ((?:parse|open|verify|read|decode|join|scan|assertCanonical)[A-Z]?\w*)\(\s*(?!path|dir|directory|name|root|folder|trust|from|area|credential)\w+: (?:string|Uint8Array|string \| Uint8Array|readonly string\[\])[,)\n]/gm;

/** Readers that are no targets of their own, and why. (Commands read what an operator types, and files by the readers here.) */
const ELSEWHERE: Readonly<Record<string, string>> = {
  verifyEd25519: 'published vectors and a differential test (test/formats/ed25519.test.ts)',
  readGrant: 'parseGrant, by its digest',
  openFolder: 'a path',
};
