import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BoundaryError } from '../../daemon/formats/boundary-error.ts';
import {
  bundleTargetName,
  formatSiteTarget,
  isTargetName,
  parseSiteTarget,
  type SiteTarget,
  siteTargetName,
} from '../../daemon/formats/site-target.ts';

const bytes = (text: string) => new TextEncoder().encode(text);
const pinned = { name: 'base', version: 3, digest: 'a'.repeat(64), path: 'bundles/base/3.json' };
const target: SiteTarget = {
  schema: 'holdfast/site/v1',
  site: 'outpost-7.example',
  serial: 4,
  issued_at: '2026-11-20T12:00:00Z',
  environments: { production: pinned },
};

describe('site target', () => {
  it('reads what it writes, with and without the dev stamp', () => {
    for (const one of [target, { ...target, profile: 'dev' as const }])
      expect(parseSiteTarget(bytes(formatSiteTarget(one)))).toEqual(one);
  });

  it.each([
    ['another schema', { ...target, schema: 'holdfast/site/v2' }],
    ['an unknown member', { ...target, extra: 1 }],
    ['another profile', { ...target, profile: 'node' }],
    ['a serial of 0', { ...target, serial: 0 }],
    ['a fractional serial', { ...target, serial: 1.5 }],
    ['a local time', { ...target, issued_at: '2026-11-20T12:00:00+01:00' }],
    ['no environments', { ...target, environments: {} }],
    ['an environment with a path for a name', { ...target, environments: { '../x': pinned } }],
    [
      'a path that is not the bundle’s',
      { ...target, environments: { production: { ...pinned, path: 'bundles/base/2.json' } } },
    ],
    [
      'a digest in capitals',
      { ...target, environments: { production: { ...pinned, digest: 'A'.repeat(64) } } },
    ],
    [
      'a missing digest',
      { ...target, environments: { production: { name: 'base', version: 3, path: pinned.path } } },
    ],
  ])('refuses %s', (_what, value) => {
    expect(() => parseSiteTarget(bytes(JSON.stringify(value)))).toThrow(BoundaryError);
  });

  it('throws only boundary errors', () => {
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array(), fc.json().map(bytes)), (input) => {
        expect(() => parseSiteTarget(input)).toThrow(BoundaryError);
      }),
    );
  });
});

describe('target names', () => {
  it('cover bundles and sites', () => {
    expect([bundleTargetName('base', 1), siteTargetName('hq.example/a-1')].map(isTargetName)).toEqual([
      true,
      true,
    ]);
  });

  it.each([
    'bundles/base/0.json',
    'bundles/base/01.json',
    'bundles/../x/1.json',
    'bundles/Base/1.json',
    'sites/../x.json',
    'sites//x.json',
    '/sites/x.json',
    'sites/x',
    'bundles/base/1.json/x',
    '',
    'sites/x.json\n',
  ])('do not cover %j', (name) => {
    expect(isTargetName(name)).toBe(false);
  });
});
