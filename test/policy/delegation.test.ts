import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { canonicalBytes } from '../../daemon/formats/canonical-json.ts';
import { sha256Hex } from '../../daemon/formats/digest.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { codeOfLater } from '../codes.ts';
import { CeremonyWorld } from '../sync/ceremony-world.ts';
import { at, forge, rewrite, type Signed } from './forge.ts';
import { NOW, SITE } from './publisher-world.ts';

const OTHER = 'outpost-9.example';

/** Two regions with a site each: north (nora) has SITE, south (sam) has OTHER; both run bundle 1. */
function regions(): CeremonyWorld {
  const world = new CeremonyWorld();
  world.delegate('north', [SITE], ['nora']);
  world.delegate('south', [OTHER], ['sam']);
  world.propose(1, { sites: [SITE, OTHER] });
  world.propose(1, { site: OTHER, sites: [SITE, OTHER] });
  world.ceremony(['alice', 'bob', 'nora', 'sam']);
  return world;
}

type Delegation = JsonObject & { keys: JsonObject; roles: (JsonObject & { paths?: string[] })[] };

/** The first region of the delegations. */
function north(signed: Signed): Delegation['roles'][number] {
  const [role] = (signed.delegations as Delegation).roles;
  if (role === undefined) throw new Error('no region');
  return role;
}

/** Each makes top-level targets delegate in a way that no site accepts, signed by those who may. */
const REFUSED: [string, (signed: Signed) => void][] = [
  ['without terminating', (s) => Object.assign(north(s), { terminating: false })],
  ['by a pattern', (s) => Object.assign(north(s), { paths: ['sites/*.json'] })],
  [
    'by a pattern in a folder',
    (s) => Object.assign(north(s), { paths: [`sites/${SITE}.json`, 'sites/north/?.json'] }),
  ],
  ['by braces', (s) => Object.assign(north(s), { paths: [`sites/{${SITE},other}.json`] })],
  ['for a bundle', (s) => Object.assign(north(s), { paths: [`sites/${SITE}.json`, 'bundles/base/9.json'] })],
  ['for all bundles', (s) => Object.assign(north(s), { paths: ['bundles/*/*.json'] })],
  ['for no path', (s) => Object.assign(north(s), { paths: [] })],
  [
    'by hash prefixes',
    (s) => {
      delete north(s).paths;
      north(s).path_hash_prefixes = [''];
    },
  ],
  [
    'for one site to two regions',
    (s) => void (s.delegations as Delegation).roles[1]?.paths?.push(`sites/${SITE}.json`),
  ],
  [
    'for a site that it lists as well',
    (s) => {
      const [file] = Object.values(s.targets as JsonObject);
      (s.targets as JsonObject)[`sites/${SITE}.json`] = file ?? null;
    },
  ],
  ['to a role named like a file', (s) => Object.assign(north(s), { name: '../north' })],
  ['to a role with dots', (s) => Object.assign(north(s), { name: '1.root' })],
  [
    'to a key twice',
    (s) => {
      const { keys } = s.delegations as Delegation;
      const [id] = north(s).keyids as string[];
      keys['f'.repeat(64)] = keys[id ?? ''] ?? null;
      north(s).keyids = [id ?? '', 'f'.repeat(64)];
    },
  ],
  [
    'to a weak key',
    (s) => {
      const { keys } = s.delegations as Delegation;
      const [id] = north(s).keyids as string[];
      (keys[id ?? ''] as JsonObject).keyval = { public: `01${'0'.repeat(62)}` };
    },
  ],
  [
    'to a key of another kind',
    (s) => {
      const { keys } = s.delegations as Delegation;
      const [id] = north(s).keyids as string[];
      (keys[id ?? ''] as JsonObject).keytype = 'rsa';
    },
  ],
  [
    'to hash bins',
    (s) => {
      const { keys } = s.delegations as Delegation;
      s.delegations = {
        keys,
        succinct_roles: { keyids: north(s).keyids ?? [], threshold: 1, bit_length: 1, name_prefix: 'bin' },
      };
    },
  ],
  ['to nobody', (s) => Object.assign(s, { delegations: { keys: {}, roles: [] } })],
];

describe('delegation', () => {
  it('of named sites to regions is accepted', async () => {
    const world = regions();
    expect(await codeOfLater(world.verify())).toBe('accepted');
    expect(await codeOfLater(world.verify({ site: OTHER }))).toBe('accepted');
    // The forger of the tests below forges well: unchanged metadata stays acceptable.
    forge(world, '2.targets.json', ['alice', 'bob'], () => {});
    forge(world, '1.north.json', ['nora'], () => {});
    expect(await codeOfLater(world.verify())).toBe('accepted');
  });

  it.each(REFUSED)('%s is refused', async (_how, change) => {
    const world = regions();
    forge(world, '2.targets.json', ['alice', 'bob'], change);
    expect(await codeOfLater(world.verify())).toBe('update.delegation');
  });

  it('keeps fields that it does not know', async () => {
    const world = regions();
    forge(world, '2.targets.json', ['alice', 'bob'], (signed) => {
      signed['x-unknown'] = { kept: true };
      north(signed)['x-unknown'] = 'kept';
    });
    expect(await codeOfLater(world.verify())).toBe('accepted');
  });
});

