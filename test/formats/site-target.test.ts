import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BoundaryError } from '../../daemon/formats/boundary-error.ts';
import {
  bundlesNamed,
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

/** The target with another bundle in shadow. */
function shaded(more: object): SiteTarget {
  const shadow = { ...pinned, version: 4, path: 'bundles/base/4.json', ...more };
  return { ...target, environments: { production: { ...pinned, shadow } } };
}

describe('site target', () => {
  it('reads what it writes, with and without the dev stamp', () => {
    for (const one of [
      target,
      { ...target, profile: 'dev' as const },
      shaded({}),
      shaded({ classes: ['reboot'] }),
    ])
      expect(parseSiteTarget(bytes(formatSiteTarget(one)))).toEqual(one);
  });

  it.each([
    ['another schema', { ...target, schema: 'holdfast/site/v2' }],
    ['an unknown member', { ...target, extra: 1 }],
    ['another profile', { ...target, profile: 'node' }],
    ['a serial of 0', { ...target, serial: 0 }],
    ['a shadow of another path', shaded({ path: 'bundles/base/3.json' })],
    ['a shadow of a shadow', shaded({ shadow: pinned })],
    ['a shadow for no class', shaded({ classes: [] })],
    ['a shadow for what is no class', shaded({ classes: ['../x'] })],
    ['a shadow for a class that is a number', shaded({ classes: [1] })],
    ['an unknown member of a shadow', shaded({ enforce: true })],
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

  it('names every bundle with its environment, those in shadow too', () => {
    const names = bundlesNamed(shaded({})).map(([environment, { version }]) => [environment, version]);
    expect(names).toEqual([
      ['production', 3],
      ['production', 4],
    ]);
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
