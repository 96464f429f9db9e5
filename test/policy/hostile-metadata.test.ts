import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Json, JsonObject } from '../../daemon/formats/json.ts';
import { proposeRenewal } from '../../sync/repository/propose.ts';
import { at, chain, forge, metaOf, newest, readMetadata, rewrite, type Signed } from './forge.ts';
import { copyOf, type Offer, OTHER, offer } from './hostile-world.ts';
import { DAY, NOW, SITE } from './publisher-world.ts';

/* Issue by issue what a repository can do to a site, against a real engine: signatures, versions, time, delegation. */

type Root = JsonObject & { roles: { root: { keyids: string[]; threshold: number } }; keys: JsonObject };

/** A root N+1 made out of the newest, with another set of root keys, signed by whoever is named. */
function nextRoot(
  { hq }: Offer,
  signers: readonly string[],
  people: readonly string[],
  change: (root: Root) => void = () => {},
): void {
  const last = newest(hq, 'root');
  const version = Number(last.split('.')[0]) + 1;
  const file = `${version}.root.json`;
  cpSync(at(hq, last), at(hq, file));
  rewrite(hq, file, signers, (signed) => {
    const root = signed as unknown as Root;
    const { keys } = hq.role(people, 2);
    signed.version = version;
    for (const key of keys) root.keys[key.keyID] = key.toJSON() as unknown as Json;
    root.roles.root = { keyids: keys.map(({ keyID }) => keyID), threshold: 2 };
    change(root);
  });
}

/** Somebody else's signatures under a file of theirs, and the online chain over it. */
const resigned = (role: string, signers: readonly string[]) => (o: Offer) =>
  forge(o.hq, newest(o.hq, role), signers, () => {});

type Spoil = (o: Offer) => unknown;
/** Code, what was done, and how; the repository of headquarters is then offered, or the path that is returned. */
type Row = [string, string, Spoil];

const SIGNATURES: Row[] = [
  ['update.bad_signature', 'targets signed by strangers', resigned('targets', ['mallory', 'trudy'])],
  ['update.bad_signature', 'targets signed by one of the two that it takes', resigned('targets', ['alice'])],
  ['update.bad_signature', 'targets signed by nobody', resigned('targets', [])],
  [
    'update.bad_signature',
    'targets signed by the key of another role',
    resigned('targets', ['alice', 'online']),
  ],
  ['update.repeated_signature', 'targets signed twice by one', resigned('targets', ['alice', 'alice'])],
  [
    'update.bad_signature',
    'signatures of other contents',
    ({ hq }) => {
      const file = newest(hq, 'targets');
      const { signatures } = readMetadata(hq, file);
      rewrite(hq, file, [], (signed) => Object.assign(signed, { 'x-weaker': true }));
      const { signed } = readMetadata(hq, file);
      writeFileSync(at(hq, file), JSON.stringify({ signed, signatures }));
      chain(hq, file);
    },
  ],
  [
    'update.bad_signature',
    'a timestamp signed by a stranger',
    ({ hq }) => rewrite(hq, 'timestamp.json', ['mallory'], () => {}),
  ],
  [
    'update.bad_signature',
    'a snapshot signed by a stranger',
    ({ hq }) => {
      const snapshot = newest(hq, 'snapshot');
      rewrite(hq, snapshot, ['mallory'], () => {});
      rewrite(hq, 'timestamp.json', ['online'], (signed) => {
        signed.meta = { 'snapshot.json': metaOf(hq, snapshot) };
      });
    },
  ],
  [
    'update.bad_root',
    'a root that counts one key under two ids',
    (o) =>
      nextRoot(o, ['alice', 'bob', 'mallory'], ['mallory'], (root) => {
        const [id = ''] = root.roles.root.keyids;
        const twin = 'f'.repeat(64);
        root.keys[twin] = root.keys[id] ?? null;
        root.roles.root = { keyids: [id, twin], threshold: 1 };
      }),
  ],
  [
    'update.root_not_authorized',
    'a new root with the threshold of the old one only',
    (o) => nextRoot(o, ['alice', 'bob'], ['mallory', 'trudy', 'alice']),
  ],
  [
    'update.root_not_authorized',
    'a new root with the threshold of itself only',
    (o) => nextRoot(o, ['mallory', 'trudy', 'alice'], ['mallory', 'trudy', 'alice']),
  ],
  [
    'update.root_not_authorized',
    'a new root with a lower threshold, signed by so few',
    (o) =>
      nextRoot(o, ['alice'], ['alice', 'bob', 'carol'], (root) => {
        root.roles.root.threshold = 1;
      }),
  ],
];

