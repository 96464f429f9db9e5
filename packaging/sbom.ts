import { createHash } from 'node:crypto';
import { ARCHIVE_TIME } from './archive.ts';
import { isRuntime, type Part } from './parts.ts';
import type { Architecture } from './runtimes.ts';

/* The bill of materials of an executable: CycloneDX 1.6, JSON. */

export interface Materials {
  version: string;
  arch: Architecture;
  parts: readonly Part[];
  /** The executable itself. */
  executable: Uint8Array;
  /** Native addons inside, by name. */
  addons: Readonly<Record<string, Uint8Array>>;
  /** What the runtime says that it contains (`process.versions`), and the version of SQLite. */
  versions: Readonly<Record<string, string>>;
  sqlite: string;
}

/** What of `process.versions` is no library of its own. */
const NOT_LIBRARIES = ['node', 'modules', 'napi', 'unicode', 'cldr', 'tz'];

/** The document's text, the same for the same materials. */
export function billOfMaterials(materials: Materials): string {
  const { version, arch, parts, executable } = materials;
  const product = `pkg:generic/holdfast@${version}?arch=${arch}`;
  const digest = sha256(executable);
  const document = {
    $schema: 'http://cyclonedx.org/schema/bom-1.6.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    serialNumber: `urn:uuid:${uuidOf(digest)}`,
    version: 1,
    metadata: {
      timestamp: ARCHIVE_TIME.toISOString(),
      component: {
        type: 'application',
        'bom-ref': product,
        name: 'holdfast',
        version,
        hashes: [{ alg: 'SHA-256', content: digest }],
        licenses: [{ license: { id: 'Apache-2.0' } }],
        purl: product,
      },
    },
    components: [...parts.map((part) => componentOf(part, materials)), ...addonsOf(materials)],
    dependencies: [
      { ref: product, dependsOn: [...parts.map(purlOf), ...Object.keys(materials.addons).map(addonRef)] },
      ...parts.map((part) => ({ ref: purlOf(part), dependsOn: part.needs.flatMap(purlAt) })),
    ],
  };
  return `${JSON.stringify(document, null, 2)}\n`;

  function purlAt(dir: string): string[] {
    return parts.filter((part) => part.dir === dir).map(purlOf);
  }
}

function componentOf(part: Part, { versions }: Materials): object {
  const slash = part.name.lastIndexOf('/');
  return {
    type: isRuntime(part) ? 'platform' : 'library',
    'bom-ref': purlOf(part),
    ...(slash < 0 ? {} : { group: part.name.slice(0, slash) }),
    name: part.name.slice(slash + 1),
    version: part.version,
    // Of the tarball that the lock file pins.
    hashes: [{ alg: 'SHA-512', content: part.sha512 }],
    licenses: licencesOf(part.licence),
    purl: purlOf(part),
    ...(isRuntime(part) ? { components: librariesOf(versions) } : {}),
  };
}

/** What is linked into the runtime. Its licences are in the texts that it brings along. */
function librariesOf(versions: Readonly<Record<string, string>>): object[] {
  return Object.entries(versions)
    .filter(([name]) => !NOT_LIBRARIES.includes(name))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, version]) => ({ type: 'library', 'bom-ref': `node/${name}@${version}`, name, version }));
}

function addonsOf({ addons, sqlite }: Materials): object[] {
  return Object.entries(addons).map(([name, content]) => ({
    type: 'file',
    'bom-ref': addonRef(name),
    name: `${name}.node`,
    hashes: [{ alg: 'SHA-256', content: sha256(content) }],
    ...(name === 'better_sqlite3'
      ? {
          components: [
            {
              type: 'library',
              'bom-ref': `sqlite@${sqlite}`,
              name: 'sqlite',
              version: sqlite,
              licenses: [{ license: { id: 'blessing' } }],
              purl: `pkg:generic/sqlite@${sqlite}`,
            },
          ],
        }
      : {}),
  }));
}

function addonRef(name: string): string {
  return `addon/${name}`;
}

/** Package URL, the scope's `@` escaped as its specification wants. */
function purlOf({ name, version, dir }: Part): string {
  const nested = dir.split('node_modules/').length > 2 && !dir.startsWith('packaging/');
  // The same version may lie in two places; references are unique within the document.
  return `pkg:npm/${name.replace('@', '%40')}@${version}${nested ? `#${dir}` : ''}`;
}

function licencesOf(expression: string): object[] {
  const bare = expression.replace(/^\((.*)\)$/, '$1');
  return / (AND|OR) /.test(bare) ? [{ expression: bare }] : [{ license: { id: bare } }];
}

function sha256(content: Uint8Array): string {
  return createHash('sha256').update(content).digest('hex');
}

/** A version 8 UUID (RFC 9562) made of a digest: one document, one number. */
function uuidOf(digest: string): string {
  const hex = digest.slice(0, 32).split('');
  hex[12] = '8';
  hex[16] = '89ab'[Number.parseInt(hex[16] ?? '0', 16) & 3] ?? '8';
  return hex.join('').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
