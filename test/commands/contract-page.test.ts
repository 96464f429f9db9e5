import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { METHODS } from '../../daemon/api/methods.ts';
import { CATALOGUE } from '../../daemon/commands/catalogue.ts';
import { ROOT } from '../structure/sources.ts';

/* docs/contract.md names what is there. */

const page = readFileSync(join(ROOT, 'docs/contract.md'), 'utf8');
const [, commands = '', api = '', entries = ''] = page.split(/^## .*$/m);

describe('the page about evidence', () => {
  it('names commands that the program has', async () => {
    const named = commands
      .split('\n')
      .filter((line) => line.startsWith('| `'))
      .flatMap((line) => [...(line.split('|')[1] ?? '').matchAll(/`([^`]+)`/g)].map(([, name = '']) => name));
    expect(named.length).toBeGreaterThan(25);
    for (const name of named) {
      const [noun = '', verb] = name.split(' ');
      const command = await CATALOGUE[noun]?.load(() => Promise.reject(new Error('not needed')));
      expect([noun, command?.name()]).toEqual([noun, noun]);
      if (verb !== undefined) expect(command?.commands.map((sub) => sub.name())).toContain(verb);
    }
  });

  it('names paths that the API has', () => {
    const known = Object.values(METHODS).flatMap(({ http }) =>
      http === null ? [] : [`${http.verb} ${http.path}`],
    );
    const [, block = ''] = api.split('```');
    const named = [...block.matchAll(/(GET|POST) +(\/v1\/\S+)/g)].map(([, verb, path]) => `${verb} ${path}`);
    expect(named.length).toBeGreaterThan(20);
    expect(named.filter((one) => !known.includes(one))).toEqual([]);
  });

  it('names types that entries have', () => {
    const source = readFileSync(join(ROOT, 'daemon/formats/entry.ts'), 'utf8');
    const named = [...entries.matchAll(/`([a-z]+\.[a-z]+)`/g)].map(([, type = '']) => type);
    expect(named.length).toBeGreaterThan(10);
    expect(named.filter((type) => !source.includes(`'${type}'`))).toEqual([]);
  });
});
