import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BoundaryError } from '../../daemon/formats/boundary-error.ts';
import { findSiteDir, formatConfig, loadConfig, parseConfig, siteOrigin } from '../../daemon/host/config.ts';
import { temporaryDir } from './temporary.ts';

const minimal = { version: 1, site: 'outpost-7.example', profile: 'node' };
const parse = (value: unknown) => parseConfig(JSON.stringify(value), 'holdfast.json');

function failure(action: () => unknown): BoundaryError {
  try {
    action();
  } catch (error) {
    if (error instanceof BoundaryError) return error;
    throw error;
  }
  throw new Error('nothing was refused');
}

describe('holdfast.json', () => {
  it('has defaults for everything but version, site and profile', () => {
    expect(parse(minimal)).toMatchObject({
      site: 'outpost-7.example',
      profile: 'node',
      sockets: { group: null, mode: 0o660 },
      gateway: { audience: 'gateway', path: '/usr/sbin:/usr/bin:/sbin:/bin' },
      operator_actor: null,
    });
  });

  it('reads back what init writes', () => {
    const written = formatConfig({ site: 'outpost-7.example', profile: 'dev', operatorActor: 'operator' });
    expect(parseConfig(written, 'x')).toMatchObject({ profile: 'dev', operator_actor: 'operator' });
  });

  it.each([
    [{ ...minimal, sokets: {} }, '/sokets', 'did you mean "sockets"?'],
    [{ ...minimal, limits: { body_byte: 1 } }, '/limits/body_byte', 'did you mean "body_bytes"?'],
    [{ ...minimal, gateway: { zzz: 1 } }, '/gateway/zzz', 'known here: audience, path'],
  ])('refuses an unknown key and suggests the right one: %j', (value, at, words) => {
    const error = failure(() => parse(value));
    expect([error.code, error.at]).toEqual(['config.unknown_key', at]);
    expect(error.message).toContain(words);
  });

  it.each([
    [{ site: 'a.example', profile: 'dev' }, '/version'],
    [{ ...minimal, version: 2 }, '/version'],
    [{ version: 1, site: 'a.example' }, '/profile'],
    [{ ...minimal, profile: 'prod' }, '/profile'],
    [{ ...minimal, sockets: { mode: '0666' } }, '/sockets/mode'],
    [{ ...minimal, sockets: { mode: 432 } }, '/sockets/mode'],
    [{ ...minimal, sockets: { group: 'a b' } }, '/sockets/group'],
    [{ ...minimal, sockets: [] }, '/sockets'],
    [{ ...minimal, gateway: { path: 'bin' } }, '/gateway/path'],
    [{ ...minimal, limits: { body_bytes: 1e9 } }, '/limits/body_bytes'],
    [{ ...minimal, limits: { in_flight: 0.5 } }, '/limits/in_flight'],
    [{ ...minimal, log: { level: 'loud' } }, '/log/level'],
  ])('names the place of a wrong value: %j', (value, at) => {
    expect(failure(() => parse(value)).at).toBe(at);
  });

  it('throws only boundary errors, whatever the file holds', () => {
    fc.assert(
      fc.property(fc.oneof(fc.json(), fc.string()), (text) => {
        try {
          parseConfig(text, 'x');
        } catch (error) {
          expect(error).toBeInstanceOf(BoundaryError);
        }
      }),
    );
  });
});

