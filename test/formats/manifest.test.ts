import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { publicKeyOf } from '../../daemon/formats/ed25519.ts';
import {
  formatManifest,
  MANIFEST_NAMESPACE,
  openManifest,
  parseManifestText,
  sealManifest,
} from '../../daemon/formats/manifest.ts';
import { ed25519Blob } from '../../daemon/formats/ssh-public-key.ts';
import { signSshsig } from '../../daemon/formats/sshsig.ts';
import { codeOf } from '../codes.ts';

const SEED = new Uint8Array(32).fill(3);
const MANIFEST = {
  version: '0.1.0',
  platform: 'linux-x64',
  files: new Map([
    ['holdfast', { sha256: 'ab'.repeat(32), size: 119_671_616 }],
    ['native/koffi.node', { sha256: 'cd'.repeat(32), size: 7 }],
  ]),
};

function lineOf(seed: Uint8Array): string {
  return `ssh-ed25519 ${Buffer.from(ed25519Blob(publicKeyOf(seed))).toString('base64')}\n`;
}

function seal(text: string, namespace = MANIFEST_NAMESPACE, seed = SEED): string {
  const message = Buffer.from(text);
  return sealManifest(text, signSshsig({ seed, publicKey: publicKeyOf(seed), namespace, message }));
}

describe('a manifest', () => {
  it('is read as it was written', () => {
    expect(openManifest(seal(formatManifest(MANIFEST)), lineOf(SEED))).toEqual(MANIFEST);
  });

  it('counts under the release key alone, and as a manifest alone', () => {
    const text = formatManifest(MANIFEST);
    const other = new Uint8Array(32).fill(4);
    expect(codeOf(() => openManifest(seal(text), lineOf(other)))).toBe('manifest.unsigned');
    expect(codeOf(() => openManifest(seal(text, 'holdfast-release'), lineOf(SEED)))).toBe(
      'manifest.unsigned',
    );
    expect(codeOf(() => openManifest(text, lineOf(SEED)))).toBe('manifest.malformed');
    expect(codeOf(() => openManifest(`${text}\nno armor`, lineOf(SEED)))).toBe('manifest.unsigned');
  });

  it('is nothing any more once a single character is another', () => {
    const sealed = seal(formatManifest(MANIFEST));
    const end = sealed.indexOf('\n\n');
    fc.assert(
      fc.property(fc.integer({ min: 0, max: end }), fc.constantFrom('0', 'x', '\n', ' '), (at, character) => {
        fc.pre(sealed[at] !== character);
        const changed = sealed.slice(0, at) + character + sealed.slice(at + 1);
        expect(codeOf(() => openManifest(changed, lineOf(SEED)))).toMatch(/^manifest\.(unsigned|malformed)$/);
      }),
    );
  });

  it.each([
    ['', 'nothing'],
    ['holdfast/manifest/v2\nversion 1\nplatform x\nsha256 ', 'another version'],
    [formatManifest({ ...MANIFEST, files: new Map() }), 'no files'],
    [formatManifest(MANIFEST).replace('native/', '../'), 'a name that climbs'],
    [formatManifest(MANIFEST).replace('native/koffi.node', 'holdfast'), 'a file twice'],
    [formatManifest(MANIFEST).replace(' 7 ', ' 07 '), 'a number in another form'],
    [formatManifest(MANIFEST).replace('version 0.1.0', 'version'), 'no version'],
    [`${formatManifest(MANIFEST)}more\n`, 'a line too many'],
    [formatManifest(MANIFEST).trimEnd(), 'no end'],
  ])('is refused: %#', (text, _why) => {
    expect(codeOf(() => parseManifestText(text))).toBe('manifest.malformed');
  });
});
