/*
 * `npm run bench [-- --quick] [-- --json FILE]`: what a decision costs, side by side with others, in one run. Prints a
 * table and writes the same as JSON. Exits 0 when everything could be measured, whether the goals were met or not.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { type Cerbos, findCerbos, startCerbos } from './cerbos.ts';
import { decisionFigures } from './decision-figures.ts';
import { ledgerFigures } from './ledger-figures.ts';
import { Loader } from './load/loader.ts';
import { describeMachine } from './machine.ts';
import { permitFigures } from './permit-figures.ts';
import { FULL, type Plan, QUICK } from './plan.ts';
import { policyFigures } from './policy-figures.ts';
import type { Server } from './processes.ts';
import { makeQuestions } from './questions.ts';
import { type Figure, judge, type Report, renderReport, writeReport } from './report.ts';
import { checkSamePolicy } from './same-policy.ts';
import { makeSite, runCommand, socketOf, startRole } from './site.ts';
import { SiteLoad } from './site-load.ts';

const HOME = join(import.meta.dirname, '../../.bench');
const DIFFERENT_QUESTIONS = 64;

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    json: { type: 'string', default: join(HOME, 'bench.json') },
  },
});
const report = await runBench(options.quick ? QUICK : FULL);
writeReport(report, resolve(options.json));
process.stdout.write(`\n${renderReport(report)}\n\nwritten to ${resolve(options.json)}\n`);

async function runBench(plan: Plan): Promise<Report> {
  const started = performance.now();
  await using cleanup = new AsyncDisposableStack();
  mkdirSync(HOME, { recursive: true });
  // Beside the checkout, not in the temporary directory: that may lie in memory, where an fsync costs nothing.
  const scratch = mkdtempSync(join(HOME, 'run-'));
  cleanup.defer(() => rmSync(scratch, { recursive: true, force: true }));
  const own = (server: Server): Server => {
    cleanup.defer(() => server.stop());
    return server;
  };
  const loader = new Loader();
  cleanup.defer(() => loader.stop());
  stopOnSignal(cleanup);

  const questions = makeQuestions(DIFFERENT_QUESTIONS);
  const bench = { plan, loader, questions, scratch, own, progress };
  const machine = describeMachine(scratch);
  const figures: Figure[] = [];
  const conditions: Report['conditions'] = {
    rounds: plan.rounds,
    'seconds per arm': plan.durationMs / 1_000,
  };

  const dir = join(scratch, 'a');
  await makeSite(dir);
  const daemon = own(await startRole(dir, 'daemon'));
  const { cerbos, missing } = await tryCerbos(questions, own);
  await checkSamePolicy(socketOf(dir, 'request'), cerbos);
  const ours = new SiteLoad({ plan, loader, questions, dir });
  const decisions = await decisionFigures({ ...bench, ours, cerbos });
  figures.push(...(missing === null ? decisions : decisions.map((figure) => withoutCerbos(figure, missing))));
  conditions['answers verified in full'] = ours.verified;
  conditions['bytes per entry'] = ours.entryBytes;
  await cerbos?.stop();
  const permits = await permitFigures({ ...bench, dir }).catch(notMeasured);
  await daemon.stop();
  await runCommand(['ledger', 'verify', '--dir', dir, '--json']);
  figures.push(...(await policyFigures(bench)), ...(await ledgerFigures(bench)), ...permits);
  const seconds = (performance.now() - started) / 1_000;
  return {
    machine,
    mode: plan.mode,
    taken_at: new Date().toISOString(),
    seconds,
    conditions,
    figures: judge(figures),
  };
}

async function tryCerbos(
  questions: ReturnType<typeof makeQuestions>,
  own: (server: Server) => Server,
): Promise<{ cerbos: Cerbos | null; missing: string | null }> {
  const found = await findCerbos(join(HOME, 'cerbos'));
  if ('missing' in found) {
    progress(`Cerbos is not measured: ${found.missing}`);
    return { cerbos: null, missing: found.missing };
  }
  const cerbos = await startCerbos(found.binary, questions);
  own({ ...cerbos.server, stop: cerbos.stop });
  return { cerbos, missing: null };
}

/** What is only for information does not cost the run its figures; the table says what happened. */
function notMeasured(error: unknown): Figure[] {
  const note = error instanceof Error ? error.message : String(error);
  return [{ name: 'acting under permits', unit: 'ms', ours: null, note }];
}

function withoutCerbos(figure: Figure, missing: string): Figure {
  return figure.with?.name.startsWith('Cerbos') === true
    ? { ...figure, note: `Cerbos not measured: ${missing}` }
    : figure;
}

function progress(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** Interrupted or not, the bench leaves no process and no ledger behind. */
function stopOnSignal(cleanup: AsyncDisposableStack): void {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      void cleanup.disposeAsync().finally(() => process.exit(130));
    });
  }
}
