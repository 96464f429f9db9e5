import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Command } from 'commander';
import type { AnchorLink, ApiClient, ExportedAnchor } from '../api/client.ts';
import { anchorName } from '../formats/anchor.ts';
import { makeDir, syncDir, writeDurable } from '../host/durable-file.ts';
import { actorForRecord, connect, openSite, parseLimit, type SiteOptions } from './access.ts';
import { cosignCommand } from './anchor-cosign.ts';
import { importCommand } from './anchor-import.ts';
import { verifyCommand } from './anchor-verify.ts';
import { assertOutlets, carry, type Outlets, sayWritten } from './carry.ts';
import { print, printJson } from './render/output.ts';
import { count, moment, plain, table } from './render/text.ts';
import { witnessKeyCommand } from './witness-key.ts';

interface ExportOptions extends SiteOptions, Outlets {
  actor?: string;
}

const PAGE = 200;

const HELP = `
An anchor is a signed tree head with the proof that it continues the one before: whoever keeps it can tell later whether
the site's history is still that one. Keep anchors where the site cannot reach them.`;

const EXPORT_HELP = `
Examples:
  holdfast anchor export                      into the outbox; sync carries it to headquarters and to witnesses
  holdfast anchor export -o /media/stick/a    the same, and all anchors that the directory lacks
  holdfast anchor export --qr                 as QR codes on the screen; --png FILE as pictures, to print

Exit codes: 0 exported, or nothing happened since the last one · 5 the daemon or its ledger is not available`;

/** `holdfast anchor …`: tree heads that leave the site, and what they prove later. */
export function anchorCommand(): Command {
  return new Command('anchor')
    .description('Tree heads that leave the site, so that nobody can change its history unnoticed.')
    .addHelpText('after', HELP)
    .addCommand(exportCommand())
    .addCommand(listCommand())
    .addCommand(verifyCommand())
    .addCommand(importCommand())
    .addCommand(cosignCommand())
    .addCommand(witnessKeyCommand());
}

function exportCommand(): Command {
  return new Command('export')
    .description('Export the newest tree head, now.')
    .option('-o, --out <dir>', 'write the anchors that this directory lacks')
    .option('--png <file>', 'write the newest as QR codes, one picture each')
    .option('--qr', 'show the newest as QR codes')
    .option('--actor <id>', 'who takes it along, for the record')
    .addHelpText('after', EXPORT_HELP)
    .action(async (options: ExportOptions) => {
      const { out, json } = options;
      assertOutlets(picturesOf(options));
      const site = openSite(options);
      const client = connect(site, 'operator');
      try {
        const exported = await client.exportAnchor();
        const written = out === undefined ? [] : await writeMissing(client, resolve(out));
        if (out !== undefined)
          await client.carriedAnchors(exported.size, actorForRecord(options.actor, site));
        if (json) printJson({ ...exported, written });
        else print(exportedWords(exported));
        const files = await carry('A', exported.anchor, picturesOf(options));
        sayWritten([...written, ...files]);
      } finally {
        client.close();
      }
    });
}

function picturesOf({ png, qr }: Outlets): Outlets {
  return { ...(png === undefined ? {} : { png }), ...(qr === undefined ? {} : { qr }) };
}

/** Every link that the directory lacks, durably; the newest first, so that what is cut off in the middle is of use. */
async function writeMissing(client: ApiClient, directory: string): Promise<string[]> {
  makeDir(directory, 0o755);
  const written: string[] = [];
  for await (const link of links(client)) {
    const path = join(directory, anchorName(link));
    if (existsSync(path)) continue;
    const text = await client.anchorFrom(link.old, link.size);
    writeDurable(path, Buffer.from(text, 'utf8'), 0o644);
    written.push(path);
  }
  syncDir(directory);
  return written;
}

async function* links(client: ApiClient): AsyncGenerator<AnchorLink> {
  for (let before: number | null | undefined; before !== null; ) {
    const page = await client.anchors({
      limit: String(PAGE),
      ...(before === undefined ? {} : { before: String(before) }),
    });
    yield* page.anchors;
    before = page.next;
  }
}

function exportedWords({ unchanged, size, file, record_id }: ExportedAnchor): string {
  const where = file === null ? 'Headquarters has it already.' : `It is in the outbox: ${plain(file)}`;
  const what = unchanged
    ? `Nothing happened since the last anchor, of ${count(size, 'entry', 'entries')} (record ${record_id}).`
    : `Exported the history of ${count(size, 'entry', 'entries')} (record ${record_id}).`;
  return `${what} ${where}`;
}

interface ListOptions extends SiteOptions {
  limit: string;
}

function listCommand(): Command {
  return new Command('list')
    .description('The chain of anchors, newest first.')
    .option('--limit <n>', 'at most so many', '50')
    .action(async (options: ListOptions) => {
      const limit = parseLimit(options.limit);
      const client = connect(openSite(options), 'operator');
      const found: AnchorLink[] = [];
      try {
        for await (const link of links(client)) {
          found.push(link);
          if (found.length === limit) break;
        }
      } finally {
        client.close();
      }
      if (options.json) for (const link of found) printJson(link);
      else if (found.length > 0) print(renderList(found));
      else print('No anchor was ever exported here. Export one: holdfast anchor export');
    });
}

function renderList(found: readonly AnchorLink[]): string {
  return table(
    ['entries', 'continues', 'made', 'record', 'known outside'],
    found.map(({ size, old, made_at, record_id, departed }) => [
      String(size),
      String(old),
      moment(made_at),
      String(record_id),
      departed ? 'yes' : 'not yet',
    ]),
  );
}
