import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { BoundaryError } from '../formats/boundary-error.ts';
import { toBase64 } from '../formats/digest.ts';
import { parseVkey } from '../formats/signed-note.ts';
import { readBounded } from '../host/durable-file.ts';
import { openSite, readText, type Site, type SiteOptions } from './access.ts';
import { assertFree } from './permit-file.ts';
import { print, printJson } from './render/output.ts';
import { type TrustFile, trustFingerprint } from './trust.ts';

const EXPORT_HELP = `
The file holds public keys only. Whoever believes it believes this site, so bring it to the auditor by hand or under
headquarters' signature, not over the network that the auditor doubts.`;

/** `holdfast site export-trust`: the public half of a site, for verifying its files elsewhere. */
export function siteCommand(): Command {
  const exportTrust = new Command('export-trust')
    .description("Write what an auditor needs to verify this site's files elsewhere.")
    .argument('<file>', 'where to write it')
    .addHelpText('after', EXPORT_HELP)
    .action((file: string, options: SiteOptions) => {
      const trust = trustOf(openSite(options));
      assertFree(file);
      const bytes = Buffer.from(`${JSON.stringify(trust, null, 2)}\n`, 'utf8');
      const fingerprint = trustFingerprint(bytes);
      writeFileSync(file, bytes, { mode: 0o644, flag: 'wx' });
      if (options.json)
        printJson({ file, site: trust.site, origin: trust.origin, vkeys: trust.vkeys, fingerprint });
      else
        print(
          `Wrote ${file}: trust in ${trust.origin} (${trust.profile} profile).\nFingerprint: ${fingerprint}\n  Read it to headquarters, who may countersign the file: holdfast repo sign-trust ${file} --repo DIR --key KEY\nOn the other machine: holdfast ledger verify --ledger FILE --trust ${file}`,
        );
    });
  return new Command('site').description('What others need to check this site.').addCommand(exportTrust);
}

/** Public keys and pinned policy root of a site, from the files under `trust/`. */
export function trustOf(site: Site): TrustFile {
  const { paths, config } = site;
  const vkeys = readText(join(paths.trust, 'ledger.vkey'), 65_536)
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => parseVkey(line));
  const newest = vkeys.at(-1);
  if (newest === undefined) {
    throw new BoundaryError(
      'trust.malformed',
      'The site has no ledger key in trust/ledger.vkey; nothing was written.',
    );
  }
  return {
    v: 1,
    site: config.site,
    origin: newest.name,
    profile: config.profile,
    vkeys: vkeys.map(({ text }) => text),
    root: toBase64(readBounded(join(paths.trust, 'root.json'), 1_048_576)),
  };
}
