import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { gzip, type Member } from './archive.ts';

/* Where everything goes on a host: the same for the Debian package and for other hosts with systemd. */

export interface HostParts {
  root: string;
  /** `holdfast-linux-ARCH`. */
  executable: Uint8Array;
  /** Text of other people's licences. */
  licences: string;
  /** Bill of materials. */
  sbom: string;
  /** Directory with `man/*.1` and `completions/`, as made from the commands; may lack them. */
  generated: string;
  /** Signed manifest of the executable, where the release has one. */
  manifest: Uint8Array | null;
}

const FILE_MODE = 0o644;
const PROGRAM_MODE = 0o755;
const DIRECTORY_MODE = 0o755;
const DOC = 'usr/share/doc/holdfast';
const UNIT = /\.(service|socket|target|timer|path|mount|slice)$/;
const DROP_IN = /\.(service|socket|target|timer|path|mount|slice)\.d$/;

/** Every file of an installation. Throws on a file under `systemd/` whose place nobody knows. */
export function hostFiles(parts: HostParts): Member[] {
  const { root, executable, licences, sbom, manifest } = parts;
  return [
    { path: 'usr/bin/holdfast', mode: PROGRAM_MODE, content: executable },
    ...files(join(root, 'systemd')).map((path) => file(systemdPlace(path), join(root, 'systemd', path))),
    ...files(join(root, 'policies')).map((path) =>
      file(`usr/share/holdfast/policies/${path}`, join(root, 'policies', path)),
    ),
    ...files(join(root, 'packaging/etc')).map((path) =>
      file(`etc/${path}`, join(root, 'packaging/etc', path)),
    ),
    { path: 'etc/holdfast/media.d', mode: DIRECTORY_MODE, content: null },
    ...generatedFiles(parts),
    ...documents(root),
    { path: `${DOC}/copyright`, mode: FILE_MODE, content: Buffer.from(copyright(licences)) },
    { path: `${DOC}/sbom.cdx.json.gz`, mode: FILE_MODE, content: gzip(Buffer.from(sbom)) },
    ...(manifest === null
      ? []
      : [{ path: 'usr/share/holdfast/holdfast.manifest', mode: FILE_MODE, content: manifest }]),
  ];
}

/** Place of a file under `systemd/`, by what it is. What is for operators to copy goes to the documents. */
export function systemdPlace(path: string): string {
  const name = basename(path);
  const folder = basename(dirname(path));
  if (/(^|\/)(drop-ins|examples)\//.test(path) || name.endsWith('.md')) return `${DOC}/systemd/${path}`;
  if (folder === 'sysusers.d' || folder === 'tmpfiles.d') return `usr/lib/${folder}/${name}`;
  if (name.endsWith('.rules')) return `usr/lib/udev/rules.d/${name}`;
  // What a unit hands to systemd-tmpfiles itself; in tmpfiles.d it would be done at each start of the machine.
  if (name.endsWith('.tmpfiles')) return `usr/share/holdfast/${name}`;
  if (UNIT.test(name)) return `usr/lib/systemd/system/${name}`;
  if (DROP_IN.test(folder) && name.endsWith('.conf')) return `usr/lib/systemd/system/${folder}/${name}`;
  if (name.endsWith('.preset')) return `usr/lib/systemd/system-preset/${name}`;
  throw new Error(`nobody knows where systemd/${path} goes on a host`);
}

function generatedFiles({ generated }: HostParts): Member[] {
  const man = join(generated, 'man');
  const completions = join(generated, 'completions');
  return [
    ...files(man).map((path) => {
      const section = path.slice(path.lastIndexOf('.') + 1);
      const content = gzip(readFileSync(join(man, path)));
      return { path: `usr/share/man/man${section}/${basename(path)}.gz`, mode: FILE_MODE, content };
    }),
    ...files(completions).map((path) => file(completionPlace(basename(path)), join(completions, path))),
  ];
}

function completionPlace(name: string): string {
  if (name.endsWith('.fish')) return 'usr/share/fish/vendor_completions.d/holdfast.fish';
  if (name.startsWith('_') || name.endsWith('.zsh')) return 'usr/share/zsh/vendor-completions/_holdfast';
  return 'usr/share/bash-completion/completions/holdfast';
}

/** Text for people; the pictures and links in it are relative to each other. */
function documents(root: string): Member[] {
  const docs = files(join(root, 'docs')).filter((path) => path.endsWith('.md'));
  return [
    file(`${DOC}/README.md`, join(root, 'README.md')),
    ...docs.map((path) => file(`${DOC}/docs/${path}`, join(root, 'docs', path))),
  ];
}

/** Debian's machine-readable form for our own part, then the texts of everything else inside. */
function copyright(licences: string): string {
  return `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: holdfast
Comment: The executable contains other people's work; their licences follow below.

Files: *
Copyright: the authors of holdfast
License: Apache-2.0
 On Debian systems the text of this licence is in /usr/share/common-licenses/Apache-2.0.

${licences}`;
}

function file(path: string, from: string): Member {
  return { path, mode: FILE_MODE, content: readFileSync(from) };
}

/** Paths of all files below, sorted; none where there is no such directory. */
function files(dir: string): string[] {
  if (!existsSync(dir)) return [];
  return readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(dir.length + 1))
    .sort();
}
