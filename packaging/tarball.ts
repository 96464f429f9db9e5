import { createHash } from 'node:crypto';
import { gzip, type Member, tar } from './archive.ts';
import { MACHINE } from './debian.ts';
import type { Architecture } from './runtimes.ts';
import { type ScriptFacts, script } from './scripts.ts';

/* For hosts with systemd and without dpkg: the files of an installation, and a script that puts them there. */

export interface TarballParts {
  version: string;
  arch: Architecture;
  /** Of an installation. */
  files: readonly Member[];
  formats?: ScriptFacts['formats'];
}

/** The bytes of `holdfast-VERSION-linux-ARCH.tar.gz`, in which everything is below a directory of that name. */
export async function tarball({ version, arch, files, formats }: TarballParts): Promise<Uint8Array> {
  const facts = { version, machine: MACHINE[arch], ...(formats === undefined ? {} : { formats }) };
  const members: Member[] = files.map((file) => ({ ...file, path: `files/${file.path}` }));
  members.push({ path: 'install.sh', mode: 0o755, content: Buffer.from(script('install.sh', facts)) });
  const sums = checksums(members);
  members.push({ path: 'SHA256SUMS', mode: 0o644, content: Buffer.from(sums) });
  return gzip(await tar(members, `holdfast-${version}-linux-${arch}/`));
}

/** Lines as `sha256sum` writes and checks them, in the order of the paths. */
export function checksums(members: readonly Pick<Member, 'path' | 'content'>[]): string {
  return members
    .flatMap(({ path, content }) =>
      content === null ? [] : [`${createHash('sha256').update(content).digest('hex')}  ${path}\n`],
    )
    .sort((a, b) => (a.slice(64) < b.slice(64) ? -1 : 1))
    .join('');
}
