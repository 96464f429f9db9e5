import { readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { canonicalBytes } from '../../daemon/formats/canonical-json.ts';
import { sha256Hex } from '../../daemon/formats/digest.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { addTarget, forge, newest, readMetadata } from './forge.ts';
import { copyOf, type Offer, OTHER, offer } from './hostile-world.ts';
import { bundleBytes, SITE } from './publisher-world.ts';

/* What a repository's targets can do to a site, against a real engine: tampered files, and signed ones that are no good. */

/** The one file below `targets/` whose name ends so. */
function target(root: string, folder: string, ending: string): string {
  const dir = join(root, 'targets', folder);
  const found = readdirSync(dir).filter((name) => name.endsWith(ending));
  if (found.length !== 1) throw new Error(`${found.length} files end in ${ending}`);
  return join(dir, found[0] ?? '');
}

const bundle2 = ({ hq }: Offer): string => target(hq.repository, 'bundles/base', '.2.json');

/** The newest site file of SITE, by the list of its region. */
function siteFile({ hq }: Offer): { path: string; value: JsonObject } {
  const list = readMetadata(hq, newest(hq, 'north')).signed.targets as Record<
    string,
    { hashes: { sha256: string } }
  >;
  const digest = list[`sites/${SITE}.json`]?.hashes.sha256 ?? '';
  const path = join(hq.repository, 'targets/sites', `${digest}.${SITE}.json`);
  return { path, value: JSON.parse(readFileSync(path, 'utf8')) as JsonObject };
}

/** Everybody signs a site file that says this. */
function signSite(o: Offer, changes: JsonObject): void {
  const bytes = canonicalBytes({ ...siteFile(o).value, ...changes });
  const name = `sites/${SITE}.json`;
  const file = addTarget(o.hq, name, bytes);
  forge(o.hq, newest(o.hq, 'north'), ['nora'], (signed) => {
    signed.targets = { [name]: file };
  });
}

/** Everybody signs these bytes as the bundle `name` version `version`, and pins production to it. */
function signBundle(o: Offer, bytes: Uint8Array, { name = 'base', version = 2 } = {}): void {
  const path = `bundles/${name}/${version}.json`;
  const file = addTarget(o.hq, path, bytes);
  forge(o.hq, newest(o.hq, 'targets'), ['alice', 'bob'], (signed) => {
    (signed.targets as JsonObject)[path] = file;
  });
  signSite(o, { environments: { production: { name, version, digest: sha256Hex(bytes), path } } });
}

/** The good second bundle with members put in. */
function changed(members: JsonObject, version = 2): Uint8Array {
  const good = JSON.parse(Buffer.from(bundleBytes(version)).toString('utf8')) as JsonObject;
  return canonicalBytes({ ...good, ...members });
}

const LIST = (o: Offer): string => newest(o.hq, 'targets');
type Row = [string, string, (o: Offer) => unknown];

const TAMPERED: Row[] = [
  [
    'update.damaged',
    'a bundle with one byte changed',
    (o) => {
      const bytes = readFileSync(bundle2(o));
      bytes[100] = (bytes[100] ?? 0) ^ 1;
      writeFileSync(bundle2(o), bytes);
    },
  ],
  ['update.damaged', 'another bundle under its name', (o) => writeFileSync(bundle2(o), bundleBytes(7))],
  ['update.damaged', 'a bundle cut short', (o) => truncateSync(bundle2(o), 100)],
  [
    'update.damaged',
    'a bundle with bytes behind its end',
    (o) => writeFileSync(bundle2(o), Buffer.concat([readFileSync(bundle2(o)), Buffer.from(' ')])),
  ],
  [
    'update.file_too_large',
    'a bundle larger than a bundle may be',
    (o) => truncateSync(bundle2(o), 1_048_577),
  ],
  ['update.missing_file', 'a bundle that is not there', (o) => rmSync(bundle2(o))],
  ['update.damaged', 'an empty site file', (o) => truncateSync(siteFile(o).path, 0)],
  [
    'update.damaged',
    'the file of another site under the name of this one',
    (o) => writeFileSync(siteFile(o).path, readFileSync(target(o.hq.repository, 'sites', `.${OTHER}.json`))),
  ],
];

const SIGNED: Row[] = [
  [
    'update.bundle_defective',
    'a bundle that is valid JSON and no bundle',
    (o) => signBundle(o, canonicalBytes({ hello: 'world' })),
  ],
  [
    'update.bundle_defective',
    'a bundle that is not canonical',
    (o) => signBundle(o, Buffer.concat([bundleBytes(2), Buffer.from('\n')])),
  ],
  [
    'update.bundle_defective',
    'a bundle whose conditions do not read',
    (o) =>
      signBundle(
        o,
        changed({
          gates: [{ id: 'g', condition: 'actor.id ==', otherwise: 'fail', reason: 'Half a condition.' }],
        }),
      ),
  ],
  [
    'update.bundle_defective',
    'a bundle whose conditions have the wrong type',
    (o) =>
      signBundle(
        o,
        changed({
          actions: {
            look: { description: 'Look.', target: { type: 'x', id_pattern: '.*' }, base_risk: 0, tool: 't' },
          },
          tools: { t: { connector: 'exec', argv: ['/bin/true'] } },
          gates: [{ id: 'g', condition: 'actor.id', otherwise: 'fail', reason: 'A text, not an answer.' }],
        }),
      ),
  ],
  [
    'update.bundle_defective',
    'a bundle that would run a shell',
    (o) => signBundle(o, changed({ tools: { t: { connector: 'exec', argv: ['/bin/sh', '-c', 'x'] } } })),
  ],
  [
    'update.bundle_defective',
    'a bundle that enrols a key which verifies anything',
    (o) => {
      const blob = Buffer.concat([
        Buffer.from([0, 0, 0, 11]),
        Buffer.from('ssh-ed25519'),
        Buffer.from([0, 0, 0, 32, 1]),
        Buffer.alloc(31),
      ]);
      const keys = [{ public_key: `ssh-ed25519 ${blob.toString('base64')}` }];
      signBundle(
        o,
        changed({ principals: { eve: { kind: 'human', roles: ['L2'], status: 'active', keys } } }),
      );
    },
  ],
  [
    'update.bundle_site',
    'a bundle of another site',
    (o) => signBundle(o, bundleBytes(2, { sites: [OTHER] })),
  ],
  [
    'update.bundle_name',
    'a bundle that calls itself otherwise than its pin',
    (o) => signBundle(o, bundleBytes(2, { name: 'weaker' })),
  ],
  [
    'update.bundle_environment',
    'a bundle for an environment that it does not know',
    (o) => signBundle(o, bundleBytes(2, { environments: ['staging'] })),
  ],
  [
    'update.bundle_digest',
    'a pin to other bytes than those of the list',
    (o) => {
      const { environments } = siteFile(o).value as { environments: Record<string, JsonObject> };
      signSite(o, { environments: { production: { ...environments.production, digest: '0'.repeat(64) } } });
    },
  ],
  [
    'update.missing_target',
    'a pin to a bundle that nobody listed',
    (o) => {
      const environments = {
        production: { name: 'base', version: 9, digest: '0'.repeat(64), path: 'bundles/base/9.json' },
      };
      signSite(o, { environments });
    },
  ],
  [
    'update.file_too_large',
    'a bundle that is listed with more bytes than a bundle may have',
    (o) =>
      forge(o.hq, LIST(o), ['alice', 'bob'], (signed) => {
        const file = (signed.targets as Record<string, JsonObject>)['bundles/base/2.json'];
        Object.assign(file ?? {}, { length: 2 ** 40 });
      }),
  ],
  [
    'update.bad_name',
    'a listed name that climbs',
    (o) =>
      forge(o.hq, LIST(o), ['alice', 'bob'], (signed) => {
        (signed.targets as JsonObject)['bundles/../../../../etc/shadow'] = {
          length: 1,
          hashes: { sha256: '0'.repeat(64) },
        };
      }),
  ],
  ['update.wrong_site', 'the file of this site, naming another', (o) => signSite(o, { site: OTHER })],
  ['update.site_target', 'a site file with a member that means nothing here', (o) => signSite(o, { x: 1 })],
  ['update.profile', 'a dev stamp under a real root', (o) => signSite(o, { profile: 'dev' })],
  [
    'policy.not_newer',
    'a lower version of the bundle that is in force, signed by all and with a higher serial',
    (o) => {
      const before = bundleBytes(1);
      signBundle(o, before, { version: 1 });
      signSite(o, { serial: 1_000 });
    },
  ],
  ['policy.not_newer', 'a serial below the one in force', (o) => signSite(o, { serial: 1 })],
];

const THEMES: [string, Row[]][] = [
  ['tampered targets', TAMPERED],
  ['signed targets', SIGNED],
];

describe.each(THEMES)('%s', (_theme, rows) => {
  it.each(rows)('is refused with %s: %s', async (code, _what, spoil) => {
    const o = await offer();
    if (code === 'policy.not_newer') {
      // About going back: version 2 is in force then.
      await o.site.import(o.good);
      o.hq.propose(3);
      o.hq.ceremony(['alice', 'bob', 'nora']);
    }
    await spoil(o);
    const path = copyOf(o.hq);
    await o.site.refuses(code, () => o.site.import(path));
    expect(await o.site.import(o.good)).toMatchObject({ applied: true });
  });
});

it('a good update after many bad ones finds a store that holds nothing of them', async () => {
  const o = await offer();
  const good = copyOf(o.hq);
  const clean = await offer();
  await clean.site.import(clean.good);
  for (const spoil of [SIGNED[2], SIGNED[4], TAMPERED[0]]) {
    const again = await offer();
    spoil?.[2](again);
    // Of another publisher, as far as this site can tell.
    await o.site.refuses('update.bad_signature', () => o.site.import(copyOf(again.hq)));
  }
  await o.site.import(good);
  expect(Object.keys(o.site.stored()).length).toBe(Object.keys(clean.site.stored()).length);
});
