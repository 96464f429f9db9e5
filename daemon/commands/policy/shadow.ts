import { Command } from 'commander';
import { countShadow, type ShadowReport } from '../../policy/shadow-report.ts';
import { parseLimit, type SiteOptions } from '../access.ts';
import { openEntries } from '../entry-source.ts';
import { print, printJson } from '../render/output.ts';
import { count, moment, paint, plain, table } from '../render/text.ts';

const FLIPS_SHOWN = 50;

const HELP = `
Counts from the ledger what was judged in shadow since it began: action classes with "shadow: true", and bundles that an
update put into shadow (repo publish --shadow). Nothing is judged again, and nothing is changed.

  allow→deny and the like   another result
  band                      the same result at another risk band
  authority                 the same result, other people to approve`;

/** `holdfast policy shadow`: what would have been otherwise under what is in shadow. */
export function policyShadowCommand(): Command {
  return new Command('shadow')
    .description('What classes and bundles in shadow would have decided otherwise, counted from the ledger.')
    .option('--last <n>', 'the newest so many entries of the ledger', '100000')
    .addHelpText('after', HELP)
    .action(async (options: SiteOptions & { last: string }) => {
      const last = parseLimit(options.last, '--last');
      const entries = await openEntries(options);
      try {
        const reports = await countShadow(entries, last);
        if (options.json) printJson({ shadows: reports });
        else print(render(reports));
      } finally {
        entries.close();
      }
    });
}

function render(reports: readonly ShadowReport[]): string {
  if (reports.length === 0)
    return 'Nothing was judged in shadow in these entries. Put a bundle there with: holdfast repo publish … --shadow BUNDLE';
  return reports.map(renderOne).join('\n\n');
}

function renderOne({ policy, since, decisions, failed, counts, flips }: ShadowReport): string {
  const all = Object.values(counts).reduce((sum, n) => sum + n, 0);
  const kinds = Object.entries(counts).map(([kind, n]) => `${kind} ${n}`);
  const label = plain(policy?.version ?? 'classes in shadow');
  const over = `${count(decisions, 'decision')} since ${moment(since)}`;
  const head =
    all === 0
      ? `${paint('green', 'NO FLIPS')}  ${label}: ${over}`
      : `${paint('yellow', count(all, 'flip'))}  ${label}: of ${over}, ${kinds.join(', ')}`;
  const shown = flips.slice(0, FLIPS_SHOWN);
  return [
    head,
    ...(policy === null ? [] : [`digest ${policy.digest}`]),
    ...(failed === 0 ? [] : [`${count(failed, 'decision')} it could not judge: see "decision show".`]),
    ...(shown.length === 0 ? [] : ['', table(['decision', 'at', 'flip', 'action'], shown.map(row))]),
    ...(all > shown.length ? [`… and ${all - shown.length} more`] : []),
  ].join('\n');
}

function row({ decision_id, at, kind, environment, class: name }: ShadowReport['flips'][number]): string[] {
  return [decision_id, moment(at), kind, plain(`${name ?? '-'} in ${environment}`)];
}
