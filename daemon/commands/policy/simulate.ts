import { Command } from 'commander';
import type { CompiledBundle } from '../../core/compile.ts';
import {
  type Flip,
  SIMULATED_DECISIONS,
  type SimulationReport,
  simulateRecent,
} from '../../policy/simulate.ts';
import { parseLimit, type SiteOptions } from '../access.ts';
import { loadBundle, REFERENCE_HELP } from '../bundle-reference.ts';
import { openEntries, openRawEntries } from '../entry-source.ts';
import { type ReadOptions, withReason } from '../recorded-read.ts';
import { print, printJson, say } from '../render/output.ts';
import { count, moment, paint, plain, table } from '../render/text.ts';

const HELP = `
Judges decisions of this site's ledger again, as they were recorded, under a policy that is not in force, and lists
those that would have gone otherwise. Nothing is changed.

  allow→deny and the like   another result
  band                      the same result at another risk band
  authority                 the same result, other people to approve

Where the policy in force says who may read payload values (its section "reading"), decisions that have some are judged
only with --reason: the read is recorded before, as with ledger show --raw.

Example:
  holdfast policy simulate policies/field-site --last 500 --env production --reason 'review of version 12'`;

interface SimulateOptions extends SiteOptions, ReadOptions {
  last: string;
  env?: string;
}

/** `holdfast policy simulate`: which of the ledger's decisions a candidate would have flipped. */
export function policySimulateCommand(): Command {
  return withReason(new Command('simulate'))
    .description(
      "Replay the ledger's recent decisions under another policy and list what would have changed.",
    )
    .argument('<policy>', REFERENCE_HELP)
    .option('--last <n>', 'the newest so many decisions', String(SIMULATED_DECISIONS))
    .option('--env <environment>', 'only decisions of this environment')
    .addHelpText('after', HELP)
    .action(async (reference: string, options: SimulateOptions) => {
      const last = parseLimit(options.last, '--last');
      const { label, compiled } = await loadBundle(reference, options);
      const report = await simulateHere(compiled, last, options);
      if (options.json) {
        printJson({ policy: compiled.version, digest: compiled.digest, ...report });
        return;
      }
      print(render(label, report));
    });
}

async function simulateHere(
  candidate: CompiledBundle,
  last: number,
  options: SimulateOptions,
): Promise<SimulationReport> {
  const entries = await (options.reason === undefined ? openEntries(options) : openRawEntries(options));
  const onProgress = (n: number) => {
    if (process.stderr.isTTY) process.stderr.write(`\r${count(n, 'decision')} `);
  };
  try {
    const only = options.env === undefined ? {} : { environment: options.env };
    return await simulateRecent(entries, candidate, { last, onProgress, ...only });
  } finally {
    entries.close();
    if (process.stderr.isTTY) say('');
  }
}

function render(label: string, { decisions, withheld, masked, counts, flips }: SimulationReport): string {
  const all = Object.values(counts).reduce((sum, n) => sum + n, 0);
  if (decisions + masked === 0) return 'The ledger holds no such decision yet.';
  const kinds = Object.entries(counts).map(([kind, n]) => `${kind} ${n}`);
  const head =
    all === 0
      ? `${paint('green', 'NO FLIPS')}  ${plain(label)}: ${count(decisions, 'decision')} would have gone as they went`
      : `${paint('yellow', count(all, 'flip'))}  ${plain(label)}: of ${count(decisions, 'decision')}, ${kinds.join(', ')}`;
  const lines = decisions === 0 ? [] : [head];
  if (withheld > 0) {
    lines.push(`${count(withheld, 'denial')} stand as they are: what they were denied for is not on record.`);
  }
  if (masked > 0) {
    lines.push(
      `${count(masked, 'decision')} NOT JUDGED: their payload values are shown only on record. Repeat with --reason TEXT, while the daemon runs.`,
    );
  }
  if (flips.length > 0) lines.push('', table(['decision', 'at', 'flip', 'action', 'why'], flips.map(row)));
  if (all > flips.length) lines.push(`… and ${all - flips.length} more`);
  return lines.join('\n');
}

function row(flip: Flip): string[] {
  const { decision_id, at, kind, environment, from, to, reasons } = flip;
  const bands = kind === 'band' ? ` ${from.band ?? 'none'}→${to.band ?? 'none'}` : '';
  return [
    decision_id,
    moment(at),
    `${kind}${bands}`,
    plain(`${flip.class ?? '-'} in ${environment}`),
    plain(reasons[0] ?? ''),
  ];
}
