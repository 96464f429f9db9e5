import { Command } from 'commander';
import { connect, openSite, type SiteOptions } from '../access.ts';
import { describeHeld, readHeld } from '../held-policy.ts';
import { renderHeld } from '../render/held.ts';
import { print, printJson } from '../render/output.ts';

const HELP = `
An update waits where the policy in force, or the update itself, wants signatures of people at this site (section
"activation"), or where headquarters gave it a date. One waits at a time; a newer import takes its place.

Release or reject it with: holdfast policy release UPDATE --key KEY`;

/** `holdfast policy held`: the update that waits to be put in force, and what it would change. */
export function policyHeldCommand(): Command {
  return new Command('held')
    .description('The update that waits to be put in force: for whom, until when, and what it would change.')
    .addHelpText('after', HELP)
    .action(async (options: SiteOptions) => {
      const client = connect(openSite(options), 'operator');
      try {
        const held = await readHeld(client);
        if (held === null) {
          if (options.json) printJson({ held: null });
          else print('No update waits. What is in force: holdfast policy status');
          return;
        }
        const shown = await describeHeld(client, held);
        if (options.json) printJson(shown);
        else print(renderHeld(shown));
      } finally {
        client.close();
      }
    });
}
