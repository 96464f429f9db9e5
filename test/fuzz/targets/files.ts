import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { zstdCompressSync } from 'node:zlib';
import Database from 'better-sqlite3';
import { pack } from 'tar-stream';
import { readBackup } from '../../../daemon/backup/read.ts';
import { readTrustFile } from '../../../daemon/commands/trust.ts';
import { readArchive, writeArchive } from '../../../daemon/evidence/archive.ts';
import { type Verification, verifyEvidence } from '../../../daemon/evidence/verify.ts';
import { toBase64 } from '../../../daemon/formats/digest.ts';
import { formatSums, isMemberName, MEMBER } from '../../../daemon/formats/evidence.ts';
import { firstLineage } from '../../../daemon/formats/log-keys.ts';
import { compact, lineOf, readJournal } from '../../../daemon/gateway/journal-format.ts';
import { ageDecryption, ageEncryption, parseIdentities } from '../../../daemon/host/age.ts';
import { keyEncryptionKey, wrappedUnder } from '../../../daemon/host/key-wrap.ts';
import { readLineage } from '../../../daemon/host/log-lineage.ts';
import { parseSigningKey } from '../../../daemon/host/signer.ts';
import { ArchiveFile, encodeArchive } from '../../../daemon/ledger/archive-file.ts';
import { readCopyMark } from '../../../daemon/ledger/copy-mark.ts';
import { scanWal } from '../../../daemon/ledger/wal.ts';
import { FakeLog } from '../../fake-log.ts';
import { bytes, type Target, text, textOf } from '../target.ts';

/* Files that lie at a site, at an auditor's or on a medium: whoever could write there may have. */

const log = new FakeLog().grow(4);
const PERMIT = 'prm_01980000-0000-7000-8000-000000000001';
const DECISION = PERMIT.replace('prm_', 'dec_');
const AT = '2026-11-21T08:00:00.000Z';
/** Of age's own documentation of the format; opens nothing. */
const IDENTITY = 'AGE-SECRET-KEY-1QQPQYPQYPQYPQYPQYPQYPQYPQYPQYPQYPQYPQYPQYPQYPQYPQYPQS';

/** A place for what is read from a path. Gone with the process. */
const dir = mkdtempSync(join(tmpdir(), 'holdfast-fuzz-'));
process.once('exit', () => rmSync(dir, { recursive: true, force: true }));

/** Reads the input from a file of this name. */
function asFile<T>(name: string, read: (path: string) => T): (input: Uint8Array) => T {
  const path = join(dir, name);
  return (input) => {
    writeFileSync(path, input);
    return read(path);
  };
}

/** A write-ahead log of SQLite with a few commits in it. */
function wal(): Uint8Array {
  const path = join(dir, 'wal.sqlite');
  const database = new Database(path);
  database.pragma('journal_mode = WAL');
  database.pragma('page_size = 512');
  database.exec('CREATE TABLE t (a)');
  for (let i = 0; i < 3; i++) database.prepare('INSERT INTO t VALUES (?)').run('x'.repeat(50));
  const found = readFileSync(`${path}-wal`);
  database.close();
  return found;
}

function journal(): Uint8Array {
  const records = [
    { event: 'started', permit: PERMIT, decision: DECISION, at: AT, tree: { origin: log.origin, size: 3 } },
    {
      event: 'ended',
      permit: PERMIT,
      decision: DECISION,
      at: AT,
      result: 'succeeded',
      detail: { exit_code: 0 },
    },
    { event: 'reported', permit: PERMIT, at: AT },
    { event: 'closed', permit: PERMIT.replace('01980000', '01980001') },
    { event: 'floor', permit: PERMIT.replace('01980000', '01970000'), tree: null },
  ] as const;
  return Buffer.from(records.map(lineOf).join(''));
}

async function tar(members: Readonly<Record<string, Uint8Array | string>>): Promise<Buffer> {
  const archive = pack();
  for (const [name, body] of Object.entries(members))
    archive.entry({ name, mtime: new Date(0) }, Buffer.from(body));
  archive.finalize();
  return collect(archive);
}

