import {
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { Updater } from 'tuf-js';
import { describe, expect, it } from 'vitest';
import { BoundaryError } from '../../daemon/formats/boundary-error.ts';
import { sha256Hex } from '../../daemon/formats/digest.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { setReferenceTime } from '../../daemon/policy/update-client.ts';
import { keyOf } from '../../sync/repository/keys.ts';
import { codeOfLater } from '../codes.ts';
import { temporaryDir } from '../host/temporary.ts';
import { bundleBytes, DAY, type Edit, NOW, PublisherWorld, SITE } from './publisher-world.ts';

function published(options: { profile?: 'dev' } = {}): PublisherWorld {
  const world = new PublisherWorld(temporaryDir(), options);
  world.publish(1);
  return world;
}

/** Keeps a copy of what a site would have accepted; returns its metadata directory. */
function accepted(world: PublisherWorld): string {
  const dir = temporaryDir();
  cpSync(world.dir, dir, { recursive: true });
  for (const file of readdirSync(join(dir, 'metadata'))) {
    // The store keeps one snapshot and one targets file, those of the accepted timestamp.
    if (/^1\.(snapshot|targets)\.json$/.test(file)) rmSync(join(dir, 'metadata', file));
  }
  return join(dir, 'metadata');
}

describe('an untouched update', () => {
  it('yields the site target, the bundle and its versions', async () => {
    const world = published();
    const update = await world.verify();
    const digest = sha256Hex(bundleBytes(1));
    expect(update).toMatchObject({
      versions: { root: 1, timestamp: 2, snapshot: 2, targets: 2 },
      profile: null,
      siteTarget: {
        site: SITE,
        serial: 1,
        environments: { production: { name: 'base', version: 1, digest, path: 'bundles/base/1.json' } },
      },
    });
    expect(update.bundles.get(digest)).toEqual(new Uint8Array(bundleBytes(1)));
  });

  it('is the same update from its own files, in memory or on disk, and whatever else lies on the medium', async () => {
    const world = published();
    world.publish(1, { site: 'other.example', bytes: bundleBytes(1), name: 'base' });
    const first = await world.verify();
    const dir = temporaryDir();
    for (const [name, bytes] of first.files) {
      mkdirSync(join(dir, name, '..'), { recursive: true });
      writeFileSync(join(dir, name), bytes);
    }
    writeFileSync(join(world.dir, 'autorun.inf'), 'junk');
    writeFileSync(world.path('metadata/99.snapshot.json'), 'junk');
    const again = await Promise.all([
      world.verify(),
      world.verify({ repositoryDir: dir }),
      world.verify({ files: first.files }),
    ]);
    expect(again.map(({ updateId }) => updateId)).toEqual([first.updateId, first.updateId, first.updateId]);
    expect([...first.files.keys()].some((name) => name.includes('other.example'))).toBe(false);
  });

  it('pins several environments to one or to different bundles', async () => {
    const world = published();
    world.publish(2, { environments: ['staging'] });
    const { siteTarget, bundles } = await world.verify();
    expect([
      siteTarget.serial,
      siteTarget.environments.production?.version,
      siteTarget.environments.staging?.version,
      bundles.size,
    ]).toEqual([2, 1, 2, 2]);
  });

  it('leaves nothing in the staging area, accepted or not', async () => {
    const dir = temporaryDir();
    const before = process.env.TMPDIR;
    const world = published();
    process.env.TMPDIR = dir;
    try {
      await world.verify();
      await codeOfLater(world.verify({ site: 'other.example' }));
    } finally {
      if (before === undefined) delete process.env.TMPDIR;
      else process.env.TMPDIR = before;
    }
    expect(readdirSync(dir)).toEqual([]);
  });
});

/** Each spoils an otherwise good repository in one way. */
const SPOILED: [string, string, (world: PublisherWorld) => void][] = [
  [
    'update.bad_signature',
    'a timestamp edited after signing',
    (w) => w.edit('metadata/timestamp.json', { version: 9 }),
  ],
  [
    'update.bad_signature',
    'a timestamp signed by another key',
    (w) => w.edit('metadata/timestamp.json', {}, w.newKey('mallory')),
  ],
  [
    'update.bad_signature',
    'a timestamp signed with the snapshot key',
    (w) => w.edit('metadata/timestamp.json', {}, w.keys.snapshot[0]),
  ],
  [
    'update.damaged',
    'an edited snapshot',
    (w) => w.edit('metadata/2.snapshot.json', { expires: '2099-01-01T00:00:00Z' }),
  ],
  [
    'update.damaged',
    'edited targets',
    (w) => w.edit('metadata/2.targets.json', { expires: '2099-01-01T00:00:00Z' }),
  ],
  [
    'update.damaged',
    'an older snapshot under the newer name',
    (w) => cpSync(w.path('metadata/1.snapshot.json'), w.path('metadata/2.snapshot.json')),
  ],
  [
    'update.damaged',
    'a changed bundle',
    (w) => writeFileSync(w.path(w.find('targets/bundles/base', '1.json')), bundleBytes(2)),
  ],
  [
    'update.damaged',
    'a bundle cut short',
    (w) => truncateSync(w.path(w.find('targets/bundles/base', '1.json')), 100),
  ],
  [
    'update.damaged',
    'another site’s file under this site’s name',
    (w) => {
      const own = w.find('targets/sites', `.${SITE}.json`);
      w.publish(1, { site: 'other.example' });
      cpSync(w.path(w.find('targets/sites', '.other.example.json')), w.path(own));
    },
  ],
  [
    'update.missing_file',
    'a missing bundle',
    (w) => rmSync(w.path(w.find('targets/bundles/base', '1.json'))),
  ],
  ['update.missing_file', 'a missing snapshot', (w) => rmSync(w.path('metadata/2.snapshot.json'))],
  ['update.missing_file', 'a missing timestamp', (w) => rmSync(w.path('metadata/timestamp.json'))],
  [
    'update.file_too_large',
    'a timestamp of 17 kB',
    (w) => writeFileSync(w.path('metadata/timestamp.json'), ' '.repeat(17_000)),
  ],
  [
    'update.file_too_large',
    'a bundle that grew to a gigabyte',
    (w) => truncateSync(w.path(w.find('targets/bundles/base', '1.json')), 2 ** 30),
  ],
  [
    'update.file_not_regular',
    'a timestamp that is a link',
    (w) => {
      renameSync(w.path('metadata/timestamp.json'), w.path('metadata/elsewhere.json'));
      symlinkSync('elsewhere.json', w.path('metadata/timestamp.json'));
    },
  ],
  [
    'update.file_not_directory',
    'a targets directory that is a link',
    (w) => {
      renameSync(w.path('targets'), w.path('elsewhere'));
      symlinkSync('elsewhere', w.path('targets'));
    },
  ],
  [
    'update.file_not_directory',
    'a metadata directory that leads away',
    (w) => {
      rmSync(w.path('metadata'), { recursive: true });
      symlinkSync('/etc', w.path('metadata'));
    },
  ],
  [
    'update.malformed',
    'a timestamp that is no JSON',
    (w) => writeFileSync(w.path('metadata/timestamp.json'), '{'),
  ],
  [
    'update.malformed',
    'a timestamp that is an empty array',
    (w) => writeFileSync(w.path('metadata/timestamp.json'), '[]'),
  ],
  [
    'update.bundle_site',
    'a bundle that does not name the site',
    (w) => void w.publish(2, { bytes: bundleBytes(2, { sites: ['other.example'] }) }),
  ],
  [
    'update.bundle_environment',
    'a bundle that does not know its environment',
    (w) => void w.publish(2, { environments: ['moon'] }),
  ],
  [
    'update.bundle_name',
    'a bundle under another name',
    (w) => void w.publish(2, { bytes: bundleBytes(2, { name: 'other' }) }),
  ],
  [
    'update.bundle_name',
    'a bundle under another version',
    (w) => void w.publish(3, { bytes: bundleBytes(2) }),
  ],
  [
    'update.bundle_defective',
    'a bundle that is none',
    (w) => void w.publish(2, { bytes: new TextEncoder().encode('{}') }),
  ],
];

describe('a spoiled update', () => {
  it.each(SPOILED)('is refused with %s: %s', async (code, _what, spoil) => {
    const world = published();
    spoil(world);
    expect(await codeOfLater(world.verify())).toBe(code);
  });

  it('says that nothing changed and what to do', async () => {
    const world = published();
    rmSync(world.path('metadata/timestamp.json'));
    await expect(world.verify()).rejects.toThrow(/not accepted.*Copy the whole repository/);
  });

  it('is refused whichever single byte of it is changed', async () => {
    const world = published();
    const { files } = await world.verify();
    const names = [...files.keys()].filter((name) => !name.endsWith('root.json'));
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...names),
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        async (name, position, flip) => {
          const bytes = new Uint8Array(files.get(name) ?? []);
          const at = position % bytes.length;
          bytes[at] = (bytes[at] ?? 0) ^ flip;
          const before = await world.verify();
          const outcome = await world
            .verify({ files: new Map(files).set(name, bytes) })
            .catch((error: unknown) => (error instanceof BoundaryError ? null : Promise.reject(error)));
          if (outcome === null) return;
          // Bytes outside the signed part (spaces, letters of hex) may change; what they say may not.
          expect([outcome.siteTarget, outcome.versions, outcome.bundles]).toEqual([
            before.siteTarget,
            before.versions,
            before.bundles,
          ]);
        },
      ),
      { numRuns: 150 },
    );
  });

  it('throws only boundary errors for any files at all', async () => {
    const world = published();
    const { files } = await world.verify();
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...files.keys()),
        fc.oneof(
          fc.uint8Array(),
          fc.json().map((text) => new TextEncoder().encode(text)),
        ),
        async (name, bytes) => {
          expect(await codeOfLater(world.verify({ files: new Map(files).set(name, bytes) }))).toMatch(
            /^(update\.[a-z_]+|accepted)$/,
          );
        },
      ),
      { numRuns: 150 },
    );
  });

  it.each([
    ['a name that climbs', 'bundles/../../etc/passwd.json'],
    ['a name of something else', 'firmware/1.bin'],
    ['an absolute name', '/etc/passwd'],
  ])('is refused whole when its signed targets list %s', async (_what, name) => {
    const world = published();
    resignTargets(world, (signed) => {
      const targets = signed.targets as JsonObject;
      targets[name] = Object.values(targets)[0] ?? null;
    });
    expect(await codeOfLater(world.verify())).toBe('update.bad_name');
  });

  it('is refused when a signed target has no SHA-256, or delegates', async () => {
    const weak = published();
    resignTargets(weak, (signed) => {
      for (const target of Object.values(signed.targets as JsonObject))
        (target as JsonObject).hashes = { md5: '0'.repeat(32) };
    });
    expect(await codeOfLater(weak.verify())).toBe('update.missing_target');
    const delegating = published();
    resignTargets(delegating, { delegations: { keys: {}, roles: [] } });
    expect(await codeOfLater(delegating.verify())).toBe('update.delegation');
  });
});

