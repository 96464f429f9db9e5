import type { ApiClient } from '../api/client.ts';
import { type AcknowledgementReport, reportTaken, takeAcknowledgements } from '../policy/acknowledgements.ts';
import type { Site } from './access.ts';
import { count, paint, plain } from './render/text.ts';

/** Refused ones that are shown; `--json` has more. */
const SHOWN = 10;

/** Asks the daemon to take the acknowledgements on a medium. Throws what the client throws. */
export async function takeThroughDaemon(client: ApiClient, path: string): Promise<AcknowledgementReport> {
  try {
    return (await client.takeAcknowledgements(path)) as unknown as AcknowledgementReport;
  } finally {
    client.close();
  }
}

/** The same while no daemon runs. */
export async function takeDirectly(site: Site, path: string): Promise<AcknowledgementReport> {
  const { openInlineEngine } = await import('../engine/inline.ts');
  const { paths, config } = site;
  const engine = await openInlineEngine(paths.root);
  try {
    const options = { path: `${path}/acknowledgements`, outbox: paths.outbox, site: config.site, engine };
    return reportTaken(await takeAcknowledgements(options));
  } finally {
    await engine.stop('acknowledgements taken');
  }
}

/** What became of the acknowledgements, for people. */
export function renderTaken({ removed_total, refused, refused_total, idle }: AcknowledgementReport): string {
  const head = `${paint('bold', 'ACKNOWLEDGED')}  ${count(removed_total, 'file')} left the outbox`;
  const rest = idle === 0 ? '' : `; ${count(idle, 'acknowledgement')} about files that are not in it`;
  const shown = refused.slice(0, SHOWN).map(({ name, code, reason }) => {
    return `  ${paint('red', 'refused')} ${plain(name.slice(0, 12))}…  ${plain(reason)} [${plain(code)}]`;
  });
  const more = refused_total - shown.length;
  return [`${head}${rest}`, ...shown, ...(more > 0 ? [`  … and ${more} more refused`] : [])].join('\n');
}
