import { Command } from 'commander';
import { openSite, type SiteOptions } from './access.ts';
import { checkTrustCommand } from './check-trust.ts';
import { enrolmentCommand } from './enrolment.ts';
import { assertFree, writeNew } from './new-file.ts';
import { trustOf } from './own-trust.ts';
import { provisionCommand } from './provision/provision.ts';
import { print, printJson } from './render/output.ts';
import { resetCommand } from './reset/reset.ts';
import { trustBytes, trustFingerprint } from './trust.ts';

export { ownLogTrust, trustOf } from './own-trust.ts';

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
      const bytes = trustBytes(trust);
      const fingerprint = trustFingerprint(bytes);
      writeNew(file, bytes, 0o644);
      if (options.json)
        printJson({ file, site: trust.site, origin: trust.origin, vkeys: trust.vkeys, fingerprint });
      else
        print(
          `Wrote ${file}: trust in ${trust.origin} (${trust.profile} profile).\nFingerprint: ${fingerprint}\n  Read it to headquarters, who may countersign the file: holdfast repo sign-trust ${file} --repo DIR --key KEY\nOn the other machine: holdfast ledger verify --ledger FILE --trust ${file}`,
        );
    });
  return new Command('site')
    .description('What others need to check this site; how it begins, and how it ends.')
    .addCommand(provisionCommand())
    .addCommand(enrolmentCommand())
    .addCommand(exportTrust)
    .addCommand(checkTrustCommand())
    .addCommand(resetCommand());
}