/** An insider with all keys below root: edits targets and signs the chain above again. */
function resignTargets(world: PublisherWorld, change: Edit): void {
  const meta = (name: string) => {
    const bytes = readFileSync(world.path(name));
    return { version: 2, length: bytes.length, hashes: { sha256: sha256Hex(bytes) } };
  };
  const { targets, snapshot, timestamp } = world.keys;
  world.edit('metadata/2.targets.json', change, targets[0]);
  world.edit(
    'metadata/2.snapshot.json',
    { meta: { 'targets.json': meta('metadata/2.targets.json') } },
    snapshot[0],
  );
  world.edit(
    'metadata/timestamp.json',
    { meta: { 'snapshot.json': meta('metadata/2.snapshot.json') } },
    timestamp[0],
  );
}

describe('time', () => {
  it.each([
    ['timestamp', 7],
    ['snapshot', 30],
    ['targets', 90],
  ])('refuses what has expired, by the clock that it is given: %s', async (role, days) => {
    const world = published();
    expect(await codeOfLater(world.verify({ now: NOW + 7 * DAY - 1_000 }))).toBe('accepted');
    if (role !== 'timestamp')
      for (const fresh of ['timestamp', 'snapshot'].filter((name) => name !== role)) extend(world, fresh);
    expect(await codeOfLater(world.verify({ now: NOW + days * DAY }))).toBe('update.expired');
  });

  it('can be ignored for what is in force already', async () => {
    const world = published();
    expect(await codeOfLater(world.verify({ now: NOW + 10_000 * DAY, expiry: 'ignore' }))).toBe('accepted');
  });

  it('is set where tuf-js looks at it; else verification does not start', () => {
    const dir = temporaryDir();
    const world = published();
    writeFileSync(join(dir, 'root.json'), world.root);
    const updater = new Updater({ metadataDir: dir, metadataBaseUrl: 'file:///metadata/' });
    setReferenceTime(updater, NOW);
    expect(Reflect.get(Reflect.get(updater, 'trustedSet') as object, 'referenceTime')).toEqual(new Date(NOW));
    Reflect.deleteProperty(Reflect.get(updater, 'trustedSet') as object, 'referenceTime');
    expect(() => setReferenceTime(updater, NOW)).toThrow(/keeps its reference time elsewhere/);
  });
});

