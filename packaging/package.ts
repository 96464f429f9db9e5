import { mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import Database from 'better-sqlite3';
import { VERSION } from '../daemon/host/version.ts';
import { type Bundle, bundle } from './bundle.ts';
import { DEBIAN_ARCHITECTURE, debianPackage } from './debian.ts';
import { makeExecutables } from './executables.ts';
import { hostFiles } from './layout.ts';
import { licenceTexts } from './licences.ts';
import { writeManual } from './man.ts';
import { releasePublicKey, signedManifest } from './manifest.ts';
import { partsOf } from './parts.ts';
import { signChecksums, writeChecksums } from './release.ts';
import { ARCHITECTURES, type Architecture, type Runtime, runtimes } from './runtimes.ts';
import { billOfMaterials } from './sbom.ts';
import { tarball } from './tarball.ts';

/*
 * `npm run package`: everything that is shipped, from a checkout with its packages installed, into `dist/` (or the directory
 * named as argument). HOLDFAST_RELEASE_KEY names the OpenSSH private key that signs the checksums.
 */

const root = join(import.meta.dirname, '..');
const out = resolve(process.argv[2] ?? join(root, 'dist'));
const work = `${out}.new`;
const releaseKey = process.env.HOLDFAST_RELEASE_KEY;

rmSync(work, { recursive: true, force: true });
mkdirSync(work, { recursive: true });
const program = await bundle(root);
const nodes = runtimes(root);
console.log(`program: ${mib(program.code.length)} of ${program.packages.length} packages`);
const releaseLine = releasePublicKey(process.env);
const executables = await makeExecutables({
  root,
  bundle: program,
  runtimes: nodes,
  out: work,
  releaseKey: releaseLine,
});
const pages = await writeManual(work);
console.log(`${pages} manual pages`);
for (const arch of ARCHITECTURES) {
  report(`holdfast-linux-${arch}`);
  await packFor(arch, program, nodes[arch], readFileSync(executables[arch]));
}
writeChecksums(work);
if (releaseKey === undefined)
  console.log('SHA256SUMS is NOT SIGNED: HOLDFAST_RELEASE_KEY names no key. This is no release.');
else signChecksums(work, releaseKey);
// What was there before stays until all of this is.
rmSync(out, { recursive: true, force: true });
renameSync(work, out);

async function packFor(
  arch: Architecture,
  { packages }: Bundle,
  { addons }: Runtime,
  executable: Uint8Array,
): Promise<void> {
  const parts = partsOf(root, packages, arch);
  const licences = licenceTexts(root, parts);
  const sbom = billOfMaterials({
    version: VERSION,
    arch,
    parts,
    executable,
    addons: Object.fromEntries(Object.entries(addons).map(([name, path]) => [name, readFileSync(path)])),
    // The runtime that this runs on is the one that is shipped.
    versions: process.versions as Record<string, string>,
    sqlite: sqliteVersion(),
  });
  const manifest = manifestOf(arch, executable, addons);
  const files = hostFiles({ root, executable, licences, sbom, generated: work, manifest });
  const name = `holdfast-${VERSION}-linux-${arch}`;
  writeFileSync(join(work, `${name}.cdx.json`), sbom);
  writeFileSync(join(work, `${name}.licences.txt`), licences);
  const debian = `holdfast_${VERSION}_${DEBIAN_ARCHITECTURE[arch]}.deb`;
  writeFileSync(join(work, debian), await debianPackage({ version: VERSION, arch, files }));
  report(debian);
  writeFileSync(join(work, `${name}.tar.gz`), await tarball({ version: VERSION, arch, files }));
  report(`${name}.tar.gz`);
}

/** Signed, beside the executable too; null for a development build, which says so when it starts. */
function manifestOf(
  arch: Architecture,
  executable: Uint8Array,
  addons: Runtime['addons'],
): Uint8Array | null {
  if (releaseKey === undefined) return null;
  const bytes = Object.fromEntries(Object.entries(addons).map(([name, path]) => [name, readFileSync(path)]));
  const manifest = signedManifest({ version: VERSION, arch, executable, addons: bytes, key: releaseKey });
  writeFileSync(join(work, `holdfast-linux-${arch}.manifest`), manifest);
  return manifest;
}

function sqliteVersion(): string {
  const connection = new Database(':memory:');
  const version = connection.prepare('SELECT sqlite_version()').pluck().get() as string;
  connection.close();
  return version;
}

function report(name: string): void {
  console.log(`${name}: ${mib(statSync(join(work, name)).size)}`);
}

function mib(bytes: number): string {
  return `${(bytes / 1_048_576).toFixed(1)} MiB`;
}
