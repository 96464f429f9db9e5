import { existsSync, statSync, unlinkSync } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';
import { Command } from 'commander';
import type { ApiClient } from '../api/client.ts';
import { adoptBackup, temporaryName } from '../backup/place.ts';
import { type WrittenBackup, writeBackup } from '../backup/write.ts';
import type { BackupRecord } from '../engine/backups.ts';
import { type EngineHandle, internal, textOf } from '../engine/protocol.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import type { JsonObject } from '../formats/json.ts';
import { errorCode } from '../host/durable-file.ts';
import { writeFailure } from '../host/write-failure.ts';
import { actorForRecord, connect, openSite, readText, type Site, type SiteOptions } from './access.ts';
import { EXIT } from './exit.ts';
import { print, printJson } from './render/output.ts';
import { count, rows } from './render/text.ts';
import { withVerdicts } from './verdict.ts';

interface BackupOptions extends SiteOptions {
  to: string[];
  withKeys?: boolean;
  actor?: string;
}

const HELP = `
Works while the daemon runs. Run it as the account of the daemon, which alone may read the ledger.

RECIPIENT is an age recipient (age1…, the public line of age-keygen), or a file of them, one a line. Keep their
identities away from this site: whoever has one, and the file, has everything in it.

Without --with-keys the secret keys stay here. What is restored then gets a new ledger key, and sensitive values stay sealed.

Examples:
  holdfast backup /mnt/usb/outpost-7.tar.zst.age --to age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kudjs6ugs2u8v3h
  age -d -i key.txt outpost-7.tar.zst.age | zstd -d | tar t                what is in it, without holdfast

Exit codes: 0 made and on record · 2 usage · 5 it could not be written · 10 the ledger is damaged; nothing was made`;

/** What is no mistake of the caller. */
const VERDICTS: Readonly<Record<string, number>> = {
  'backup.damaged': EXIT.tampered,
  'backup.not_written': EXIT.unavailable,
};

/** `holdfast backup FILE --to RECIPIENT`: everything of this site in one encrypted file. */
export function backupCommand(): Command {
  return new Command('backup')
    .description('Everything of this site in one compressed, encrypted file.')
    .argument('<file>', 'where to write it; must not exist')
    .requiredOption('--to <recipient...>', 'age recipients (age1…), or files of them')
    .option('--with-keys', 'the secret keys of the site too')
    .option('--actor <id>', 'who makes it, for the record')
    .addHelpText('after', HELP)
    .action((file: string, options: BackupOptions) =>
      withVerdicts(VERDICTS, options, () => backUp(resolve(file), options)),
    );
}

/** Write it under another name → put it on record → give it its name. */
async function backUp(path: string, options: BackupOptions): Promise<void> {
  const site = openSite(options);
  const recipients = recipientsOf(options.to);
  assertPlace(path);
  const { config, paths } = site;
  const withKeys = options.withKeys === true;
  const now = new Date().toISOString();
  const source = { paths, site: config.site, profile: config.profile, now, withKeys };
  const temporary = temporaryName(path);
  const written = await write(() => writeBackup(source, recipients, temporary, progress(options)), path);
  clearProgress(options);
  const record: BackupRecord = {
    file: basename(path),
    digest: written.digest,
    size: written.size,
    recipients,
    keys: withKeys,
    ledger: written.ledger,
    scheduled: false,
  };
  let recordId: number;
  try {
    recordId = await putOnRecord(site, { ...record, actor: actorForRecord(options.actor, site) });
    adoptBackup(temporary, path);
  } catch (error) {
    // A backup that is not on record is none: whoever found it could not tell whose it is.
    unlinkSync(temporary);
    throw error;
  }
  if (options.json) printJson({ ...record, file: path, plain_bytes: written.plain, record_id: recordId });
  else print(render(path, written, recipients.length, withKeys, recordId));
}

