import { extract, type Header, pack } from 'tar-stream';
import { BoundaryError } from '../formats/boundary-error.ts';
import { EVIDENCE_LIMITS, isMemberName } from '../formats/evidence.ts';

/*
 * The tar around the evidence. Written in one form only: same files, same bytes, whoever makes it and when. Read in memory,
 * never onto a disk, and only in that form: what the writer would not have written is refused.
 */

/** 1970: nothing in the file depends on a clock. */
const FIXED = { mode: 0o644, uid: 0, gid: 0, uname: '', gname: '', mtime: new Date(0) } as const;

/** Members by name, in order. */
export type Members = ReadonlyMap<string, Uint8Array>;

/** The tar of these members, in their order. Throws `BoundaryError` `evidence.too_large`. */
export async function writeArchive(members: Members): Promise<Uint8Array> {
  const archive = pack();
  for (const [name, bytes] of members)
    archive.entry({ name, size: bytes.length, ...FIXED }, Buffer.from(bytes));
  archive.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of archive) chunks.push(chunk as Buffer);
  const whole = Buffer.concat(chunks);
  if (whole.length > EVIDENCE_LIMITS.bytes || members.size > EVIDENCE_LIMITS.members)
    throw new BoundaryError(
      'evidence.too_large',
      `The evidence would have ${members.size} files and ${whole.length} bytes; ${EVIDENCE_LIMITS.members} files and ${EVIDENCE_LIMITS.bytes} bytes are the most. Nothing was written.`,
    );
  return whole;
}

/**
 * The members of a tar that `writeArchive` could have written. Throws `BoundaryError` `evidence.archive`, with `at` = the
 * member: links, devices, directories, names that climb or come twice, other owners or times, and bytes that belong to no
 * member. Nothing is written anywhere.
 */
export async function readArchive(bytes: Uint8Array): Promise<Members> {
  if (bytes.length > EVIDENCE_LIMITS.bytes)
    throw archiveDefect(`has more than ${EVIDENCE_LIMITS.bytes} bytes and was not read`);
  const members = await membersOf(bytes);
  if (members.size === 0) throw archiveDefect('has no files in it');
  // Headers, padding, order of attributes, end marks: whatever could hide something is in one form, or it is refused.
  if (!Buffer.from(await writeArchive(members)).equals(bytes))
    throw archiveDefect('holds bytes that belong to no file in it, or was not written by holdfast');
  return members;
}

async function membersOf(bytes: Uint8Array): Promise<Members> {
  const members = new Map<string, Uint8Array>();
  const reader = extract();
  reader.end(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  try {
    for await (const member of reader) {
      assertPlain(member.header, members);
      const chunks: Buffer[] = [];
      for await (const chunk of member) chunks.push(chunk as Buffer);
      members.set(member.header.name, Buffer.concat(chunks));
    }
  } catch (cause) {
    if (cause instanceof BoundaryError) throw cause;
    throw archiveDefect('is not a whole tar', { cause });
  }
  return members;
}

function assertPlain({ name, type, linkname, size = 0 }: Header, members: Members): void {
  const at = name.slice(0, 200);
  if (type !== 'file' || (linkname ?? '') !== '')
    throw archiveDefect(`holds ${JSON.stringify(at)}, which is no plain file (${type ?? 'unknown'})`, { at });
  if (!isMemberName(name)) throw archiveDefect(`holds a file with the name ${JSON.stringify(at)}`, { at });
  if (members.has(name)) throw archiveDefect(`holds ${at} twice`, { at });
  if (members.size >= EVIDENCE_LIMITS.members)
    throw archiveDefect(`holds more than ${EVIDENCE_LIMITS.members} files`);
  if (size > EVIDENCE_LIMITS.bytes) throw archiveDefect(`says that ${at} has ${size} bytes`, { at });
}

function archiveDefect(what: string, options: { at?: string; cause?: unknown } = {}): BoundaryError {
  return new BoundaryError('evidence.archive', `The file ${what}.`, options);
}