describe('a region’s signers', () => {
  const listed = (world: CeremonyWorld, file: string, name: string): JsonObject => {
    const { signed } = JSON.parse(readFileSync(at(world, file), 'utf8')) as {
      signed: { targets: JsonObject };
    };
    return signed.targets[name] as JsonObject;
  };

  it('cannot speak for another region’s site', async () => {
    const world = regions();
    const stolen = listed(world, '1.north.json', `sites/${SITE}.json`);
    forge(world, '1.north.json', ['nora'], (signed) => {
      (signed.targets as JsonObject)[`sites/${OTHER}.json`] = stolen;
    });
    expect(await codeOfLater(world.verify())).toBe('update.delegation');
    const south = await world.verify({ site: OTHER });
    expect(south.siteTarget.site).toBe(OTHER);
  });

  it('cannot put another key in, or sign another region’s list', async () => {
    const world = regions();
    forge(world, '1.south.json', ['nora'], (signed) =>
      Object.assign(signed, { expires: '2040-01-01T00:00:00Z' }),
    );
    expect(await codeOfLater(world.verify({ site: OTHER }))).toBe('update.bad_signature');
    // Its own site does not suffer from it.
    expect(await codeOfLater(world.verify())).toBe('accepted');
  });

  it('cannot delegate further', async () => {
    const world = regions();
    forge(world, '1.north.json', ['nora'], (signed) =>
      Object.assign(signed, { delegations: { keys: {}, roles: [] } }),
    );
    expect(await codeOfLater(world.verify())).toBe('update.delegation');
  });

  it('cannot bring bundles of their own', async () => {
    const world = regions();
    forge(world, '1.north.json', ['nora'], (signed) => {
      (signed.targets as JsonObject)['bundles/evil/1.json'] = {
        length: 2,
        hashes: { sha256: sha256Hex(Buffer.from('{}')) },
      };
    });
    expect(await codeOfLater(world.verify())).toBe('update.delegation');
  });

  it('cannot hand their site a bundle that is for others', async () => {
    const world = regions();
    world.propose(2, { site: OTHER });
    world.ceremony(['alice', 'bob', 'sam']);
    const weaker = (await world.verify({ site: OTHER })).siteTarget.environments.production;
    const own = (await world.verify()).siteTarget;
    const bytes = canonicalBytes({
      ...own,
      serial: 9,
      environments: { production: weaker },
    } as unknown as JsonObject);
    const digest = sha256Hex(bytes);
    writeFileSync(join(world.repository, 'targets', 'sites', `${digest}.${SITE}.json`), bytes);
    const file = '1.north.json';
    rewrite(world, file, ['nora'], (signed) => {
      signed.targets = { [`sites/${SITE}.json`]: { length: bytes.length, hashes: { sha256: digest } } };
    });
    const all = readFileSync(at(world, file));
    const snapshot = '3.snapshot.json';
    rewrite(world, snapshot, ['online'], (signed) => {
      (signed.meta as JsonObject)['north.json'] = {
        version: 1,
        length: all.length,
        hashes: { sha256: sha256Hex(all) },
      };
    });
    const chain = readFileSync(at(world, snapshot));
    rewrite(world, 'timestamp.json', ['online'], (signed) => {
      signed.meta = {
        'snapshot.json': { version: 3, length: chain.length, hashes: { sha256: sha256Hex(chain) } },
      };
    });
    expect(await codeOfLater(world.verify())).toBe('update.bundle_site');
  });

  it('cannot keep a site on an old list behind a newer one', async () => {
    const world = regions();
    const old = readFileSync(at(world, '1.north.json'));
    world.propose(2);
    world.ceremony(['alice', 'bob', 'nora']);
    writeFileSync(at(world, '2.north.json'), old);
    expect(await codeOfLater(world.verify())).toBe('update.damaged');
  });

  it('must be as many as the region asks for', async () => {
    const world = new CeremonyWorld();
    world.delegate('north', [SITE], ['nora', 'nils']);
    world.propose(1);
    world.ceremony(['alice', 'bob', 'nora', 'nils']);
    forge(world, '1.north.json', ['nora'], () => {});
    expect(await codeOfLater(world.verify())).toBe('update.bad_signature');
    forge(world, '1.north.json', ['nora', 'alice'], () => {});
    expect(await codeOfLater(world.verify())).toBe('update.bad_signature');
  });

  it('make lists that expire like all others', async () => {
    const world = regions();
    forge(world, '1.north.json', ['nora'], (signed) =>
      Object.assign(signed, { expires: '2026-11-19T00:00:00Z' }),
    );
    expect(await codeOfLater(world.verify({ now: NOW }))).toBe('update.expired');
    expect(await codeOfLater(world.verify({ now: NOW, expiry: 'ignore' }))).toBe('accepted');
  });
});