const VERSIONS: Row[] = [
  [
    'update.rolled_back',
    'the repository of before, whole',
    async ({ site, first, good }) => {
      await site.import(good);
      return first;
    },
  ],
  [
    'update.rolled_back',
    'the timestamp of before, in the newer repository',
    async ({ hq, site, first, good }) => {
      await site.import(good);
      cpSync(join(first, 'metadata/timestamp.json'), at(hq, 'timestamp.json'));
    },
  ],
  [
    'update.rolled_back',
    'a new timestamp for a snapshot of before',
    ({ hq, first }) => {
      const old = JSON.parse(readFileSync(join(first, 'metadata/timestamp.json'), 'utf8')) as {
        signed: { meta: Record<string, { version: number }> };
      };
      const version = (old.signed.meta['snapshot.json']?.version ?? 0) - 1;
      rewrite(hq, 'timestamp.json', ['online'], (signed) => {
        signed.meta = { 'snapshot.json': metaOf(hq, `${version}.snapshot.json`) };
      });
    },
  ],
  [
    'update.rolled_back',
    'a new snapshot for targets of before',
    ({ hq }) => {
      const version = Number(newest(hq, 'targets').split('.')[0]);
      chain(hq, `${version - 2}.targets.json`);
    },
  ],
  [
    'update.rolled_back',
    'a new snapshot for the list of a region of before',
    async ({ hq, site, good }) => {
      await site.import(good);
      chain(hq, '1.north.json', 'next');
    },
  ],
  [
    'update.wrong_root_version',
    'a root under the number of the next one',
    ({ hq }) => cpSync(at(hq, '1.root.json'), at(hq, '2.root.json')),
  ],
  [
    'update.wrong_root_version',
    'a root that leaves one out',
    (o) =>
      nextRoot(o, ['alice', 'bob'], ['alice', 'bob', 'carol'], (root) => {
        root.version = 3;
      }),
  ],
];

const MIXED: Row[] = [
  [
    'update.damaged',
    'targets of one and snapshot of another of two valid repositories',
    ({ hq, first }) => {
      const [was, is] = ['targets', 'targets'].map((role, n) =>
        n === 0 ? `2.${role}.json` : newest(hq, role),
      );
      cpSync(join(first, 'metadata', was ?? ''), at(hq, is ?? ''));
    },
  ],
  [
    'update.damaged',
    'the snapshot of before under the name of the new one',
    ({ hq, first }) => {
      const name = newest(hq, 'snapshot');
      const before = `${Number(name.split('.')[0]) - 1}.snapshot.json`;
      cpSync(join(first, 'metadata', before), at(hq, name));
    },
  ],
  [
    'update.missing_file',
    'the new timestamp before the old rest',
    ({ hq, first }) => {
      const mixed = copyOf(hq);
      rmSync(join(mixed, 'metadata'), { recursive: true });
      cpSync(join(first, 'metadata'), join(mixed, 'metadata'), { recursive: true });
      cpSync(at(hq, 'timestamp.json'), join(mixed, 'metadata/timestamp.json'));
      return mixed;
    },
  ],
  [
    'update.bad_signature',
    'the timestamp of another publisher',
    async ({ hq }) => {
      const other = await offer();
      cpSync(at(other.hq, 'timestamp.json'), at(hq, 'timestamp.json'));
    },
  ],
];

