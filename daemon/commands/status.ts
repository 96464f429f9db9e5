import { Command } from 'commander';
import { ApiProblem, ApiUnreachable } from '../api/client.ts';
import type { JsonObject } from '../formats/json.ts';
import { connect, openSite, type Site, type SiteOptions } from './access.ts';
import { EXIT, endWith } from './exit.ts';
import { print, printJson } from './render/output.ts';
import type { Answer } from './render/status-answer.ts';
import { renderDetails, renderTrouble } from './render/status-details.ts';
import { renderScreen } from './render/status-screen.ts';
import { summarize } from './render/status-summary.ts';
import { paint, plain } from './render/text.ts';

const HELP = `
One screen says whether the site is safe, whether it decides, what waits for somebody, and what gets worse next and
when. --all says everything, however long. holdfast watch shows the same, and goes on.

Exit codes: 0 it would allow what policy allows · 5 it would allow nothing right now, or a process is down`;

/** `holdfast status`: is it safe, is it deciding, what waits, what degrades next. */
export function statusCommand(): Command {
  return new Command('status')
    .description('Is it safe, is it deciding, what waits for somebody, what degrades next and when.')
    .option('--all', 'everything that is known, and what is wrong in full')
    .addHelpText('after', HELP)
    .action(async (options: SiteOptions & { all?: boolean }) => {
      const site = openSite(options);
      const [daemon, gateway] = await Promise.all([askStatus(site, 'operator'), askStatus(site, 'gateway')]);
      const summary = summarize(daemon, gateway, site.paths.root);
      const { ready } = summary;
      if (options.json) printJson({ ready, daemon: documentOf(daemon), gateway: documentOf(gateway) });
      else if (options.all === true) print(renderAll(site, daemon, gateway));
      else print(renderScreen(titleOf(site), summary));
      endWith(ready ? EXIT.done : EXIT.unavailable);
    });
}

/** What the process behind a socket says of itself; that it does not answer is an answer. */
export async function askStatus(site: Site, socket: 'operator' | 'gateway'): Promise<Answer> {
  const client = connect(site, socket);
  try {
    return { status: await client.status(), down: null };
  } catch (error) {
    if (error instanceof ApiUnreachable) return { status: null, down: error.message, reason: error.reason };
    if (error instanceof ApiProblem) return { status: null, down: error.message };
    throw error;
  } finally {
    client.close();
  }
}

/** `outpost-7.example (dev profile)`. */
export function titleOf({ config }: Site): string {
  return `${config.site} (${config.profile} profile)`;
}

function documentOf({ status, down }: Answer): JsonObject {
  return status === null ? { reachable: false, reason: down } : { reachable: true, ...status };
}

function renderAll(site: Site, daemon: Answer, gateway: Answer): string {
  const { word, style, troubles, deciding } = summarize(daemon, gateway, site.paths.root);
  const lines = [
    `${paint('bold', paint(style, word))}  ${plain(titleOf(site))}`,
    renderDetails(daemon, gateway),
  ];
  if (daemon.status === null || gateway.status === null)
    lines.push('', plain(deciding.replace(/^(?:NO: )?n/, 'N')));
  for (const one of troubles) lines.push('', renderTrouble(one));
  return lines.join('\n');
}
