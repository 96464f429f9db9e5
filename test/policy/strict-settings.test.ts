import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { BundleSchema } from '../../daemon/core/bundle-schema.ts';
import { structureDefects } from '../../daemon/core/bundle-structure.ts';
import type { BoundaryError } from '../../daemon/formats/boundary-error.ts';
import type { Json, JsonObject } from '../../daemon/formats/json.ts';
import { ANCHORS_SETTINGS } from '../../daemon/host/config/anchors.ts';
import { BACKUP_SETTINGS } from '../../daemon/host/config/backup.ts';
import { COPY_SETTINGS } from '../../daemon/host/config/copy.ts';
import { DISK_SETTINGS } from '../../daemon/host/config/disk.ts';
import { KEYS_SETTINGS } from '../../daemon/host/config/keys.ts';
import { PEERS_SETTINGS } from '../../daemon/host/config/peers.ts';
import { INTEGRITY_SETTINGS, RETENTION_SETTINGS } from '../../daemon/host/config/retention.ts';
import { SECRETS_SETTINGS } from '../../daemon/host/config/secrets.ts';
import { SIEM_SETTINGS } from '../../daemon/host/config/siem.ts';
import { DEFAULT_SYNC_LIMITS, SYNC_SETTINGS } from '../../daemon/host/config/sync.ts';
import { WATCH_SETTINGS } from '../../daemon/host/config/watch.ts';
import { DEFAULT_LIMITS, parseConfig } from '../../daemon/host/config.ts';
import { LIFETIMES, readSettings, writeSettings } from '../../sync/repository/settings.ts';
import { temporaryDir } from '../host/temporary.ts';

/* A setting that is mistyped and dropped without a word would leave its author believing in it. */

/** The first letter twice, as a finger slips. */
const mistyped = (key: string): string => `${key.slice(0, 1)}${key}`;

const SYNC = {
  mirror: 'https://hq.example/repository/',
  hosts: ['hq.example'],
  certificate: '/etc/holdfast/sync.pem',
  key: '/etc/holdfast/sync.key',
  ca: '/etc/holdfast/ca.pem',
};

/** Every section of holdfast.json, what it must hold beside the slip, and its settings. */
const SECTIONS: [path: string[], beside: JsonObject, settings: readonly string[]][] = [
  [['sockets'], {}, ['group', 'mode']],
  [['gateway'], {}, ['audience', 'path']],
  [['peers'], {}, PEERS_SETTINGS],
  [['limits'], {}, Object.keys(DEFAULT_LIMITS)],
  [['disk'], {}, DISK_SETTINGS],
  [['watch'], {}, WATCH_SETTINGS],
  [['keys'], {}, KEYS_SETTINGS],
  [['anchors'], {}, ANCHORS_SETTINGS],
  [['siem'], {}, SIEM_SETTINGS],
  [['siem', 'file'], {}, ['format', 'path', 'rotate_bytes']],
  [['siem', 'outbox'], {}, ['format', 'batch_seconds', 'batch_bytes']],
  [['retention'], {}, RETENTION_SETTINGS],
  [['integrity'], {}, INTEGRITY_SETTINGS],
  [['log'], {}, ['level']],
  [['secrets'], {}, SECRETS_SETTINGS],
  [['sync'], SYNC, SYNC_SETTINGS],
  [['sync', 'limits'], {}, Object.keys(DEFAULT_SYNC_LIMITS)],
  [['copy'], {}, COPY_SETTINGS],
  [['backup'], {}, BACKUP_SETTINGS],
];

function configWith(path: readonly string[], section: JsonObject): string {
  const top: JsonObject = { version: 1, site: 'outpost-7.example', profile: 'node' };
  const [outer = '', inner] = path;
  const around = outer === 'sync' ? SYNC : {};
  top[outer] = inner === undefined ? section : { ...around, [inner]: section };
  return JSON.stringify(top);
}

describe('holdfast.json', () => {
  it.each(SECTIONS)(
    'refuses each misspelt setting of %j, and names the right one',
    (path, beside, settings) => {
      for (const setting of settings) {
        const slip = mistyped(setting);
        const error = failure(() => parseConfig(configWith(path, { ...beside, [slip]: 1 }), 'holdfast.json'));
        expect([error.code, error.at]).toEqual(['config.unknown_key', `/${[...path, slip].join('/')}`]);
        expect(error.message).toContain(`did you mean "${setting}"? Nothing was started.`);
      }
    },
  );
});

