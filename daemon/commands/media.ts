import { basename, join, resolve } from 'node:path';
import { Command } from 'commander';
import type { JsonObject } from '../formats/json.ts';
import { errorCode } from '../host/durable-file.ts';
import { type LeftOnMedium, leaveOutbox } from '../policy/medium-export.ts';
import { clearIntake, EXPORT_MARK, isMarked, takeIn } from '../policy/medium-intake.ts';
import { connect, openSite, type Site, type SiteOptions } from './access.ts';
import { EXIT, endWith } from './exit.ts';
import { describeFailure } from './failure.ts';
import { type Brought, bringIn } from './import.ts';
import { runHooks } from './media-hooks.ts';
import { forgetOutcomes, type Outcome, readOutcome, wantExport, writeOutcome } from './media-outcome.ts';
import { print, printJson, say } from './render/output.ts';
import { count, plain } from './render/text.ts';

interface MediaOptions extends SiteOptions {
  results?: string;
}

const HELP = `
The units holdfast-import@, holdfast-export@ and holdfast-media-result@ run these, one after the other, for each stick that is
put in. By hand, "holdfast import PATH" does the same in one step.

  take    copies what the mounted medium brings into the inbox and has the daemon judge it
  give    leaves what waits in the outbox on it, if it has a folder ${EXPORT_MARK}/
  result  says on one line what came of both, and runs the programs in the hook directory with two words as arguments:
          applied, unchanged, held, refused, taken, nothing, unavailable or failed; then exported, nothing or failed

Exit codes of take: those of "holdfast import", 0 when there was nothing · of give: 0 done · 5 it could not be written`;

const RESULTS = ['--results <dir>', 'directory for what the next step needs to know'] as const;

/** `holdfast media …`: removable media, step by step, each step with no more rights than it needs. */
export function mediaCommand(): Command {
  return new Command('media')
    .description('Removable media, step by step, as the units use them.')
    .addHelpText('after', HELP)
    .addCommand(
      new Command('take')
        .description('Take in what a mounted medium brings.')
        .argument('<path>', 'where the medium is mounted; it is only read')
        .option(...RESULTS)
        .action((path: string, options: MediaOptions) => take(resolve(path), options)),
    )
    .addCommand(
      new Command('give')
        .description(`Leave anchors and receipts on a medium that carries ${EXPORT_MARK}/.`)
        .argument('<path>', 'where the medium is mounted; it is written to')
        .option(...RESULTS)
        .action((path: string, options: MediaOptions) => give(resolve(path), options)),
    )
    .addCommand(
      new Command('result')
        .description('Say what came of a medium, on one line, and by lamp or sound.')
        .argument('<results>', 'directory that the steps before wrote to')
        .option('--hooks <dir>', 'directory of programs to run', '/etc/holdfast/media.d')
        .action((results: string, options: SiteOptions & { hooks: string }) =>
          result(resolve(results), options),
        ),
    );
}

/** Forget what was → copy off the medium → have the daemon judge the copy → remove it → say what came of it. */
async function take(medium: string, options: MediaOptions): Promise<void> {
  const { results } = options;
  if (results !== undefined) forgetOutcomes(results);
  const site = openSite(options);
  // Two media at once must not get into each other's way.
  const area = join(site.paths.inbox, `media-${basename(medium)}`);
  let brought: Brought | null = null;
  let outcome: Outcome<'take'>;
  let code: number = EXIT.done;
  try {
    // First: also a medium that is refused takes home what waits.
    if (results !== undefined && (await isMarked(medium))) wantExport(results);
    const dir = await takeIn(medium, area, site.config.site);
    brought = dir === null ? null : await bringIn(site, dir, {});
    outcome = outcomeOf(brought);
    code = brought?.code ?? EXIT.done;
  } catch (error) {
    ({ outcome, code } = failed(error));
  } finally {
    clearIntake(area);
  }
  if (results !== undefined) writeOutcome(results, 'take', outcome);
  if (options.json) printJson({ ...outcome, ...brought?.document });
  else print(brought?.text ?? outcome.text);
  endWith(code);
}

