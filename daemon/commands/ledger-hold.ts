import { Command } from 'commander';
import { actorForRecord, connect, openSite, type SiteOptions } from './access.ts';
import { parseDecisionId } from './identifiers.ts';
import { print, printJson } from './render/output.ts';

interface HoldOptions extends SiteOptions {
  reason: string;
  actor?: string;
}

/** `holdfast ledger hold` and `ledger release`: what tells of a decision stays where it is, however old. */
export function holdCommand(): Command {
  return commandOf('hold', 'Keep everything that tells of a decision where it is, until it is released.');
}

export function releaseCommand(): Command {
  return commandOf('release', 'Take back a hold: retention goes on for the decision.');
}

function commandOf(verb: 'hold' | 'release', description: string): Command {
  return new Command(verb)
    .description(description)
    .argument('<decision>', 'dec_…')
    .requiredOption('--reason <text>', 'why; it is recorded')
    .option('--actor <id>', 'who says so, for the record')
    .action(async (id: string, options: HoldOptions) => {
      const decision = parseDecisionId(id);
      const site = openSite(options);
      const actor = actorForRecord(options.actor, site);
      const client = connect(site, 'operator');
      try {
        const body = {
          decision,
          reason: options.reason,
          ...(actor === null ? {} : { actor: { id: actor } }),
        };
        const answer = await (verb === 'hold' ? client.holdDecision(body) : client.releaseDecision(body));
        if (options.json) printJson(answer);
        else print(words(verb, decision, answer.index));
      } finally {
        client.close();
      }
    });
}

function words(verb: 'hold' | 'release', decision: string, index: number): string {
  return verb === 'hold'
    ? `${decision} is held (entry ${index}): its entries are not archived, its values not shredded, its archive file not carried off.`
    : `${decision} is not held any more (entry ${index}).`;
}
