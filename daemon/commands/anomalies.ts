import { Command } from 'commander';
import type { ApiClient } from '../api/client.ts';
import type { ShownAnomaly } from '../core/anomaly.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import { connect, openSite, type SiteOptions } from './access.ts';
import { print, printJson } from './render/output.ts';
import { moment, plain, table } from './render/text.ts';

const HELP = `
Which rules there are is policy (section anomalies; holdfast policy show). An entry is made once for each
rule and person while the rule's quiet time lasts; every act names the rules that it struck. An entry in
full: holdfast ledger show RECORD. A key that looks stolen: holdfast keys suspend.`;
const PAGE = 200;

interface ListOptions extends SiteOptions {
  limit: string;
}

/** `holdfast anomalies …`: what was out of the ordinary about approvals and requests. */
export function anomaliesCommand(): Command {
  return new Command('anomalies')
    .description('What was out of the ordinary about approvals and requests.')
    .addHelpText('after', HELP)
    .addCommand(
      new Command('list')
        .description('What rules and limits were struck, newest first.')
        .option('--limit <n>', 'at most so many', '50')
        .action(async (options: ListOptions) => {
          const limit = parseLimit(options.limit);
          const found = await readAnomalies(connect(openSite(options), 'operator'), limit);
          if (options.json) for (const anomaly of found) printJson(anomaly);
          else if (found.length > 0) print(renderAnomalies(found));
          else print('Nothing out of the ordinary is on record.');
        }),
    );
}

/** Throws BoundaryError `limit.malformed`. */
function parseLimit(text: string): number {
  if (/^[1-9]\d{0,4}$/.test(text)) return Number(text);
  throw new BoundaryError('limit.malformed', 'Write --limit as a whole number from 1 to 99999.', {
    at: '--limit',
  });
}

async function readAnomalies(client: ApiClient, limit: number): Promise<ShownAnomaly[]> {
  const found: ShownAnomaly[] = [];
  for (let before: number | null | undefined; before !== null && found.length < limit; ) {
    const page = await client.anomalies({
      limit: Math.min(PAGE, limit - found.length),
      ...(before === undefined ? {} : { before }),
    });
    found.push(...page.anomalies);
    before = page.next;
  }
  return found;
}

const EFFECT_WORDS: Readonly<Record<string, string>> = {
  record: 'recorded',
  escalate: 'more approval asked',
  reject: 'did not count',
};

function renderAnomalies(found: readonly ShownAnomaly[]): string {
  return table(
    ['record', 'when', 'rule', 'who', 'effect', 'what', 'decision'],
    found.map(({ record_id, at, rule, principal, effect, detail, decision_id }) => [
      String(record_id),
      moment(at),
      plain(rule),
      plain(principal ?? '-'),
      EFFECT_WORDS[effect] ?? plain(effect),
      plain(detail),
      decision_id ?? '-',
    ]),
  );
}
