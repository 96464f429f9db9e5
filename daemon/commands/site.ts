import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { toBase64 } from '../formats/digest.ts';
import { currentLog, newestKey } from '../formats/log-keys.ts';
import { readBounded } from '../host/durable-file.ts';
import { readLineage } from '../host/log-lineage.ts';
import { openSite, type Site, type SiteOptions } from './access.ts';
import { checkTrustCommand } from './check-trust.ts';
import { assertFree } from './permit-file.ts';
import { print, printJson } from './render/output.ts';
import { logTrust, type TrustFile, trustFingerprint } from './trust.ts';

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
  return new Command('site')
    .description('What others need to check this site.')
    .addCommand(exportTrust)
    .addCommand(checkTrustCommand());
}

/** Public keys and pinned policy root of a site, from the files under `trust/`. */
export function trustOf(site: Site): TrustFile {
  const { paths, config } = site;
  const logs = readLineage(paths.trust);
  const log = currentLog(logs);
  return {
    v: 1,
    site: config.site,
    origin: log.origin,
    profile: config.profile,
    vkeys: [newestKey(log).vkey],
    logs,
    root: toBase64(readBounded(join(paths.trust, 'root.json'), 1_048_576)),
  };
}

/** Whom this site's own commands believe: the keys of its ledger, each for the checkpoints that it may sign. */
export function ownLogTrust(site: Site): ReturnType<typeof logTrust> {
  return logTrust(trustOf(site));
}
