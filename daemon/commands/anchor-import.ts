import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import type { TakenCosignatures } from '../api/client.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import { COSIGNED_MAX_BYTES, notedHead } from '../formats/cosignature.ts';
import { readBounded } from '../host/durable-file.ts';
import { connect, openSite, type Site, type SiteOptions } from './access.ts';
import { type CarriedNote, readCosigned } from './cosigned-files.ts';
import { EXIT, endWith } from './exit.ts';
import { print, printJson, say } from './render/output.ts';
import { count, paint, plain } from './render/text.ts';

const HELP = `
What witnesses cosigned comes back: FILE is a checkpoint with their lines, a directory of such files (.note), or its QR
codes, as pictures or as text. Whom to believe, and how many of them, stands in trust/tlog-policy (C2SP tlog-policy). Harmless to repeat.

Then "ledger prove INDEX --cosigned" makes proofs that a quorum of witnesses stands behind.

Exit codes: 0 recorded, or known before · 10 a line does not verify, or the checkpoint is of ANOTHER HISTORY of this ledger
  13 no witness that is believed, or another log's key · 14 the ledger ends before that checkpoint: it was set back
  5 the ledger cannot be written`;

/** What one file came to. */
export type CosignedAnswer = { file: string } & (
  | { taken: TakenCosignatures }
  | { refused: { code: string; message: string } }
);

/** `anchor import`: cosignatures on their way back. */
export function importCommand(): Command {
  return new Command('import')
    .description('Take in what witnesses cosigned.')
    .argument('<file...>', 'cosigned checkpoints (.note), directories of them, QR codes')
    .addHelpText('after', HELP)
    .action(async (files: string[], options: SiteOptions) => {
      const site = openSite(options);
      const answers = await takeCosigned(site, files);
      if (answers.length === 0) throw nothingThere(files);
      if (options.json) for (const answer of answers) printJson(answer);
      else print(renderCosigned(answers));
      endWith(cosignedExit(answers));
    });
}

/**
 * Takes in cosigned checkpoints: files, and those of this site in directories (a witness's medium may serve several).
 * What is wrong with one is its answer; what would be wrong with all of them is thrown.
 */
export async function takeCosigned(site: Site, paths: readonly string[]): Promise<CosignedAnswer[]> {
  const names = paths.flatMap((path) => expand(path, site));
  if (names.length === 0) return [];
  const taker = await openTaker(site);
  const answers: CosignedAnswer[] = [];
  try {
    for (const carried of await readCosigned(names)) answers.push(await takeNote(carried, taker.take));
  } finally {
    await taker.close();
  }
  return answers;
}

/** The worst of them. */
export function cosignedExit(answers: readonly CosignedAnswer[]): number {
  return Math.max(EXIT.done, ...answers.map(exitCode));
}

/** For people, a line or two for each. */
export function renderCosigned(answers: readonly CosignedAnswer[]): string {
  return answers.map(render).join('\n');
}

const MOST_FILES = 1_000;

function expand(path: string, site: Site): string[] {
  if (path === '-' || statSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) return [path];
  const own = `${site.config.site}/ledger`;
  const names = readdirSync(path, { withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.note$/.test(entry.name))
    .map(({ name }) => join(path, name))
    .filter((file) => [null, own].includes(logIn(file)?.slice(0, own.length) ?? null))
    .sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));
  if (names.length <= MOST_FILES) return names;
  throw new BoundaryError(
    'cosignature.too_many',
    `There are more than ${MOST_FILES} cosigned checkpoints in ${path}; nothing was taken in. Name fewer.`,
    { at: path },
  );
}

/** Which log a note is about; null for what is none: that is told when it is looked at. */
function logIn(file: string): string | null {
  try {
    return notedHead(readBounded(file, COSIGNED_MAX_BYTES)).origin;
  } catch (error) {
    if (error instanceof BoundaryError) return null;
    throw error;
  }
}

type Take = (note: string) => Promise<TakenCosignatures>;

interface Taker {
  take: Take;
  close(): void | Promise<void>;
}

