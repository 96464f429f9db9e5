import { Command } from 'commander';
import { VERSION } from '../host/version.ts';
import { CATALOGUE } from './catalogue.ts';

const EXAMPLES = `
Examples:
  holdfast init --site outpost-7.example --profile dev
  holdfast daemon & holdfast gateway &
  holdfast exec --actor agent:ops-1 --class read_telemetry --target sensor:pump-1 \\
    --env production --intent 'morning check'
  holdfast approvals list
  holdfast ledger verify

Exit codes: 0 done or allowed · 2 usage · 3 refused · 4 waiting for authority · 5 unavailable
  6 outcome unknown · 10–14 verification failed (see docs/operate)`;

/** The root command with a stub per entry of the catalogue, except the commands `named`, which are loaded for real. */
export async function buildProgram(named: readonly string[]): Promise<Command> {
  const program = new Command('holdfast')
    .description('Decides, records and releases governed actions at a disconnected site.')
    .version(VERSION, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'explain a command')
    .helpCommand('help [command]', 'explain a command')
    .enablePositionalOptions()
    .configureHelp({ showGlobalOptions: false })
    .showHelpAfterError('(add --help for what it takes)')
    .addHelpText('after', EXAMPLES)
    .exitOverride();
  addSiteOptions(program);
  for (const [key, entry] of Object.entries(CATALOGUE)) {
    if (named.includes(key)) {
      const command = adopt(await entry.load(wholeProgram), program);
      program.addCommand(command.summary(entry.summary).helpGroup(entry.group));
    } else {
      program.command(key).description(entry.summary).helpGroup(entry.group);
    }
  }
  return program;
}

/** Gives a loaded command tree the root's settings, and each leaf the two options that every command takes. */
function adopt(command: Command, parent: Command): Command {
  command.copyInheritedSettings(parent);
  for (const child of command.commands) adopt(child, command);
  if (command.commands.length === 0) addSiteOptions(command);
  return command;
}

function addSiteOptions(command: Command): void {
  const has = (flag: string): boolean => command.options.some((option) => option.long === flag);
  if (!has('--dir')) {
    command.option('--dir <dir>', 'site directory (default: $HOLDFAST_DIR, else ./.holdfast)');
  }
  if (!has('--json')) command.option('--json', 'print one JSON document on stdout, nothing else');
}

/** Every command loaded: what completions and manual pages are made of. */
export function wholeProgram(): Promise<Command> {
  return buildProgram(Object.keys(CATALOGUE));
}