function recipientsOf(named: readonly string[]): string[] {
  const found = named.flatMap((one) => {
    if (one.startsWith('age1')) return [one];
    if (!existsSync(one)) return [one];
    const lines = readText(one, 65_536).split(/\r?\n/);
    return lines.filter((line) => line !== '' && !line.startsWith('#'));
  });
  return [...new Set(found)];
}

function assertPlace(path: string): void {
  if (existsSync(path)) {
    throw new BoundaryError(
      'backup.exists',
      `${path} exists already; no backup was made. Backups are never overwritten: name another file.`,
      { at: path },
    );
  }
  if (statSync(dirname(path), { throwIfNoEntry: false })?.isDirectory() === true) return;
  throw new BoundaryError(
    'backup.no_directory',
    `There is no directory ${dirname(path)}; no backup was made. Is its disk mounted?`,
    { at: path },
  );
}

async function write(make: () => Promise<WrittenBackup>, path: string): Promise<WrittenBackup> {
  try {
    return await make();
  } catch (cause) {
    const code = errorCode(cause);
    if (cause instanceof BoundaryError || code === null || !/^E[A-Z]+$/.test(code)) throw cause;
    const { why, next } = writeFailure(cause);
    throw new BoundaryError(
      'backup.not_written',
      `No backup was made: ${why} while ${path} was written. What was begun is removed. ${next}, or name another disk.`,
      { at: path, cause },
    );
  }
}

/** By the daemon, or by this process where none runs. Returns the log index. */
async function putOnRecord(site: Site, record: BackupRecord & { actor: string | null }): Promise<number> {
  const { scheduled: _, ...body } = record;
  const client = connect(site, 'operator');
  try {
    return (await recordThrough(client, body as unknown as JsonObject)).record_id;
  } catch (error) {
    if (!isNotRunning(error)) throw error;
  } finally {
    client.close();
  }
  const { openInlineEngine } = await import('../engine/inline.ts');
  const engine = await openInlineEngine(site.paths.root);
  try {
    return await recordDirectly(engine, body);
  } finally {
    await engine.stop('backup finished');
  }
}

function recordThrough(client: ApiClient, body: JsonObject): Promise<{ record_id: number }> {
  return client.recordBackup(body);
}

async function recordDirectly(engine: EngineHandle, body: object): Promise<number> {
  const answer = await engine.call(internal('backups.record', JSON.stringify(body)));
  const { record_id, code, detail } = JSON.parse(textOf(answer)) as {
    record_id?: number;
    code?: string;
    detail?: string;
  };
  if (record_id !== undefined) return record_id;
  throw new BoundaryError(code ?? 'backup.not_recorded', `${detail ?? 'The backup could not be recorded.'}`);
}

function isNotRunning(error: unknown): boolean {
  if (!(error instanceof Error) || error.name !== 'ApiUnreachable' || !('reason' in error)) return false;
  return error.reason === 'missing' || error.reason === 'refused';
}

function isShown(options: SiteOptions): boolean {
  return process.stderr.isTTY === true && options.json !== true;
}

function progress(options: SiteOptions): ((bytes: number) => void) | undefined {
  if (!isShown(options)) return undefined;
  return (bytes) => process.stderr.write(`\rbacking up ${Math.floor(bytes / 1_048_576)} MiB`);
}

function clearProgress(options: SiteOptions): void {
  if (isShown(options)) process.stderr.write('\r\u001b[K');
}

function render(
  path: string,
  { digest, size, plain, ledger }: WrittenBackup,
  recipients: number,
  withKeys: boolean,
  recordId: number,
): string {
  const about = rows([
    ['file', path],
    ['ledger', `${count(ledger.size, 'entry', 'entries')} of ${ledger.origin}`],
    ['size', `${count(size, 'byte')}, ${count(plain, 'byte')} unpacked`],
    ['sha256', digest],
    ['opens for', count(recipients, 'recipient')],
    ['keys', withKeys ? 'in it: keep the identities as safely as the keys themselves' : 'not in it'],
    ['recorded', `entry ${recordId}`],
  ]);
  return `A backup was made.\n${about}`;
}
