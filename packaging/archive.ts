import { constants, gzipSync, zstdCompressSync } from 'node:zlib';
import { pack as tarPack } from 'tar-stream';

/*
 * Archives whose bytes depend on what is in them and on nothing else: everything belongs to root, is of one time, and
 * comes in the order of its path.
 */

/** A file or directory of an archive. */
export interface Member {
  /** Without a slash at either end. */
  path: string;
  mode: number;
  /** Null: a directory. */
  content: Uint8Array | null;
}

/** 2026-01-01T00:00:00Z, unless the environment names another (reproducible-builds.org: SOURCE_DATE_EPOCH, in seconds). */
export const ARCHIVE_TIME = new Date(Number(process.env.SOURCE_DATE_EPOCH ?? 1_767_225_600) * 1000);

const AR_MAGIC = '!<arch>\n';
const AR_END = '`\n';
/** Characters that an `ar` header has for a name. */
const AR_NAME = 16;
const ZSTD_LEVEL = 12;
const GZIP_LEVEL = 9;
const DIRECTORY_MODE = 0o755;

/** A ustar archive with the directories that its members lie in. `root` is put before each path (`./` for Debian). */
export async function tar(members: readonly Member[], root: string): Promise<Uint8Array> {
  const pack = tarPack();
  const chunks: Uint8Array[] = [];
  const all = withDirectories(members);
  const written = (async () => {
    for (const { path, mode, content } of all) {
      const name = content === null ? `${root}${path}/` : `${root}${path}`;
      const owner = { uid: 0, gid: 0, uname: 'root', gname: 'root' };
      const header = { name, mode, mtime: ARCHIVE_TIME, ...owner };
      await new Promise<void>((resolve, reject) => {
        const done = (error?: Error | null) => (error ? reject(error) : resolve());
        if (content === null) pack.entry({ ...header, type: 'directory' }, done);
        else pack.entry({ ...header, type: 'file', size: content.length }, Buffer.from(content), done);
      });
    }
    pack.finalize();
  })();
  for await (const chunk of pack) chunks.push(chunk as Uint8Array);
  await written;
  return Buffer.concat(chunks);
}

/** Members in the order of their paths, each directory before what is in it. Throws when two have the same path. */
function withDirectories(members: readonly Member[]): Member[] {
  const byPath = new Map<string, Member>();
  for (const member of members) {
    if (byPath.has(member.path)) throw new Error(`two files want to be ${member.path}`);
    byPath.set(member.path, member);
  }
  for (const { path } of members)
    for (let end = path.lastIndexOf('/'); end > 0; end = path.lastIndexOf('/', end - 1)) {
      const parent = path.slice(0, end);
      if (!byPath.has(parent)) byPath.set(parent, { path: parent, mode: DIRECTORY_MODE, content: null });
    }
  return [...byPath.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** `ar` as Debian's packages use it (deb(5)): short names, no symbol table. */
export function ar(members: readonly { name: string; content: Uint8Array }[]): Uint8Array {
  const parts: Uint8Array[] = [Buffer.from(AR_MAGIC)];
  for (const { name, content } of members) {
    if (name.length > AR_NAME) throw new Error(`${name} is too long a name for ar`);
    const time = String(ARCHIVE_TIME.getTime() / 1000);
    const fields = [
      name.padEnd(AR_NAME),
      time.padEnd(12),
      '0'.padEnd(6),
      '0'.padEnd(6),
      '100644'.padEnd(8),
      String(content.length).padEnd(10),
    ];
    parts.push(Buffer.from(fields.join('') + AR_END), content);
    if (content.length % 2 === 1) parts.push(Buffer.from('\n'));
  }
  return Buffer.concat(parts);
}

/** zstd with the checksum of the content; the same bytes from the same runtime. */
export function zstd(content: Uint8Array): Uint8Array {
  return zstdCompressSync(content, {
    params: { [constants.ZSTD_c_compressionLevel]: ZSTD_LEVEL, [constants.ZSTD_c_checksumFlag]: 1 },
  });
}

/** gzip without a name or a time in its header. */
export function gzip(content: Uint8Array): Uint8Array {
  return gzipSync(content, { level: GZIP_LEVEL });
}