/** Signs one role's metadata again with a far expiry, and the chain above it. */
function extend(world: PublisherWorld, role: string): void {
  const far = '2040-01-01T00:00:00Z';
  const { snapshot, timestamp } = world.keys;
  if (role === 'snapshot') world.edit('metadata/2.snapshot.json', { expires: far }, snapshot[0]);
  const bytes = readFileSync(world.path('metadata/2.snapshot.json'));
  world.edit(
    'metadata/timestamp.json',
    (signed) => {
      signed.expires = far;
      signed.meta = {
        'snapshot.json': { version: 2, length: bytes.length, hashes: { sha256: sha256Hex(bytes) } },
      };
    },
    timestamp[0],
  );
}

describe('rollback', () => {
  it('to an older timestamp, snapshot or targets is refused', async () => {
    const world = published();
    const old = temporaryDir();
    cpSync(world.dir, old, { recursive: true });
    world.publish(2);
    const trusted = accepted(world);
    expect(await codeOfLater(world.verify({ trustedMetadataDir: trusted }))).toBe('accepted');
    expect(await codeOfLater(world.verify({ trustedMetadataDir: trusted, repositoryDir: old }))).toBe(
      'update.rolled_back',
    );
  });

  it('is noticed behind a newer timestamp too', async () => {
    const world = published();
    world.publish(2);
    const trusted = accepted(world);
    const back = (file: string, version: number) => {
      const bytes = readFileSync(world.path(file));
      return { version, length: bytes.length, hashes: { sha256: sha256Hex(bytes) } };
    };
    // The timestamp key alone: a new timestamp for the old snapshot.
    world.edit(
      'metadata/timestamp.json',
      (signed) =>
        Object.assign(signed, {
          version: 10,
          meta: { 'snapshot.json': back('metadata/2.snapshot.json', 2) },
        }),
      world.keys.timestamp[0],
    );
    expect(await codeOfLater(world.verify({ trustedMetadataDir: trusted }))).toBe('update.rolled_back');
    // Timestamp and snapshot keys: a new snapshot for the old targets.
    cpSync(world.path('metadata/3.snapshot.json'), world.path('metadata/9.snapshot.json'));
    world.edit(
      'metadata/9.snapshot.json',
      (signed) =>
        Object.assign(signed, { version: 9, meta: { 'targets.json': back('metadata/2.targets.json', 2) } }),
      world.keys.snapshot[0],
    );
    world.edit(
      'metadata/timestamp.json',
      (signed) =>
        Object.assign(signed, {
          version: 11,
          meta: { 'snapshot.json': back('metadata/9.snapshot.json', 9) },
        }),
      world.keys.timestamp[0],
    );
    expect(await codeOfLater(world.verify({ trustedMetadataDir: trusted }))).toBe('update.rolled_back');
  });

  it('of the clock does not bring the accepted update back to life as a new one', async () => {
    const world = published();
    const trusted = accepted(world);
    const first = await world.verify();
    // Same version, other contents: the accepted one counts.
    world.edit('metadata/timestamp.json', { expires: '2040-01-01T00:00:00Z' }, world.keys.timestamp[0]);
    expect((await world.verify({ trustedMetadataDir: trusted })).updateId).toBe(first.updateId);
  });
});

