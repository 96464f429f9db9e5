import { readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Command } from 'commander';
import type { ApiClient, ArchivedSegment, CarriedArchive, PruneReport } from '../api/client.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import { sha256Hex } from '../formats/digest.ts';
import { readBounded } from '../host/durable-file.ts';
import { actorForRecord, connect, openSite, type SiteOptions } from './access.ts';
import { EXIT, endWith } from './exit.ts';
import { print, printJson, say } from './render/output.ts';
import { count, moment, plain, table } from './render/text.ts';

interface PruneOptions extends SiteOptions {
  dryRun?: boolean;
  carried?: string;
  to?: string;
  actor?: string;
}

const HELP = `
Examples:
  holdfast ledger prune --dry-run                      what would move, what has to stay, and for what
  holdfast ledger prune                                move it now; the daemon does so by schedule
  holdfast ledger prune --carried /media/stick/archive --to "cabinet 3"
                                                       archive files that were copied there leave this machine

What moves and when is policy (section retention). Entries of closed decisions go from the database into archive files
under state/archive; every proof stays what it was. Nothing is removed before its file was read back.
Exit codes: 0 done, also when nothing had to move · 3 the policy or a hold forbids it · 5 the daemon is not available
  10 a copy is not a true one`;

/** `holdfast ledger prune`. */
export function pruneCommand(): Command {
  return new Command('prune')
    .description('Move what the policy lets go out of the database into archive files.')
    .option('--dry-run', 'only say what would move')
    .option('--carried <dir>', 'directory with copies of archive files that may leave this machine')
    .option('--to <where>', 'where the copies are kept, for the record (default: the directory)')
    .option('--actor <id>', 'who carries them, for the record')
    .addHelpText('after', HELP)
    .action(async (options: PruneOptions) => {
      const site = openSite(options);
      const client = connect(site, 'operator');
      try {
        if (options.carried !== undefined)
          await carryOff(client, options, actorForRecord(options.actor, site));
        else await prune(client, options);
      } finally {
        client.close();
      }
    });
}

async function prune(client: ApiClient, options: PruneOptions): Promise<void> {
  const report = await client.prune(options.dryRun === true);
  if (options.json) printJson(report);
  else print(report.refused ?? pruneWords(report));
  if (report.refused !== null) endWith(EXIT.refused);
}

function pruneWords(report: PruneReport): string {
  const lines: string[] = [];
  if (report.dry_run) {
    lines.push(
      report.candidates.length === 0
        ? 'Nothing is old enough to move.'
        : `${count(report.candidates.length, 'segment')} would move into archive files:`,
    );
    if (report.candidates.length > 0)
      lines.push(
        table(
          ['entries', 'newest recorded'],
          report.candidates.map(({ first, until, newest_at: at }) => [`${first}–${until - 1}`, moment(at)]),
        ),
      );
  } else if (report.archived.length === 0) lines.push('Nothing was old enough to move.');
  else {
    lines.push(`Moved ${count(report.archived.length, 'segment')} into archive files:`);
    lines.push(
      table(
        ['entries', 'file', 'recorded as'],
        report.archived.map(({ first, until, file, record }) => [
          `${first}–${until - 1}`,
          file,
          String(record),
        ]),
      ),
    );
    lines.push('They leave the database within the next minutes; each record lies in outbox/retention.');
  }
  if (report.shredded > 0)
    lines.push(`Destroyed the sensitive values of ${count(report.shredded, 'decision')} past their time.`);
  if (report.held.length > 0) {
    lines.push('', `${count(report.held.length, 'segment')} old enough must stay:`);
    lines.push(
      table(
        ['entries', 'for', 'why'],
        report.held.map(({ first, until, decision, why }) => [
          `${first}–${until - 1}`,
          plain(decision),
          plain(why),
        ]),
      ),
    );
  }
  return lines.join('\n');
}

/** What became of one copy. */
interface Outcome extends Partial<CarriedArchive> {
  file: string;
  refused: string | null;
}

/** Every copy is read and compared here, where the medium is; the daemon gets its digest. */
async function carryOff(client: ApiClient, options: PruneOptions, actor: string | null): Promise<void> {
  const directory = resolve(options.carried ?? '.');
  const { segments } = await client.retention();
  const names = namesIn(directory);
  const copies = segments.filter(({ file }) => names.includes(file));
  const outcomes: Outcome[] = [];
  for (const segment of copies) {
    if (options.json !== true) say(`reading ${segment.file}`);
    outcomes.push(await carryOne(client, directory, segment, options.to ?? directory, actor));
  }
  const wrong = outcomes.filter(({ refused }) => refused !== null);
  if (options.json) printJson({ directory, carried: outcomes });
  else print(carryWords(outcomes, directory));
  if (wrong.length > 0)
    endWith(wrong.some(({ refused }) => refused?.includes('true one')) ? EXIT.tampered : EXIT.refused);
}

async function carryOne(
  client: ApiClient,
  directory: string,
  { first, file, bytes }: ArchivedSegment,
  to: string,
  actor: string | null,
): Promise<Outcome> {
  try {
    const sha256 = sha256Hex(readBounded(join(directory, file), bytes + 1));
    const named = actor === null ? {} : { actor: { id: actor } };
    return { ...(await client.carryArchive({ first, sha256, to, ...named })), refused: null };
  } catch (error) {
    if (!(error instanceof BoundaryError) && !isProblem(error)) throw error;
    return { file, refused: (error as Error).message };
  }
}

/** A "no" about this one file; the others go on. */
function isProblem(error: unknown): boolean {
  return error instanceof Error && error.name === 'ApiProblem';
}

function carryWords(outcomes: readonly Outcome[], directory: string): string {
  if (outcomes.length === 0)
    return `There is no copy of an archive file of this site in ${directory}. Nothing was changed. Copy state/archive/*.entries.zst there first.`;
  return table(
    ['file', 'what'],
    outcomes.map(({ file, refused, removed }) => [
      file,
      refused === null
        ? removed === true
          ? 'on record as carried off; removed here'
          : 'on record as carried off; it was not here any more'
        : plain(refused),
    ]),
  );
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (cause) {
    throw new BoundaryError(
      'file.unreadable',
      `${directory} cannot be read; nothing was changed. Name the directory that holds the copies.`,
      { at: directory, cause },
    );
  }
}

/** `holdfast ledger archive`: which entries lie in which file. */
export function archiveCommand(): Command {
  return new Command('archive')
    .description('Which entries lie in archive files, where those are, and what is held back.')
    .action(async (options: SiteOptions) => {
      const client = connect(openSite(options), 'operator');
      try {
        const { segments, held, archived, rule } = await client.retention();
        if (options.json) {
          printJson({ rule: rule?.words ?? null, archived, segments, held });
          return;
        }
        if (segments.length === 0) print('Nothing was archived yet: every entry is in the database.');
        else {
          print(
            table(
              ['entries', 'file', 'bytes', 'record', 'where'],
              segments.map(({ first, until, file, bytes, record, carried_to: to }) => [
                `${first}–${until - 1}`,
                file,
                bytes.toLocaleString('en-US'),
                String(record),
                to === null ? 'state/archive' : plain(`carried off: ${to}`),
              ]),
            ),
          );
        }
        for (const { decision, record } of held) print(`held since entry ${record}: ${plain(decision)}`);
      } finally {
        client.close();
      }
    });
}
