import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { download, refreshMetadata } from './session.ts';

/*
 * `tuf-client` (CLIENT-CLI.md of tuf-conformance): exit 0 when everything asked for was done and verified, else 1 with
 * the reason on stderr. Options may come in any order.
 */

async function run(argv: readonly string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      'metadata-dir': { type: 'string' },
      'metadata-url': { type: 'string' },
      'target-name': { type: 'string', multiple: true },
      'target-base-url': { type: 'string' },
      'target-dir': { type: 'string' },
    },
  });
  const [command, root] = positionals;
  const metadataDir = needed('metadata-dir', values['metadata-dir']);
  if (command === 'init') {
    copyFileSync(needed('ROOT', root), join(metadataDir, 'root.json'));
    return;
  }
  const session = {
    metadataDir,
    metadataUrl: needed('metadata-url', values['metadata-url']),
    now: Date.now(),
  };
  if (command === 'refresh') await refreshMetadata(session);
  else if (command === 'download')
    await download(session, {
      names: values['target-name'] ?? [needed('target-name', undefined)],
      baseUrl: needed('target-base-url', values['target-base-url']),
      dir: needed('target-dir', values['target-dir']),
    });
  else throw new Error('usage: tuf-client [options] init ROOT | refresh | download');
}

function needed(name: string, value: string | undefined): string {
  if (value === undefined) throw new Error(`${name} is missing`);
  return value;
}

try {
  await run(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`tuf-client: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
