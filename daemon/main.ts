#!/usr/bin/env node
/*
 * The one executable. Reads the command's name, imports only the module that serves it, and maps whatever comes out of
 * it to the exit codes of the contract. `commands/catalogue.ts` is the whole list; nothing else is reachable.
 */
import { existsSync } from 'node:fs';
import { enableCompileCache } from 'node:module';
import { join } from 'node:path';
import { CommanderError } from 'commander';
import { CATALOGUE } from './commands/catalogue.ts';
import { EXIT } from './commands/exit.ts';
import { describeFailure } from './commands/failure.ts';
import { buildProgram } from './commands/program.ts';

/**
 * Moves `--dir DIR` and `--json` given before or between the command's names behind them, where the leaf command takes
 * them: `holdfast --json decision list` is `holdfast decision list --json`. Returns the words and the first operand.
 */
export function hoistSiteOptions(argv: readonly string[]): { argv: string[]; name: string | undefined } {
  const moved: string[] = [];
  const names: string[] = [];
  const rest = [...argv];
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    if (word === '--json' || word.startsWith('--dir=')) moved.push(word);
    else if (word === '--dir') moved.push(word, ...rest.splice(0, 1));
    else if (names.length < 2 && /^[a-z][a-z-]*$/.test(word)) names.push(word);
    else {
      rest.unshift(word);
      break;
    }
  }
  // Only options that stood before the last name need to move; for a bare `holdfast --json` there is nothing to do.
  return { argv: [...names, ...moved, ...rest], name: names[0] };
}

/** Runs one command line. Resolves with the process's exit code; never rejects. */
export async function main(argv: readonly string[]): Promise<number> {
  const { argv: words, name } = hoistSiteOptions(argv);
  const json = words.includes('--json');
  try {
    const known = name !== undefined && Object.hasOwn(CATALOGUE, name) ? name : undefined;
    const topic = name === 'help' ? words.find((word, i) => i > 0 && !word.startsWith('-')) : undefined;
    const isTopic = topic === undefined || topic === 'help' || Object.hasOwn(CATALOGUE, topic);
    const asked = name === 'help' && isTopic ? topic : known;
    const program = await buildProgram(asked === undefined || asked === 'help' ? [] : [asked]);
    // Help about what there is not is refused as the command itself is.
    await program.parseAsync(isTopic ? words : [topic], { from: 'user' });
    return Number(process.exitCode ?? 0);
  } catch (error) {
    // commander has already printed what was wrong; help and version are not failures.
    if (error instanceof CommanderError) return endOfCommander(error, json);
    const failure = describeFailure(error);
    if (json) process.stdout.write(`${JSON.stringify(failure.document)}\n`);
    process.stderr.write(`holdfast: ${failure.text}\n`);
    return failure.exitCode;
  }
}

function endOfCommander({ exitCode, code, message }: CommanderError, json: boolean): number {
  if (exitCode === 0) return EXIT.done;
  const said =
    code === 'commander.help'
      ? 'No command was named; nothing was done. See --help.'
      : message.replace(/^error: /, '');
  if (json) process.stdout.write(`${JSON.stringify({ error: { code: 'usage', message: said } })}\n`);
  return EXIT.usage;
}

/**
 * A reader that went away (`| head`) is no error, and the exit code still says what was found. Where the output could
 * not be written, nobody saw it: that must not end like a success.
 */
function outlive(stdout: NodeJS.WriteStream): { failed: boolean } {
  const state = { failed: false };
  stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE' || state.failed) return;
    state.failed = true;
    process.exitCode ||= EXIT.unavailable;
    process.stderr.write(
      `holdfast: the output could not be written (${error.code ?? error.message}); what was asked for may have been done all the same.\n`,
    );
  });
  return state;
}

/** The process's whole run: one command line, its exit code, and no lingering behind it. */
export async function run(argv: readonly string[] = process.argv.slice(2)): Promise<void> {
  const output = outlive(process.stdout);
  const code = (await main(argv)) || (output.failed ? EXIT.unavailable : EXIT.done);
  process.exitCode = code;
  // A role whose engine or socket failed must not linger behind what is still open: supervisors restart what ends.
  if (code !== 0) setTimeout(() => process.exit(code), 1_000).unref();
}

if (import.meta.main) {
  // From a checkout every start would strip the types of hundreds of files anew. The cache is as trusted as the modules
  // that it lies beside; where that folder cannot be written, or does not exist, there is none.
  const modules = join(import.meta.dirname, '../node_modules');
  if (existsSync(modules)) enableCompileCache(join(modules, '.cache/holdfast'));
  void run();
}