describe('root rotation', () => {
  it('follows N to N+1 signed by old and new keys, and keeps the chain in the update', async () => {
    const world = published();
    const next = {
      ...world.keys,
      root: [world.newKey('root-3'), world.newKey('root-4')],
      timestamp: [world.newKey('timestamp-2')],
    };
    world.rotate(2, next, [...world.keys.root, ...next.root]);
    world.publish(2, { signers: next });
    const update = await world.verify();
    expect(update.versions.root).toBe(2);
    expect([...update.files.keys()].filter((name) => name.endsWith('root.json'))).toEqual([
      'metadata/1.root.json',
      'metadata/2.root.json',
    ]);
    expect((await world.verify({ files: update.files })).updateId).toBe(update.updateId);
  });

  it.each([
    ['the new keys alone', (w: PublisherWorld, next: PublisherWorld['keys']) => w.rotate(2, next, next.root)],
    [
      'the old keys alone',
      (w: PublisherWorld, next: PublisherWorld['keys']) => w.rotate(2, next, w.keys.root),
    ],
    [
      'one old key of two',
      (w: PublisherWorld, next: PublisherWorld['keys']) =>
        w.rotate(2, next, [...w.keys.root.slice(1), ...next.root]),
    ],
  ])('is refused when signed by %s', async (_who, rotate) => {
    const world = published();
    rotate(world, { ...world.keys, root: [world.newKey('root-3'), world.newKey('root-4')] });
    expect(await codeOfLater(world.verify())).toBe('update.root_not_authorized');
  });

  it('is refused with a wrong number inside', async () => {
    const world = published();
    const bytes = world.rotate(3, world.keys, world.keys.root);
    rmSync(world.path('metadata/3.root.json'));
    writeFileSync(world.path('metadata/2.root.json'), bytes);
    expect(await codeOfLater(world.verify())).toBe('update.wrong_root_version');
  });

  it('once accepted stays accepted, even if the medium leaves the new root out', async () => {
    const world = published();
    const stolen = world.keys;
    const next = { ...world.keys, timestamp: [world.newKey('timestamp-2')] };
    world.rotate(2, next, world.keys.root);
    world.publish(2, { signers: next });
    const trusted = accepted(world);
    rmSync(world.path('metadata/2.root.json'));
    world.publish(3, { signers: stolen });
    expect(await codeOfLater(world.verify({ trustedMetadataDir: trusted }))).toBe('update.bad_signature');
  });
});