const TIME: Row[] = [
  ['update.expired', 'a timestamp that has run out (freeze)', ({ site }) => site.clock.advance(46 * DAY)],
  [
    'update.expired',
    'a snapshot that has run out under a new timestamp',
    ({ hq, site }) => {
      site.clock.advance(91 * DAY);
      rewrite(hq, 'timestamp.json', ['online'], (signed) =>
        Object.assign(signed, { expires: '2027-12-01T00:00:00Z' }),
      );
    },
  ],
  [
    'update.expired',
    'a root that has run out',
    (o) =>
      nextRoot(o, ['alice', 'bob'], ['alice', 'bob', 'carol'], (root) => {
        root.expires = '2026-11-01T00:00:00Z';
      }),
  ],
  [
    'update.expired',
    'what has run out, shown to a clock that was set back',
    ({ site }) => {
      site.clock.advance(46 * DAY);
      site.clock.setWall(NOW);
    },
  ],
];

const ENDLESS: Row[] = [
  [
    'update.endless_metadata',
    'a root with keys without end, which nobody signed',
    ({ hq }) => {
      const key = { keytype: 'ed25519', scheme: 'ed25519', keyval: { public: '' } };
      const keys = Object.fromEntries(Array.from({ length: 5_000 }, (_, n) => [String(n), key]));
      const { signed } = readMetadata(hq, '1.root.json');
      writeFileSync(
        at(hq, '2.root.json'),
        JSON.stringify({ signed: { ...signed, version: 2, keys }, signatures: [] }),
      );
    },
  ],
  [
    'update.endless_metadata',
    'a root that nests without end',
    ({ hq }) => writeFileSync(at(hq, '2.root.json'), '['.repeat(100_000) + ']'.repeat(100_000)),
  ],
  [
    'update.endless_metadata',
    'a snapshot of files without end, signed by a stolen online key',
    ({ hq }) => {
      chain(hq, newest(hq, 'targets'), 'next');
      const snapshot = newest(hq, 'snapshot');
      rewrite(hq, snapshot, ['online'], (signed) => {
        for (let n = 0; n < 5_000; n++) (signed.meta as JsonObject)[`r${n}.json`] = { version: 1 };
      });
      rewrite(hq, 'timestamp.json', ['online'], (signed) => {
        signed.meta = { 'snapshot.json': metaOf(hq, snapshot) };
      });
    },
  ],
  [
    'update.endless_metadata',
    'a list of targets without end',
    ({ hq }) => forge(hq, newest(hq, 'targets'), ['alice', 'bob'], listed(5_000)),
  ],
  [
    'update.file_too_large',
    'a timestamp that goes on and on',
    ({ hq }) => writeFileSync(at(hq, 'timestamp.json'), `${' '.repeat(20_000)}{}`),
  ],
  [
    'update.file_too_large',
    'a root that goes on and on',
    ({ hq }) => writeFileSync(at(hq, '2.root.json'), ' '.repeat(600_000)),
  ],
];

/** Lists so many bundles that do not exist. */
function listed(count: number) {
  return (signed: Signed): void => {
    const file = { length: 1, hashes: { sha256: '0'.repeat(64) } };
    for (let n = 1; n <= count; n++) (signed.targets as JsonObject)[`bundles/b/${n}.json`] = file;
  };
}

const DELEGATION: Row[] = [
  [
    'update.delegation',
    'a region that speaks for the site of another',
    ({ hq }) =>
      forge(hq, newest(hq, 'north'), ['nora'], (signed) => {
        const targets = signed.targets as JsonObject;
        targets[`sites/${OTHER}.json`] = targets[`sites/${SITE}.json`] ?? null;
      }),
  ],
  [
    'update.delegation',
    'a delegation of one site to two regions',
    ({ hq }) =>
      forge(hq, newest(hq, 'targets'), ['alice', 'bob'], (signed) => {
        const { roles } = signed.delegations as { roles: { paths: string[] }[] } & JsonObject;
        for (const role of roles) role.paths = [`sites/${SITE}.json`];
      }),
  ],
  [
    'update.bad_signature',
    'the list of a region signed by the people of another',
    ({ hq }) => forge(hq, newest(hq, 'north'), ['sam'], () => {}),
  ],
  [
    'update.wrong_site',
    'a repository that has nothing for the site any more',
    ({ hq }) => forge(hq, newest(hq, 'north'), ['nora'], (signed) => Object.assign(signed, { targets: {} })),
  ],
];