/** The part of JSON Schema that is walked here. */
interface Schema {
  const?: Json;
  anyOf?: Schema[];
  properties?: Record<string, Schema>;
  patternProperties?: Record<string, Schema>;
  additionalProperties?: boolean;
  items?: Schema;
}

describe('a policy', () => {
  it('has no object, however deep, into which a misspelt key would vanish', () => {
    let objects = 0;
    for (const [at, schema, tag] of objectsOf(BundleSchema as Schema, '', null)) {
      objects += 1;
      expect(schema.additionalProperties, at).toBe(false);
      for (const key of Object.keys(schema.properties ?? {})) {
        const slip = mistyped(key);
        const value: JsonObject = key === tag?.name ? { [slip]: tag.value } : { ...beside(tag), [slip]: 1 };
        const found = structureDefects(tag?.union ?? schema, value).find(
          ({ pointer }) => pointer === `/${slip}`,
        );
        expect(found, `${at}/${slip}`).toMatchObject({ found: `the unknown key "${slip}"` });
        expect(found?.write_instead, `${at}/${slip}`).toContain(`did you mean "${key}"?`);
      }
    }
    expect(objects).toBeGreaterThan(50);
  });
});

/** The member by which the shapes of a union are told apart, in one of them. */
interface Tag {
  name: string;
  value: Json;
  union: Schema;
}

function beside(tag: Tag | null): JsonObject {
  return tag === null ? {} : { [tag.name]: tag.value };
}

function* objectsOf(schema: Schema, at: string, tag: Tag | null): Generator<[string, Schema, Tag | null]> {
  for (const option of schema.anyOf ?? []) {
    const literal = Object.entries(option.properties ?? {}).find(([, member]) => member.const !== undefined);
    if (literal === undefined) continue;
    const [name, { const: value = null }] = literal;
    yield* objectsOf(option, `${at}|${String(value)}`, { name, value, union: schema });
  }
  const members = Object.entries({ ...schema.properties, ...schema.patternProperties });
  if (schema.properties !== undefined || schema.patternProperties !== undefined) yield [at, schema, tag];
  for (const [key, member] of members) yield* objectsOf(member, `${at}/${key}`, null);
  if (schema.items !== undefined) yield* objectsOf(schema.items, `${at}/[]`, null);
}

describe('publisher.json', () => {
  const dir = () => {
    const path = temporaryDir();
    writeSettings(path, LIFETIMES);
    return { path, file: join(path, 'publisher.json') };
  };
  const edit = (file: string, change: (settings: Record<string, JsonObject>) => void): void => {
    const settings = JSON.parse(readFileSync(file, 'utf8')) as Record<string, JsonObject>;
    change(settings);
    writeFileSync(file, JSON.stringify(settings));
  };

  it('reads back what was written', () => {
    expect(readSettings(dir().path)).toEqual({ lifetimes: LIFETIMES });
  });

  it.each([
    [
      '/lifetimes/timestmp',
      'did you mean "timestamp"?',
      (s: Record<string, JsonObject>) => Object.assign(s.lifetimes ?? {}, { timestmp: 5 }),
    ],
    [
      '/lifetime',
      'did you mean "lifetimes"?',
      (s: Record<string, JsonObject>) => Object.assign(s, { lifetime: {} }),
    ],
    [
      '/mirror',
      'known here: schema, lifetimes.',
      (s: Record<string, JsonObject>) => Object.assign(s, { mirror: {} }),
    ],
    [
      '/lifetimes',
      'is not a JSON object.',
      (s: Record<string, JsonObject>) => Object.assign(s, { lifetimes: [] }),
    ],
    [
      'holdfast/publisher/v1',
      'another version',
      (s: Record<string, JsonObject>) => Object.assign(s, { schema: 'x' }),
    ],
  ])('refuses what it does not know: %s', (at, words, change) => {
    const { path, file } = dir();
    edit(file, change);
    const error = failure(() => readSettings(path));
    expect([error.code, error.at]).toEqual(['publisher.malformed', file]);
    expect(error.message).toContain(at);
    expect(error.message).toContain(words);
  });
});

function failure(act: () => unknown): BoundaryError {
  try {
    act();
  } catch (error) {
    return error as BoundaryError;
  }
  throw new Error('nothing was refused');
}