/** Through the daemon; directly while none is running. */
async function openTaker(site: Site): Promise<Taker> {
  const client = connect(site, 'operator');
  try {
    await client.checkpoint();
    return { take: (note) => client.importCosignatures(note), close: () => client.close() };
  } catch (error) {
    client.close();
    if (!isNotRunning(error)) throw error;
    say('The daemon is not running; importing directly.');
    return openDirectly(site);
  }
}

async function openDirectly({ paths }: Site): Promise<Taker> {
  const { openInlineEngine } = await import('../engine/inline.ts');
  const cosignatures = await import('../policy/cosignatures.ts');
  const { witnessesOf } = await import('../roles/daemon-witnesses.ts');
  const engine = await openInlineEngine(paths.root);
  const options = { engine, ...witnessesOf(paths) };
  return {
    take: (note) => cosignatures.takeCosigned(note, options),
    close: () => engine.stop('import finished'),
  };
}

async function takeNote(carried: CarriedNote, take: Take): Promise<CosignedAnswer> {
  const { file } = carried;
  try {
    if ('error' in carried) throw carried.error;
    return { file, taken: await take(carried.note) };
  } catch (error) {
    const refused = refusalIn(error);
    if (refused === null) throw error;
    return { file, refused };
  }
}

/** What was said about one file; null for everything that the next file would not get past either. */
function refusalIn(error: unknown): { code: string; message: string } | null {
  if (error instanceof BoundaryError) {
    const { code, message } = error;
    return code.startsWith('ledger.') && !CONTRADICTIONS.includes(code) ? null : { code, message };
  }
  if (!(error instanceof Error) || error.name !== 'ApiProblem') return null;
  const { status, code, detail } = error as Error & { status: number; code: string; detail: string };
  return status === 422 || CONTRADICTIONS.includes(code) ? { code, message: detail } : null;
}

function isNotRunning(error: unknown): boolean {
  if (!(error instanceof Error) || error.name !== 'ApiUnreachable' || !('reason' in error)) return false;
  return error.reason === 'missing' || error.reason === 'refused';
}

const CONTRADICTIONS: readonly string[] = ['ledger.forked', 'ledger.set_back'];

const EXITS: Readonly<Record<string, number>> = {
  'ledger.set_back': EXIT.rolledBack,
  'cosignature.unknown_witness': EXIT.unknownKey,
  'checkpoint.origin_mismatch': EXIT.unknownKey,
  'note.no_known_signature': EXIT.unknownKey,
  'checkpoint.not_signed_by_log': EXIT.unknownKey,
  'checkpoint.key_retired': EXIT.unknownKey,
  'checkpoint.key_early': EXIT.unknownKey,
};

function exitCode(answer: CosignedAnswer): number {
  if ('taken' in answer) return answer.taken.bad.length > 0 ? EXIT.tampered : EXIT.done;
  if (/^(file|tlog_policy|trust)\./.test(answer.refused.code)) return EXIT.usage;
  return EXITS[answer.refused.code] ?? EXIT.tampered;
}

function render(answer: CosignedAnswer): string {
  const file = plain(answer.file);
  if ('refused' in answer) {
    const { code, message } = answer.refused;
    const loud = CONTRADICTIONS.includes(code) ? 'ANOTHER HISTORY' : 'REFUSED';
    return `${paint('red', paint('bold', loud))}  ${file}: ${plain(message)} [${code}]`;
  }
  const { size, recorded, known, quorum, bad } = answer.taken;
  const head = recorded.length > 0 ? 'RECORDED' : 'KNOWN';
  const who = recorded.length > 0 ? recorded : known;
  const enough = quorum ? 'the quorum stands behind it' : 'the quorum is not reached yet';
  const lines = [
    `${paint('green', paint('bold', head))}  ${file}: ${count(size, 'entry', 'entries')}, cosigned by ${plain(who.join(', '))}; ${enough}`,
  ];
  if (bad.length > 0)
    lines.push(
      `${paint('red', 'A line does not verify')}: ${plain(bad.join(', '))}. Damaged, or forged; it was not taken in.`,
    );
  return lines.join('\n');
}

function nothingThere(files: readonly string[]): BoundaryError {
  return new BoundaryError(
    'cosignature.none',
    `There is no cosigned checkpoint (.note) in ${files.slice(0, 3).join(', ')}; nothing was taken in.`,
  );
}