const THEMES: [string, Row[]][] = [
  ['signatures', SIGNATURES],
  ['versions', VERSIONS],
  ['a mixture', MIXED],
  ['time', TIME],
  ['metadata without end', ENDLESS],
  ['delegation', DELEGATION],
];

describe.each(THEMES)('%s', (_theme, rows) => {
  it.each(rows)('is refused with %s: %s', async (code, _what, spoil) => {
    const o = await offer();
    const named = await spoil(o);
    const path = typeof named === 'string' ? named : copyOf(o.hq);
    await o.site.refuses(code, () => o.site.import(path));
    if (code === 'update.expired') return;
    expect(await o.site.import(o.good)).toMatchObject({ applied: true });
  });
});

describe('what is no attack', () => {
  it('is accepted: signed members that nobody here knows, and they are kept', async () => {
    const { hq, site } = await offer();
    forge(hq, newest(hq, 'targets'), ['alice', 'bob'], (signed) => {
      signed['x-unknown'] = { kept: [1, 2] };
    });
    const file = readFileSync(at(hq, newest(hq, 'targets')), 'utf8');
    const result = await site.import(copyOf(hq));
    expect(result).toMatchObject({ applied: true });
    const { update_id: id } = result as { update_id: string };
    const stored = join(site.paths.policy, 'updates', id, 'metadata', newest(hq, 'targets'));
    expect(readFileSync(stored, 'utf8')).toBe(file);
    expect(file).toContain('"x-unknown":{"kept":[1,2]}');
  });

  it('is accepted: a list of a thousand bundles', async () => {
    const { hq, site } = await offer();
    forge(hq, newest(hq, 'targets'), ['alice', 'bob'], listed(1_000));
    expect(await site.import(copyOf(hq))).toMatchObject({ applied: true });
  });

  it('is accepted: two rotations of root at once, and the site does not go back behind them', async () => {
    const o = await offer();
    const { hq, site } = o;
    nextRoot(o, ['alice', 'bob'], ['alice', 'bob', 'dora']);
    nextRoot(o, ['alice', 'dora'], ['dora', 'erik', 'alice']);
    proposeRenewal(hq.dir, { role: 'targets', now: hq.now });
    hq.ceremony(['alice', 'bob']);
    expect(await site.import(copyOf(hq))).toMatchObject({ applied: true });
    for (const name of ['2.root.json', '3.root.json']) rmSync(at(hq, name));
    nextRoot(o, ['alice', 'bob'], ['alice', 'bob', 'mallory']);
    hq.propose(3);
    hq.ceremony(['alice', 'bob', 'nora']);
    const forked = await site.import(copyOf(hq));
    // The site walks on from the root that it accepted, not from the one that it is offered.
    expect(forked).toMatchObject({ applied: true });
    expect((await site.ask('policy.get')).repository).toMatchObject({ root: 3 });
  });
});

describe('a site whose store was tampered with', () => {
  it('does not forget that a root was replaced: its ledger says which one it was at', async () => {
    const o = await offer();
    const { hq, site } = o;
    nextRoot(o, ['alice', 'bob'], ['alice', 'bob', 'dora']);
    const { update_id: id } = (await site.import(copyOf(hq))) as unknown as { update_id: string };
    rmSync(join(site.paths.policy, 'updates', id, 'metadata/2.root.json'));
    rmSync(at(hq, '2.root.json'));
    // All that the keys of the root before can sign, whoever has them by now.
    hq.propose(3);
    hq.ceremony(['alice', 'bob', 'nora']);
    await site.refuses('policy.not_newer', () => site.import(copyOf(hq)));
  });
});
