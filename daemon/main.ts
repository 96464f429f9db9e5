#!/usr/bin/env node
/*
 * The one executable. Reads the command's name, imports only the module that serves it, and maps whatever comes out of
 * it to the exit codes of the contract. `COMMANDS` below is the whole list; nothing else is reachable.
 */
import { existsSync } from 'node:fs';
import { enableCompileCache } from 'node:module';
import { join } from 'node:path';
import { Command, CommanderError } from 'commander';
import { EXIT } from './commands/exit.ts';
import { describeFailure } from './commands/failure.ts';
import { VERSION } from './host/version.ts';

interface CommandEntry {
  summary: string;
  group: string;
  load: () => Promise<Command>;
}

const ROLES = 'Long-running roles:';
const ASK = 'Ask and act:';
const DECIDE = 'Decide:';
const POLICY = 'Policy:';
const PROOF = 'Proof:';
const SITE = 'Site:';

const COMMANDS: Record<string, CommandEntry> = {
  init: {
    group: SITE,
    summary: 'create a site: keys, pinned policy root, configuration, ledger',
    load: async () => (await import('./commands/init.ts')).initCommand(),
  },
  status: {
    group: SITE,
    summary: 'what is degraded, since when, what to do about it',
    load: async () => (await import('./commands/status.ts')).statusCommand(),
  },
  doctor: {
    group: SITE,
    summary: 'look at everything about this site, and say what to do',
    load: async () => (await import('./commands/doctor.ts')).doctorCommand(),
  },
  site: {
    group: SITE,
    summary: 'what others need to check this site',
    load: async () => (await import('./commands/site.ts')).siteCommand(),
  },
  daemon: {
    group: ROLES,
    summary: 'decide and record: engine, ledger, policy store',
    load: async () => (await import('./commands/role.ts')).daemonCommand(),
  },
  gateway: {
    group: ROLES,
    summary: 'enforce: verify permits, run tools, report outcomes',
    load: async () => (await import('./commands/role.ts')).gatewayCommand(),
  },
  sync: {
    group: ROLES,
    summary: 'move bytes across the gap: policy in, receipts and anchors out',
    load: async () => (await import('./commands/role.ts')).syncCommand(),
  },
  request: {
    group: ASK,
    summary: 'ask for a decision',
    load: async () => (await import('./commands/request.ts')).requestCommand(),
  },
  exec: {
    group: ASK,
    summary: 'ask through the gateway and run the tool when allowed',
    load: async () => (await import('./commands/exec.ts')).execCommand(),
  },
  decision: {
    group: DECIDE,
    summary: 'show, list, explain, replay, cancel, review or reconcile decisions',
    load: async () => (await import('./commands/decision.ts')).decisionCommand(),
  },
  approvals: {
    group: DECIDE,
    summary: 'list, show, sign and submit approvals',
    load: async () => (await import('./commands/approvals.ts')).approvalsCommand(),
  },
  incident: {
    group: DECIDE,
    summary: 'report what was done without a permit; resume after a halt; test the gateway',
    load: async () => (await import('./commands/incident.ts')).incidentCommand(),
  },
  breakglass: {
    group: DECIDE,
    summary: 'emergencies: go ahead on record, have it reviewed; sealed grants',
    load: async () => (await import('./commands/breakglass.ts')).breakglassCommand(),
  },
  anomalies: {
    group: DECIDE,
    summary: 'what was out of the ordinary about approvals and requests',
    load: async () => (await import('./commands/anomalies.ts')).anomaliesCommand(),
  },
  principals: {
    group: DECIDE,
    summary: 'people, agents and services of the active policy',
    load: async () => (await import('./commands/principals.ts')).principalsCommand(),
  },
  keys: {
    group: SITE,
    summary: 'keys and certificates of this site',
    load: async () => (await import('./commands/keys.ts')).keysCommand(),
  },
  policy: {
    group: POLICY,
    summary: 'write, lint, test, compare, simulate and build policies',
    load: async () => (await import('./commands/policy.ts')).policyCommand(),
  },
  repo: {
    group: POLICY,
    summary: "the publisher's side: publish bundles in a signed repository",
    load: async () => (await import('./commands/repo.ts')).repoCommand(),
  },
  import: {
    group: POLICY,
    summary: 'bring in a signed policy repository from a directory or medium',
    load: async () => (await import('./commands/import.ts')).importCommand(),
  },
  time: {
    group: SITE,
    summary: 'how far the clock can be believed; state what time it is',
    load: async () => (await import('./commands/time.ts')).timeCommand(),
  },
  ledger: {
    group: PROOF,
    summary: 'verify, search, follow, show, prove, export or rebuild the ledger',
    load: async () => (await import('./commands/ledger.ts')).ledgerCommand(),
  },
  anchor: {
    group: PROOF,
    summary: 'tree heads that leave the site: export, list, verify',
    load: async () => (await import('./commands/anchor.ts')).anchorCommand(),
  },
  copy: {
    group: PROOF,
    summary: 'begin a second copy of the ledger on another disk',
    load: async () => (await import('./commands/copy.ts')).copyCommand(),
  },
  evidence: {
    group: PROOF,
    summary: 'everything that proves one decision, in one file; verify it, make a report of it',
    load: async () => (await import('./commands/evidence.ts')).evidenceCommand(),
  },
  siem: {
    group: PROOF,
    summary: 'entries as a SIEM is told of them',
    load: async () => (await import('./commands/siem.ts')).siemCommand(),
  },
  backup: {
    group: SITE,
    summary: 'everything of this site in one encrypted file',
    load: async () => (await import('./commands/backup.ts')).backupCommand(),
  },
  restore: {
    group: SITE,
    summary: 'make a site from its backup, and say what is missing',
    load: async () => (await import('./commands/restore.ts')).restoreCommand(),
  },
  permit: {
    group: PROOF,
    summary: 'check a permit file offline',
    load: async () => (await import('./commands/permit.ts')).permitCommand(),
  },
  receipt: {
    group: PROOF,
    summary: "check a site's answer to an import offline, and acknowledge it",
    load: async () => (await import('./commands/receipt.ts')).receiptCommand(),
  },
};

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

/** The root command with a stub per entry of `COMMANDS`, except `name`, which is loaded for real. */
async function buildProgram(name: string | undefined): Promise<Command> {
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
  for (const [key, entry] of Object.entries(COMMANDS)) {
    if (key === name) {
      const command = adopt(await entry.load(), program);
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
    const known = name !== undefined && Object.hasOwn(COMMANDS, name) ? name : undefined;
    const asked = name === 'help' ? words.find((word, i) => i > 0 && Object.hasOwn(COMMANDS, word)) : known;
    const program = await buildProgram(asked);
    await program.parseAsync(words, { from: 'user' });
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
