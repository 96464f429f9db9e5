import { Command } from 'commander';
import type { ApiClient, BreakglassSession } from '../api/client.ts';
import { connect, openSite, type SiteOptions } from './access.ts';
import { activateCommand, endCommand, reviewCommand } from './breakglass/acts.ts';
import { grantCommands } from './breakglass/grants.ts';
import { parseSessionId } from './identifiers.ts';
import { everyPage } from './pages.ts';
import { renderSession, renderSessions } from './render/breakglass.ts';
import { print, printJson } from './render/output.ts';

const HELP = `
Breaking the glass lets one class of action on one target go ahead without the
approvals and gates that the policy lets it lift, for a short time, by one
signature. Every act under it still passes the ledger first, and is marked.
Somebody else reviews it afterwards. See docs/operate/break-glass.md.`;

/** `holdfast breakglass …`: emergencies, and the look at them afterwards. */
export function breakglassCommand(): Command {
  const command = new Command('breakglass')
    .description('Emergencies: go ahead without approvals, on record, and have it reviewed.')
    .addHelpText('after', HELP)
    .addCommand(activateCommand())
    .addCommand(listCommand())
    .addCommand(showCommand())
    .addCommand(endCommand())
    .addCommand(reviewCommand());
  for (const grant of grantCommands()) command.addCommand(grant);
  return command;
}

function listCommand(): Command {
  return new Command('list')
    .description('Sessions that are open, or that nobody has reviewed yet.')
    .option('--all', 'those that are closed too')
    .action(async (options: SiteOptions & { all?: boolean }) => {
      const client = connect(openSite(options), 'operator');
      const sessions = await readSessions(client, options.all ?? false);
      if (options.json) for (const session of sessions) printJson(session);
      else if (sessions.length > 0) print(renderSessions(sessions));
      else
        print(
          options.all
            ? 'The glass was never broken here.'
            : 'No session is open, and none waits for its review.',
        );
    });
}

async function readSessions(client: ApiClient, all: boolean): Promise<BreakglassSession[]> {
  if (!all) return (await client.breakglassSessions()).sessions;
  return everyPage(async (after) => {
    const { sessions, next } = await client.breakglassSessions({ all: 'true', ...after });
    return { items: sessions, next };
  });
}

function showCommand(): Command {
  return new Command('show')
    .description('One session: what it let through, by whose word, how it ended.')
    .argument('<id>', 'bg_…', parseSessionId)
    .action(async (id: string, options: SiteOptions) => {
      const session = await connect(openSite(options), 'operator', 'request').breakglassSession(id);
      if (options.json) printJson(session);
      else print(renderSession(session));
    });
}
