import { createHash } from 'node:crypto';
import { ar, gzip, type Member, tar, zstd } from './archive.ts';
import type { Architecture } from './runtimes.ts';
import { type ScriptFacts, script } from './scripts.ts';

/* The Debian package (deb(5)), written without Debian's tools. */

const SCRIPTS = ['preinst', 'postinst', 'prerm', 'postrm'];
const SCRIPT_MODE = 0o755;
const FILE_MODE = 0o644;
/** As Debian calls the processors. */
export const DEBIAN_ARCHITECTURE: Readonly<Record<Architecture, string>> = { x64: 'amd64', arm64: 'arm64' };
/** As `uname -m` does. */
export const MACHINE: Readonly<Record<Architecture, string>> = { x64: 'x86_64', arm64: 'aarch64' };

export interface DebianParts {
  version: string;
  arch: Architecture;
  /** Of an installation. */
  files: readonly Member[];
  formats?: ScriptFacts['formats'];
}

/** The bytes of `holdfast_VERSION_ARCH.deb`; the same for the same files. Debian 12 and later read it (zstd). */
export async function debianPackage({ version, arch, files, formats }: DebianParts): Promise<Uint8Array> {
  const all = [...files, changelog(version), lintianOverrides()];
  const facts = { version, machine: MACHINE[arch], ...(formats === undefined ? {} : { formats }) };
  const configuration = all
    .filter(({ path, content }) => path.startsWith('etc/') && content !== null)
    .map(({ path }) => `/${path}\n`);
  const control: Member[] = [
    text('control', controlText(version, arch, all)),
    text('md5sums', all.map(md5Line).sort().join('')),
    ...(configuration.length > 0 ? [text('conffiles', configuration.join(''))] : []),
    ...SCRIPTS.map((name) => ({ ...text(name, script(name, facts)), mode: SCRIPT_MODE })),
  ];
  return ar([
    { name: 'debian-binary', content: Buffer.from('2.0\n') },
    { name: 'control.tar.gz', content: gzip(await tar(control, './')) },
    { name: 'data.tar.zst', content: zstd(await tar(all, './')) },
  ]);
}

function controlText(version: string, arch: Architecture, files: readonly Member[]): string {
  const kib = files.reduce((sum, { content }) => sum + Math.ceil((content?.length ?? 0) / 1024), 0);
  return `Package: holdfast
Version: ${version}
Architecture: ${DEBIAN_ARCHITECTURE[arch]}
Maintainer: Holdfast <holdfast@holdfast.invalid>
Installed-Size: ${kib}
Depends: libc6 (>= 2.34), libgcc-s1, libstdc++6 (>= 11), mount, systemd (>= 252)
Recommends: udev
Section: admin
Priority: optional
Description: governance appliance for disconnected sites
 Agents, automation and operators ask it before they act. It evaluates signed
 policy, collects the approvals that the policy demands, writes each decision
 into a tamper-evident ledger, and only then releases a permit that a separate
 gateway process enforces.
 .
 Everything is in one executable. Nothing is downloaded, at installation or
 later.
`;
}

/** What Debian's checker has to say and what was decided otherwise, with the reason. */
function lintianOverrides(): Member {
  const words = `# dpkg reads it since Debian 12, which the runtime needs anyhow; it saves a sixth.
holdfast: malformed-deb-archive *
# Whoever reads them has no network, and maybe no Debian.
holdfast: copyright-file-contains-full-apache-2-license
holdfast: old-fsf-address-in-copyright-file
# The runtime, as its makers build it: parts inside, and where it is loaded to.
holdfast: embedded-library *
holdfast: hardening-no-pie *
# A purge asks on a terminal, and else refuses: nothing may preseed the end of a ledger.
holdfast: read-in-maintainer-script *
# The installed version verifies the ledger, by its place; never what PATH would find.
holdfast: command-with-path-in-maintainer-script *
# Nothing is enabled by the package, and roles start anew only where the ledger verified.
holdfast: maintainer-script-calls-systemctl *
# Sync is for sites with a link, and comes and goes with the target.
holdfast: systemd-service-file-refers-to-unusual-wantedby-target *
`;
  return { path: 'usr/share/lintian/overrides/holdfast', mode: FILE_MODE, content: Buffer.from(words) };
}

function changelog(version: string): Member {
  const words = `holdfast (${version}) stable; urgency=medium

  * Release ${version}.

 -- Holdfast <holdfast@holdfast.invalid>  Thu, 01 Jan 2026 00:00:00 +0000
`;
  return {
    path: 'usr/share/doc/holdfast/changelog.gz',
    mode: FILE_MODE,
    content: gzip(Buffer.from(words)),
  };
}

/** dpkg's own list, for `dpkg --verify`; MD5 is the only digest that it knows. */
function md5Line({ path, content }: Member): string {
  if (content === null) return '';
  return `${createHash('md5').update(content).digest('hex')}  ${path}\n`;
}

function text(path: string, content: string): Member {
  return { path, mode: FILE_MODE, content: Buffer.from(content) };
}
