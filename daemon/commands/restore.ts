import { resolve } from 'node:path';
import { Command } from 'commander';
import { isBackupDefect } from '../backup/unpack.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import { parseIdentities } from '../host/age.ts';
import { loadConfig, siteDir } from '../host/config.ts';
import { readText, type SiteOptions } from './access.ts';
import { EXIT, endWith } from './exit.ts';
import { leftoverWords } from './render/leftovers.ts';
import { print, printJson } from './render/output.ts';
import { count, paint, plain, rows } from './render/text.ts';
import type { RestoreReport } from './restore/report.ts';
import { restoreSite } from './restore/site.ts';
import { firstStart } from './start-words.ts';

interface RestoreCommandOptions extends SiteOptions {
  identity: string;
  trust?: string;
  anchors?: string[];
  head?: string;
  withCopy?: string;
  acceptLoss?: boolean;
  sameLog?: boolean;
  log?: string;
  actor?: string;
  reason?: string;
}

const HELP = `
Give everything that survived: it tells whether the backup is all that there was.
  --anchors    files or directories with anchors: a stick, the outbox, what headquarters has
  --head       the old site's state/head.sqlite
  --with-copy  the second copy; it also completes the backup

The site goes on in a new log, named SITE/ledger/N, with a new key; its first entry says which log it goes on for and what
is missing. Permits, grants and approvals of the old log are void. Only with --same-log, and only where nothing can have
been signed after the backup, the same log goes on. Stop the old site for good before: two sites must not live on.

Examples:
  holdfast restore outpost-7.tar.zst.age --identity key.txt --dir /var/lib/holdfast --anchors /media/stick
  holdfast restore outpost-7.tar.zst.age --identity key.txt --dir new --with-copy /mnt/second/holdfast

Exit codes: 0 restored · 3 not encrypted for this identity · 5 the disk is full or failed · 10 the backup, or its history, is not true
  13 signed by an unknown key · 14 entries are missing that are known to have existed`;

/** `holdfast restore FILE`: a site from its backup. */
export function restoreCommand(): Command {
  return new Command('restore')
    .description('Make a site from its backup, and say what is missing.')
    .argument('<file>', 'the backup')
    .requiredOption('--identity <file>', 'age identity (AGE-SECRET-KEY-…) of one of its recipients')
    .option('--trust <file>', 'trust file of the site, carried apart from the backup')
    .option('--anchors <path...>', 'anchors of the site: files, or directories')
    .option('--head <file>', 'a head store that survived')
    .option('--with-copy <dir>', 'the second copy of the ledger')
    .option('--accept-loss', 'go on although entries are lost that are known to have existed')
    .option('--same-log', 'go on in the same log, where that is safe')
    .option('--log <n>', 'number of the new log, where the next one was given away already')
    .option('--actor <id>', 'who restores it, for the record')
    .option('--reason <text>', 'why, for the record')
    .addHelpText('after', HELP)
    .action(async (file: string, options: RestoreCommandOptions) => {
      try {
        await restore(resolve(file), options);
      } catch (error) {
        if (!(error instanceof BoundaryError)) throw error;
        const code = exitCodeOf(error);
        if (code === null) throw error;
        if (options.json) printJson({ error: { code: error.code, message: error.message } });
        process.stderr.write(`holdfast: ${error.message}\n`);
        endWith(code);
      }
    });
}

async function restore(file: string, options: RestoreCommandOptions): Promise<void> {
  const shown = process.stderr.isTTY === true && options.json !== true;
  const report = await restoreSite({
    file,
    dir: siteDir(options.dir, process.env),
    identities: parseIdentities(readText(options.identity, 65_536)),
    trust: options.trust ?? null,
    anchors: options.anchors ?? [],
    head: options.head ?? null,
    copy: options.withCopy ?? null,
    acceptLoss: options.acceptLoss === true,
    sameLog: options.sameLog === true,
    logNumber: options.log === undefined ? null : parseLogNumber(options.log),
    actor: options.actor ?? null,
    reason: options.reason ?? null,
    ...(shown ? { onStep: (words: string) => void process.stderr.write(`${words} …\n`) } : {}),
  });
  if (options.json) printJson(report);
  else print(render(report));
}

function parseLogNumber(text: string): number {
  if (/^([2-9]|[1-9]\d{1,5})$/.test(text)) return Number(text);
  throw new BoundaryError('log.malformed', 'Write --log as a whole number from 2; nothing was restored.', {
    at: '--log',
  });
}

/** Null for what is no verdict about the backup: bad arguments, this machine's files. */
function exitCodeOf(error: BoundaryError): number | null {
  if (error.code === 'age.identity') return EXIT.refused;
  if (error.code === 'age.identity_file') return null;
  if (isBackupDefect(error)) return EXIT.tampered;
  const codes: Readonly<Record<string, number>> = {
    'init.not_written': EXIT.unavailable,
    'restore.not_written': EXIT.unavailable,
    'restore.lost': EXIT.rolledBack,
    'restore.other_history': EXIT.tampered,
    'restore.other_root': EXIT.tampered,
    'restore.tampered': EXIT.tampered,
    'restore.key': EXIT.unknownKey,
    'restore.other_log': EXIT.unknownKey,
    'restore.not_at_head': EXIT.refused,
    'tiles.other_history': EXIT.tampered,
    'tiles.damaged': EXIT.tampered,
    'tiles.key': EXIT.unknownKey,
    'tiles.other_log': EXIT.unknownKey,
  };
  return codes[error.code] ?? null;
}