describe('the section sync', () => {
  const sync = {
    mirror: 'https://hq.example/repository/',
    hosts: ['hq.example'],
    certificate: '/etc/holdfast/sync.pem',
    key: '/etc/holdfast/sync.key',
    ca: '/etc/holdfast/ca.pem',
  };

  it('is not there by default, and has defaults when it is', () => {
    expect(parse(minimal).sync).toBeNull();
    expect(parse({ ...minimal, sync }).sync).toMatchObject({
      ...sync,
      upstream: null,
      schedule: '17 * * * *',
      jitterMs: 600_000,
      proxy: null,
      limits: { total_bytes: 67_108_864 },
    });
  });

  it('names witnesses', () => {
    const witnesses = [{ url: 'https://hq.example/w/', name: 'w1' }, { url: 'https://hq.example/' }];
    expect(parse({ ...minimal, sync: { ...sync, witnesses } }).sync?.witnesses).toEqual([
      { url: 'https://hq.example/w/', name: 'w1' },
      { url: 'https://hq.example/', name: null },
    ]);
    expect(parse({ ...minimal, sync }).sync?.witnesses).toEqual([]);
  });

  it.each([
    [{ upstrem: 'x' }, '/sync/upstrem', 'did you mean "upstream"?'],
    [{ limits: { files_bytes: 1 } }, '/sync/limits/files_bytes', 'did you mean "file_bytes"?'],
    [{ limits: { files: 0 } }, '/sync/limits/files', ''],
    [{ mirror: undefined }, '/sync/mirror', 'is missing'],
    [{ mirror: 'http://hq.example/repository/' }, '/sync/mirror', ''],
    [{ mirror: 'https://user:word@hq.example/' }, '/sync/mirror', ''],
    [{ mirror: 'https://hq.example/../' }, '/sync/mirror', ''],
    [{ mirror: 'https://hq.example/repository' }, '/sync/mirror', 'slash'],
    [{ mirror: 'https://hq.exampel/repository/' }, '/sync/mirror', 'hq.example'],
    [{ upstream: 'https://elsewhere.example/' }, '/sync/upstream', 'hq.example'],
    [{ witnesses: {} }, '/sync/witnesses', 'a list'],
    [{ witnesses: [{ url: 'http://hq.example/w/' }] }, '/sync/witnesses/0/url', ''],
    [{ witnesses: [{ url: 'https://elsewhere.example/' }] }, '/sync/witnesses/0/url', 'sync.hosts'],
    [{ witnesses: [{ ulr: 'https://hq.example/' }] }, '/sync/witnesses/0/ulr', 'did you mean "url"?'],
    [{ witnesses: [{ url: 'https://hq.example/w/', name: '../w' }] }, '/sync/witnesses/0/name', ''],
    [
      { witnesses: [{ url: 'https://hq.example/w/' }, { url: 'https://hq.example/w/', name: 'b' }] },
      '/sync/witnesses',
      'once',
    ],
    [{ hosts: [] }, '/sync/hosts', ''],
    [{ hosts: ['hq.example', 'hq.example'] }, '/sync/hosts', ''],
    [{ hosts: ['*.example'] }, '/sync/hosts', ''],
    [{ key: 'sync.key' }, '/sync/key', 'absolute'],
    [{ schedule: 'now' }, '/sync/schedule', 'cron'],
    [{ jitter: '2d' }, '/sync/jitter', ''],
    [{ jitter: '25h' }, '/sync/jitter', ''],
    [{ proxy: 'socks://a:1' }, '/sync/proxy', ''],
  ])('is strict: %j', (change, at, words) => {
    const error = failure(() => parse({ ...minimal, sync: { ...sync, ...change } }));
    expect(error.at).toBe(at);
    expect(error.message).toContain(words);
  });
});

describe('site origin', () => {
  it.each(['outpost-7.example', 'a', 'example.org/outpost-7', 'a.b/c/d_e.f'])('accepts %s', (text) => {
    expect(siteOrigin(text)).toBe(text);
  });

  it.each([
    '',
    'https://a.example',
    'A.example',
    'a.example/',
    'a..b',
    '../a',
    'a/../b',
    'a//b',
    'a.example:80',
    '-a',
    'a b',
    'a/.b',
    'a.example\n',
    'ä.example',
    `${'a'.repeat(201)}`,
  ])('refuses %j', (text) => {
    expect(failure(() => siteOrigin(text)).code).toBe('site.bad_origin');
  });
});

describe('how callers are known', () => {
  const peers = (settings: object, profile = 'node') => parse({ ...minimal, profile, peers: settings }).peers;

  it('is left open by default, and never on an appliance', () => {
    expect(peers({})).toMatchObject({ require_identity: false, tls: false, rotate: '23 4 1 * *' });
    expect(peers({}, 'appliance')).toMatchObject({ require_identity: true, tls: true });
    expect(peers({ tls: true }, 'dev')).toMatchObject({ require_identity: false, tls: true });
  });

  it.each([
    [{ tls: false }, '/peers/tls'],
    [{ require_identity: false }, '/peers/require_identity'],
  ])('cannot be turned off there: %j', (settings, pointer) => {
    expect(failure(() => peers(settings, 'appliance')).at).toBe(pointer);
  });

  it.each([
    [{ tls: 'yes' }, '/peers/tls'],
    [{ certificate: '/a.pem' }, '/peers/key'],
    [{ key: '/a.key' }, '/peers/certificate'],
    [{ certificate: 'a.pem', key: '/a.key' }, '/peers/certificate'],
    [{ rotate: 'monthly' }, '/peers/rotate'],
    [{ require_identities: true }, '/peers/require_identities'],
  ])('refuses %j', (settings, pointer) => {
    expect(failure(() => peers(settings)).at).toBe(pointer);
  });
});

describe('site directory', () => {
  it('is the option, else the variable; a site must be there', () => {
    const dir = temporaryDir();
    const other = join(dir, 'other');
    mkdirSync(other);
    writeFileSync(join(dir, 'holdfast.json'), JSON.stringify(minimal));
    writeFileSync(join(other, 'holdfast.json'), JSON.stringify(minimal));
    expect(findSiteDir(dir, { HOLDFAST_DIR: other })).toBe(dir);
    expect(findSiteDir(undefined, { HOLDFAST_DIR: other })).toBe(other);
    expect(loadConfig(dir).site).toBe('outpost-7.example');
  });

  it('is never made up', () => {
    const dir = temporaryDir();
    const error = failure(() => findSiteDir(dir, {}));
    expect(error.code).toBe('site.not_found');
    expect(error.message).toContain('holdfast init');
  });
});