async function collect(stream: AsyncIterable<unknown>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

function ledgerFiles(): Target[] {
  const entries = Array.from({ length: 256 }, (_, i) => ({
    bytes: Buffer.from(`entry ${i}`),
    previous: i === 0 ? null : i - 1,
  }));
  return [
    bytes('wal', {
      covers: ['scanWal'],
      seeds: [wal()],
      read(input) {
        const read = (offset: number, length: number) => input.subarray(offset, offset + length);
        return scanWal({ size: input.length, read });
      },
      tell: ({ state, commits }) => `${state} ${commits}`,
    }),
    bytes('gateway-journal', {
      covers: ['readJournal'],
      seeds: [journal()],
      read(input) {
        const state = readJournal(input);
        const shorter = compact(state, 1_000_000).text;
        const again = compact(readJournal(Buffer.from(shorter)), 1_000_000).text;
        if (compact(readJournal(Buffer.from(again)), 1_000_000).text !== again)
          throw new Error('a shortened journal that says something else when it is shortened again');
        return state;
      },
    }),
    bytes('archive-file', {
      covers: ['ArchiveFile'],
      seeds: [encodeArchive(log.origin, 256, entries)],
      read(input) {
        const file = new ArchiveFile(input);
        const found = file.entry(file.first);
        for (let index = file.first; index < file.until; index += 256) file.entry(index);
        return [file.origin, file.first, file.until, found];
      },
    }),
    bytes('copy-mark', {
      covers: ['readCopyMark'],
      seeds: [Buffer.from(`{"v":1,"origin":"${log.origin}"}\n`)],
      read: asFile('holdfast-copy.json', () => readCopyMark(dir)),
    }),
  ];
}

function toldOf({ findings }: Verification): string {
  return findings.map(({ file, message }) => `${file} ${message}`.replace(/\d+/g, 'n').slice(0, 60)).join();
}

async function evidence(): Promise<Target[]> {
  const members = new Map<string, Uint8Array>([
    [MEMBER.readme, Buffer.from('read me\n')],
    [MEMBER.index, Buffer.from('{}')],
    [MEMBER.trust, Buffer.from('{}')],
    [MEMBER.checkpoint, Buffer.from(log.checkpoint())],
    ['entries/000000000003.json', Buffer.from('{}')],
  ]);
  members.set(MEMBER.sums, formatSums(members));
  const whole = await writeArchive(members);
  const trust = {
    site: null,
    logs: [firstLineage(log.origin, log.signer.vkey)],
    policy: null,
    root: new Uint8Array(),
  };
  return [
    bytes('evidence-tar', {
      covers: ['readArchive'],
      seeds: [whole],
      read: readArchive,
      write: writeArchive,
    }),
    bytes('evidence-members', {
      covers: ['verifyEvidence'],
      // A whole archive whose digests are right, of whatever members.
      seeds: [
        Buffer.from(
          JSON.stringify(Object.fromEntries([...members].map(([name, body]) => [name, textOf(body)]))),
        ),
      ],
      async read(input) {
        const given = [...Object.entries(membersIn(input))].slice(0, 100);
        const made = new Map(
          given
            .filter(([name]) => isMemberName(name))
            .map(([name, body]) => [name, Buffer.from(String(body))]),
        );
        made.delete(MEMBER.sums);
        made.set(MEMBER.sums, Buffer.from(formatSums(made)));
        return verifyEvidence(await writeArchive(made), trust);
      },
      tell: toldOf,
    }),
    bytes('evidence', {
      covers: ['verifyEvidence'],
      seeds: [whole],
      read: (input) => verifyEvidence(input, trust),
      tell: toldOf,
    }),
  ];
}

/** Nothing where the input is no JSON. */
function membersIn(input: Uint8Array): object {
  try {
    return Object(JSON.parse(textOf(input))) as object;
  } catch {
    return {};
  }
}

async function backups(): Promise<Target[]> {
  const { generateX25519Identity, identityToRecipient } = await import('age-encryption');
  const identity = await generateX25519Identity();
  const recipient = await identityToRecipient(identity);
  const sealed = async (plain: Uint8Array) => {
    const stream = await ageEncryption([recipient]);
    stream.end(plain);
    return collect(stream);
  };
  const archive = await tar({
    'backup.json': '{}',
    checkpoint: log.checkpoint(),
    'site/holdfast.json': '{}',
  });
  const inside = async (path: string) => {
    const found: [string, number][] = [];
    for await (const member of readBackup(path, [identity])) found.push([member.name, member.bytes.length]);
    return found;
  };
  const fromFile = asFile('backup.age', inside);
  return [
    bytes('age-file', {
      covers: ['ageDecryption'],
      seeds: [await sealed(Buffer.from('plain')), await sealed(new Uint8Array(70_000))],
      async read(input) {
        const stream = ageDecryption([identity]);
        stream.end(input);
        return collect(stream);
      },
      words: [
        'age-encryption.org/v1\n',
        '-> X25519 ',
        '-> scrypt AAAAAAAAAAAAAAAAAAAAAA 22\n',
        '---',
        '-> x-grease\n\n',
      ],
    }),
    // Somebody who has the recipient's public half can encrypt anything.
    bytes('backup-zstd', {
      covers: ['readBackup'],
      seeds: [zstdCompressSync(archive)],
      read: async (input) => fromFile(await sealed(input)),
    }),
    bytes('backup-tar', {
      covers: ['readBackup'],
      seeds: [archive],
      read: async (input) => fromFile(await sealed(zstdCompressSync(input))),
      words: ['../../etc/passwd', 'ustar', '0000000', '\u00005'],
    }),
    text('age-identities', {
      covers: ['parseIdentities', 'ageDecryption'],
      seeds: [`# created\n${identity}\n`],
      read(input) {
        const identities = parseIdentities(input);
        ageDecryption(identities).destroy();
        return identities;
      },
      words: [IDENTITY],
    }),
  ];
}

function keysAndTrust(): Target[] {
  const kek = keyEncryptionKey(new Uint8Array(32).fill(5), 'a test');
  const root = toBase64(Buffer.from('{}'));
  const trust = {
    v: 1,
    site: 'outpost-7.example',
    origin: log.origin,
    profile: 'dev',
    vkeys: [log.signer.vkey],
    root,
  };
  const logs = [firstLineage(log.origin, log.signer.vkey)];
  return [
    bytes('wrapped-key', {
      covers: ['wrappedUnder', 'keyEncryptionKey'],
      seeds: [kek.wrap(new Uint8Array(32), 'signing')],
      read(input) {
        wrappedUnder(input);
        return kek.unwrap(input, 'signing', 'a file');
      },
      words: ['holdfast-wrapped-key/v1 signing '],
    }),
    text('signing-key', {
      covers: ['parseSigningKey'],
      seeds: [
        `PRIVATE+KEY+${log.signer.vkey.split('+').slice(0, 2).join('+')}+${toBase64(Uint8Array.of(1, ...new Uint8Array(32).fill(1)))}\n`,
      ],
      read: (input) => parseSigningKey(input, 'a file').vkey,
    }),
    bytes('trust-file', {
      covers: ['readTrustFile'],
      seeds: [{ ...trust, logs }, trust].map((one) => Buffer.from(JSON.stringify(one))),
      read: asFile('trust.json', readTrustFile),
      write: (value) => JSON.stringify(value),
    }),
    bytes('log-lineage', {
      covers: ['readLineage'],
      seeds: [Buffer.from(JSON.stringify({ v: 1, logs }))],
      read: asFile('logs.json', () => readLineage(dir)),
      write: (value) => JSON.stringify({ v: 1, logs: value }),
    }),
  ];
}

export async function targets(): Promise<Target[]> {
  return [...ledgerFiles(), ...(await evidence()), ...(await backups()), ...keysAndTrust()];
}
