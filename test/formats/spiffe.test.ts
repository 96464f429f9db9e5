import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  isOfSite,
  parseSpiffeId,
  spiffeIdOf,
  spiffeIdOfNames,
  withPlaceholder,
  withSite,
} from '../../daemon/formats/spiffe.ts';

const SITE = 'outpost-7.example';

describe('a SPIFFE ID', () => {
  it('is a trust domain and a path', () => {
    expect(parseSpiffeId('spiffe://outpost-7.example/agent/ops-1')).toEqual({
      trust_domain: SITE,
      path: '/agent/ops-1',
    });
  });

  it.each([
    '',
    'spiffe://',
    'spiffe://outpost-7.example',
    'spiffe://outpost-7.example/',
    'spiffe:///agent',
    'https://outpost-7.example/agent',
    'SPIFFE://outpost-7.example/agent',
    'spiffe://Outpost-7.example/agent',
    'spiffe://outpost-7.example:8080/agent',
    'spiffe://user@outpost-7.example/agent',
    'spiffe://outpost-7.example/agent?x=1',
    'spiffe://outpost-7.example/agent#x',
    'spiffe://outpost-7.example/agent/',
    'spiffe://outpost-7.example//agent',
    'spiffe://outpost-7.example/./agent',
    'spiffe://outpost-7.example/agent/../operator',
    'spiffe://outpost-7.example/agent%2f..',
    'spiffe://outpost-7.example/agent ops',
    'spiffe://outpost-7.example/agent\n',
    `spiffe://outpost-7.example/${'a'.repeat(500)}`,
  ])('is not %j', (text) => {
    expect(() => parseSpiffeId(text)).toThrow(/SPIFFE ID is/);
  });

  it('is of a site only behind its whole name', () => {
    expect(isOfSite(`spiffe://${SITE}/a`, SITE)).toBe(true);
    expect(isOfSite(`spiffe://${SITE}/`, SITE)).toBe(false);
    expect(isOfSite(`spiffe://${SITE}.evil/a`, SITE)).toBe(false);
    expect(isOfSite('spiffe://example.org/outpost-7/a', 'example.org/outpost-7')).toBe(true);
    expect(isOfSite('spiffe://example.org/outpost-70/a', 'example.org/outpost-7')).toBe(false);
  });

  it('comes back out of the form for many sites', () => {
    const id = spiffeIdOf(SITE, '/gateway');
    expect(withPlaceholder(id, SITE)).toBe('spiffe://{{site}}/gateway');
    expect(withSite('spiffe://{{site}}/gateway', SITE)).toBe(id);
    expect(withPlaceholder('spiffe://other.example/gateway', SITE)).toBeNull();
  });
});

describe("a certificate's names", () => {
  it('hold one URI, whatever stands beside it', () => {
    expect(spiffeIdOfNames(`URI:spiffe://${SITE}/daemon, DNS:localhost`)).toBe(`spiffe://${SITE}/daemon`);
  });

  it.each([
    undefined,
    '',
    'DNS:localhost',
    'URI:https://outpost-7.example/daemon',
    `URI:spiffe://${SITE}/a, URI:spiffe://${SITE}/b`,
    // As node prints a name that holds a separator.
    `URI:"spiffe://${SITE}/a, DNS:x"`,
    `DNS:"x, URI:spiffe://${SITE}/a", URI:spiffe://${SITE}/b`,
    `URI:spiffe://${SITE}/a, othername:<unsupported>`,
    `URI:spiffe://${SITE}/../a`,
  ])('name nobody: %j', (names) => {
    expect(spiffeIdOfNames(names)).toBeNull();
  });

  it('never yield an ID that is not one', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 80 }), (text) => {
        const id = spiffeIdOfNames(`URI:spiffe://${text}`);
        if (id === null) return;
        expect(id).toBe(`spiffe://${text}`);
        expect(() => parseSpiffeId(id)).not.toThrow();
      }),
    );
  });
});
