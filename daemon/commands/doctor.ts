import { hostname } from 'node:os';
import { Command } from 'commander';
import { BoundaryError } from '../formats/boundary-error.ts';
import { VERSION } from '../host/version.ts';
import { connect, openSite, type Site, type SiteOptions } from './access.ts';
import { checkAges } from './doctor/ages.ts';
import { type Check, type CheckResult, fail, type Patient, pass } from './doctor/check.ts';
import { checkControls } from './doctor/controls.ts';
import { checkFiles } from './doctor/files.ts';
import { checkHealth } from './doctor/health.ts';
import { checkProcesses } from './doctor/processes.ts';
import { checkSandbox } from './doctor/sandbox.ts';
import { checkSecretsAtRest } from './doctor/secrets.ts';
import { checkTools } from './doctor/tools.ts';
import { EXIT, endWith } from './exit.ts';
import { assertFree, writeNew } from './new-file.ts';
import { print, printJson, say } from './render/output.ts';
import { isForbidden } from './render/status-answer.ts';
import { count, fitted, paint, plain, type Style } from './render/text.ts';
import { ownLogTrust } from './site.ts';
import { askStatus } from './status.ts';

const HELP = `
Changes nothing. Run it as root or as the account of the daemon; what another account cannot see is said.
"holdfast ledger verify" checks every entry, "holdfast ledger audit" what is missing.
With --report it also writes a page that maps what was found to control names of NIST SP 800-53 and IEC 62443-4-2. It is help
for an assessor, and certifies nothing.

Example:
  holdfast doctor --report -o controls.html

Exit codes: 0 nothing failed (there may be warnings) · 2 no site, or its settings cannot be read · 5 something failed`;

interface DoctorOptions extends SiteOptions {
  all?: boolean;
  report?: boolean;
  out?: string;
}

/** `holdfast doctor`: looks at everything that can be looked at, and says what to do about it. */
export function doctorCommand(): Command {
  return new Command('doctor')
    .description('Look at everything about this site, and say what to do.')
    .option('--all', 'show what passed too')
    .option('--report', 'write a page that maps the controls found here to NIST SP 800-53 and IEC 62443-4-2')
    .option('-o, --out <file>', 'with --report: where it goes, FILE.html or FILE.txt')
    .addHelpText('after', HELP)
    .action(async (options: DoctorOptions) => {
      const out = reportFile(options);
      const site = openSite(options);
      const checks = await examine(site);
      if (out !== null) await writeReport(out, site, checks);
      const failed = checks.some(({ result }) => result === 'fail');
      if (options.json) printJson({ site: site.config.site, healthy: !failed, checks });
      else print(render(site, checks, options.all ?? false));
      endWith(failed ? EXIT.unavailable : EXIT.done);
    });
}

/** Where the report goes; null where none is wanted. Throws BoundaryError `doctor.report`, `file.*`. */
function reportFile({ report, out }: DoctorOptions): string | null {
  if (report !== true && out === undefined) return null;
  if (report !== true || out === undefined || !/\.(html|txt)$/.test(out))
    throw new BoundaryError(
      'doctor.report',
      'Write the report with --report -o FILE.html or FILE.txt; nothing was looked at.',
      { at: '--out' },
    );
  assertFree(out);
  return out;
}

async function writeReport(out: string, { config }: Site, checks: readonly Check[]): Promise<void> {
  const { htmlReport, textReport } = await import('./doctor/report.ts');
  const at = `${new Date().toISOString().slice(0, 19)}Z`;
  const head = { site: config.site, profile: config.profile, host: hostname(), version: VERSION, at };
  const text = (out.endsWith('.html') ? htmlReport : textReport)(head, checks);
  writeNew(out, text);
  say(`Wrote ${out}`);
}

/** Every check there is, in the order in which a person would look. */
async function examine(site: Site): Promise<Check[]> {
  const [daemon, gateway] = await Promise.all([askStatus(site, 'operator'), askStatus(site, 'gateway')]);
  const client = daemon.status === null ? null : connect(site, 'operator');
  const patient: Patient = {
    site,
    daemon: client,
    status: { daemon: daemon.status, gateway: gateway.status },
    forbidden: [
      ...(isForbidden(daemon) ? (['daemon'] as const) : []),
      ...(isForbidden(gateway) ? (['gateway'] as const) : []),
    ],
  };
  try {
    return [
      ...checkProcesses(patient),
      ...checkHealth(patient),
      ...(await checkLedger(patient)),
      ...(await checkTools(patient)),
      ...checkFiles(patient),
      ...checkSecretsAtRest(patient),
      ...(await checkControls(patient)),
      ...checkSandbox(patient),
      ...(await checkAges(patient)),
    ];
  } finally {
    client?.close();
  }
}

const LEDGER_FIX = 'Run as the account of the daemon: holdfast ledger verify';
/** Where the ledger itself is not what is wrong. */
const LEDGER_FIXES: Readonly<Record<string, string>> = {
  'database.forbidden': 'Run doctor as root or as the account of the daemon.',
  'database.readonly_disk': 'Make its disk writable again, then repeat.',
};

/** The ledger's newest checkpoint, without reading everything under it. */
async function checkLedger({ site }: Patient): Promise<Check[]> {
  const { viewLedger } = await import('../ledger/open.ts');
  try {
    const { origin, vkeys } = ownLogTrust(site);
    const view = viewLedger(site.paths.ledger, { origin, vkeys });
    view.close();
    return [pass('ledger.checkpoint', `${count(view.size, 'entry', 'entries')} under a signed checkpoint`)];
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const told = error instanceof BoundaryError ? error : null;
    const words = told?.message ?? `the ledger cannot be read (${error.message})`;
    return [fail('ledger.checkpoint', words, LEDGER_FIXES[told?.code ?? ''] ?? LEDGER_FIX)];
  }
}

const MARKS: Readonly<Record<CheckResult, [word: string, style: Style]>> = {
  fail: ['FAIL', 'red'],
  warn: ['WARN', 'yellow'],
  unknown: ['UNKNOWN', 'cyan'],
  pass: ['ok', 'green'],
};

function render(site: Site, checks: readonly Check[], all: boolean): string {
  const of = (result: CheckResult) => checks.filter((check) => check.result === result);
  const [failed, warned, unseen, passed] = [of('fail'), of('warn'), of('unknown'), of('pass')];
  const word =
    failed.length > 0
      ? paint('red', 'NOT WELL')
      : warned.length > 0
        ? paint('yellow', 'WARNINGS')
        : paint('green', 'WELL');
  const counts = `${failed.length} failed, ${count(warned.length, 'warning')}, ${unseen.length} unknown, ${passed.length} passed`;
  const shown = [...failed, ...warned, ...unseen, ...(all ? passed : [])];
  const more = all || passed.length === 0 ? [] : ['', 'Show what passed too with --all.'];
  return [
    `${paint('bold', word)}  ${plain(site.config.site)}: ${counts}`,
    ...shown.map(renderCheck),
    ...more,
  ].join('\n');
}

function renderCheck({ id, result, found, fix }: Check): string {
  const [word, style] = MARKS[result];
  const rows = fitted([
    ['found', plain(found)],
    ['do', plain(fix ?? '')],
  ]);
  return `\n${paint(style, word)}  ${id}\n${rows}`;
}