function render(report: RestoreReport): string {
  const { dir, site, profile, backup, restored, log, heads, trusted_by, former } = report;
  const copied =
    restored.from_copy === 0
      ? ''
      : `, ${count(restored.from_copy, 'entry', 'entries')} of them from the second copy`;
  const about = rows([
    ['site', plain(`${site} (profile ${profile})`)],
    ['directory', plain(dir)],
    ['backup', plain(`${backup.file}, made ${backup.made_at}`)],
    [
      'restored',
      `${count(restored.size, 'entry', 'entries')} of ${plain(restored.origin)}${copied}; every one verified`,
    ],
    [
      'compared',
      heads === 0 ? 'with nothing that tells of this log' : `with ${count(heads, 'head')} known elsewhere`,
    ],
    [
      'keys',
      trusted_by === 'backup'
        ? 'believed because the backup says so; compare the trust file'
        : 'those of the trust file',
    ],
    ['goes on in', log.is_new ? plain(`a new log, ${log.origin}`) : plain(`the same log, ${log.origin}`)],
    ['key', plain(log.vkey)],
    ['old log', former === null ? '' : plain(former)],
  ]);
  return [
    `${paint('green', paint('bold', 'RESTORED'))}  ${plain(site)}`,
    about,
    ...unbelievedWords(report),
    ...missingWords(report),
    ...leftoverWords(report),
    '',
    ...nextWords(report),
  ].join('\n');
}

/** They may prove that entries are missing: the site may have changed its key after the backup. */
function unbelievedWords({ unbelieved }: RestoreReport): string[] {
  if (unbelieved === 0) return [];
  const words = `NOT compared: ${count(unbelieved, 'anchor')} of this log, by a key that is not known here. If the site changed its key after the backup, restore again with the newest trust file (--trust); else somebody forged them.`;
  return ['', paint('yellow', words)];
}

function missingWords({ missing, carried, backup, restored }: RestoreReport): string[] {
  if (missing === null || carried === null) return [];
  const { ended } = carried;
  const lost =
    missing.until === null
      ? `Whether anything was recorded after entry ${missing.from - 1} cannot be told from here${restored.from_copy === 0 ? ' (at least the record of this very backup was)' : ''}. If it was, it is lost.`
      : `Entries ${missing.from} to ${missing.until - 1} are LOST (${plain(missing.known_from ?? '')} proves that they existed).`;
  const counting = carried.counters === 0 ? '' : `, ${count(carried.counters, 'counter')} of security keys`;
  return [
    '',
    paint('yellow', `${lost} Suspend again whom you suspended since.`),
    `Carried over: ${carried.policy ? 'the policy in force' : 'no policy'}, ${count(carried.suspended, 'suspended key')}, ${count(carried.incidents, 'open incident')}${counting}.`,
    `Ended with the old log: ${count(ended.permits, 'unused permit')}, ${count(ended.decisions, 'waiting decision')}, ${count(ended.breakglass, 'break-glass session')} unreviewed, ${count(ended.grants, 'grant')}, ${count(ended.held, 'held update')}; and every signature made before now.`,
    ...(ended.running === 0
      ? []
      : [`${count(ended.running, 'run')} had no known outcome: look at the machines.`]),
    ...repeatedWords(ended.idempotency, backup.keys),
    ...(backup.keys
      ? []
      : [
          'The backup held no keys: certificates were made anew, and sealed values of the old log stay shut.',
        ]),
  ];
}

/** What a client gets that goes on asking for what it asked the old site. */
function repeatedWords(idempotency: number, keys: boolean): string[] {
  if (idempotency === 0) return [];
  const known = `Requests repeated under one of the ${count(idempotency, 'Idempotency-Key')} of the old log`;
  return [
    keys
      ? `${known} are refused (idempotency.former_log); nothing of it runs a second time.`
      : paint(
          'yellow',
          `${known} are NEW requests, and may run again: the backup held no keys, so they cannot be known. Stop whatever repeats requests by itself before you start the daemon.`,
        ),
  ];
}

function nextWords({ dir, log, former }: RestoreReport): string[] {
  const next = [
    `holdfast ledger verify --dir ${dir}`,
    ...(former === null
      ? []
      : [
          `holdfast ledger audit --ledger ${former}/ledger.sqlite --dir ${dir}     what the old log left open`,
        ]),
    ...(log.is_new
      ? [`holdfast site export-trust FILE --dir ${dir}     headquarters, auditors and witnesses need it`]
      : []),
    ...(log.is_new && loadConfig(dir).copy !== null
      ? [`holdfast copy new DIR --dir ${dir}     the second copy that holdfast.json names is of the old log`]
      : []),
    ...firstStart(['daemon'], dir),
  ];
  return ['Next:', ...next.map((line) => `  ${line}`)];
}