function outcomeOf(brought: Brought | null): Outcome<'take'> {
  if (brought === null) return { word: 'nothing', text: 'The medium brings nothing for a site.' };
  const { result, text, code } = brought;
  const line = text.split('\n')[0] ?? '';
  if (result === null)
    return {
      word: code === EXIT.done ? 'taken' : code === EXIT.unavailable ? 'unavailable' : 'refused',
      text: line,
    };
  if (result.applied) return { word: result.unchanged ? 'unchanged' : 'applied', text: line };
  if (result.held === true) return { word: 'held', text: line };
  return { word: code === EXIT.unavailable ? 'unavailable' : 'refused', text: line };
}

/** What could not be judged: the medium's fault (refused), the daemon's absence, or ours. */
function failed(error: unknown): { outcome: Outcome<'take'>; code: number } {
  const { text, exitCode } = describeFailure(error);
  const code = (error as { code?: unknown }).code;
  if (typeof code === 'string' && code.startsWith('update.'))
    return { outcome: { word: 'refused', text }, code: EXIT.refused };
  const word = exitCode === EXIT.unavailable ? 'unavailable' : 'failed';
  return { outcome: { word, text }, code: exitCode };
}

/** Have the daemon export the newest tree head → copy the outbox → say what lies on the medium now. */
async function give(medium: string, options: MediaOptions): Promise<void> {
  const site = openSite(options);
  await exportNewest(site);
  let left: LeftOnMedium | null = null;
  let outcome: Outcome<'give'>;
  try {
    left = await leaveOutbox(medium, site.paths.outbox, site.config.site);
    outcome = givenOutcome(left);
  } catch (error) {
    if (errorCode(error) === null) throw error;
    outcome = { word: 'failed', text: `Nothing could be left on the medium: ${describeFailure(error).text}` };
  }
  if (options.results !== undefined) writeOutcome(options.results, 'give', outcome);
  if (options.json) printJson({ ...outcome, ...(left as unknown as JsonObject | null) });
  else print(outcome.text);
  endWith(outcome.word === 'failed' ? EXIT.unavailable : EXIT.done);
}

/** What lies in the outbox already goes home in any case. */
async function exportNewest(site: Site): Promise<void> {
  const client = connect(site, 'operator');
  try {
    await client.exportAnchor();
  } catch (error) {
    if (!(error instanceof Error) || !['ApiProblem', 'ApiUnreachable'].includes(error.name)) throw error;
    say(`No new anchor was made: ${describeFailure(error).text}`);
  } finally {
    client.close();
  }
}

function givenOutcome({ directory, written, already, failed: missing }: LeftOnMedium): Outcome<'give'> {
  const [first] = missing;
  if (first !== undefined)
    return {
      word: 'failed',
      text: `${count(missing.length, 'file')} could not be left on the medium (${plain(first.name)}: ${first.why}); ${written.length} were. They stay in the outbox: use another medium.`,
    };
  if (directory === null)
    return {
      word: 'nothing',
      text: `Nothing was left on the medium: no folder ${EXPORT_MARK}/, or an empty outbox.`,
    };
  return {
    word: 'exported',
    text: `Left ${count(written.length, 'file')} on the medium; ${already} lay there already.`,
  };
}

async function result(results: string, options: SiteOptions & { hooks: string }): Promise<void> {
  const taken = readOutcome(results, 'take') ?? { word: 'failed', text: 'The medium could not be read.' };
  const given = readOutcome(results, 'give') ?? { word: 'nothing', text: '' };
  const runs = await runHooks(resolve(options.hooks), [taken.word, given.word]);
  for (const { name, trouble } of runs)
    if (trouble !== null) say(`The hook ${name} did not do its work: ${trouble}.`);
  const said = [taken.text, given.text].filter((text) => text !== '');
  const line = said.map((text) => text.replace(/[^.!?]$/, '$&.')).join(' ');
  if (options.json) printJson({ take: taken, give: given, hooks: runs });
  else print(`holdfast ${basename(results)}: ${line} You can take the medium out.`);
}