describe('the pinned root', () => {
  it('must be signed by its own keys', async () => {
    const world = published();
    const other = new PublisherWorld(temporaryDir());
    const forged = JSON.parse(Buffer.from(world.root).toString('utf8')) as { signatures: unknown };
    forged.signatures = (
      JSON.parse(Buffer.from(other.root).toString('utf8')) as { signatures: unknown }
    ).signatures;
    expect(await codeOfLater(world.verify({ trustedRoot: Buffer.from(JSON.stringify(forged)) }))).toBe(
      'update.bad_root',
    );
  });

  it('of another publisher accepts nothing', async () => {
    const world = published();
    const other = new PublisherWorld(temporaryDir());
    expect(await codeOfLater(world.verify({ trustedRoot: other.root }))).toBe('update.bad_signature');
  });

  it('may not count one key twice under two ids', async () => {
    const world = published();
    const [first] = world.keys.root;
    if (first === undefined) throw new Error('no key');
    const bytes = JSON.parse(Buffer.from(world.root).toString('utf8')) as {
      signed: JsonObject;
      signatures: JsonObject[];
    };
    const keys = bytes.signed.keys as JsonObject;
    const roles = bytes.signed.roles as Record<string, JsonObject>;
    const id = keyOf(first).keyID;
    keys['f'.repeat(64)] = keys[id] ?? null;
    if (roles.root !== undefined) roles.root.keyids = [id, 'f'.repeat(64)];
    writeFileSync(world.path('metadata/1.root.json'), JSON.stringify(bytes));
    world.edit('metadata/1.root.json', {}, first);
    const signed = JSON.parse(readFileSync(world.path('metadata/1.root.json'), 'utf8')) as {
      signatures: JsonObject[];
    };
    signed.signatures.push({ keyid: 'f'.repeat(64), sig: signed.signatures[0]?.sig ?? '' });
    expect(await codeOfLater(world.verify({ trustedRoot: Buffer.from(JSON.stringify(signed)) }))).toBe(
      'update.bad_root',
    );
  });

  it('carries the dev stamp into the update; no rotation takes it off or puts it on', async () => {
    const dev = published({ profile: 'dev' });
    const update = await dev.verify();
    expect([update.profile, update.siteTarget.profile]).toEqual(['dev', 'dev']);
    dev.rotate(2, dev.keys, dev.keys.root, { profile: null });
    expect(await codeOfLater(dev.verify())).toBe('update.profile');
    const real = published();
    real.rotate(2, real.keys, real.keys.root, { profile: 'dev' });
    expect(await codeOfLater(real.verify())).toBe('update.profile');
  });
});

describe('the site', () => {
  it('finds nothing in a repository that does not speak of it', async () => {
    expect(await codeOfLater(published().verify({ site: 'other.example' }))).toBe('update.wrong_site');
  });

  it('is told when there is no repository', async () => {
    expect(await codeOfLater(published().verify({ repositoryDir: '/nowhere/at/all' }))).toBe(
      'update.not_a_repository',
    );
  });
});
