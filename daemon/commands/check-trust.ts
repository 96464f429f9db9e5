import { Command } from 'commander';
import { canonicalText } from '../formats/canonical-json.ts';
import type { Json } from '../formats/json.ts';
import { followInLogs } from '../formats/key-rotation.ts';
import { currentLog, type LogLineage, logOf } from '../formats/log-keys.ts';
import type { SiteOptions } from './access.ts';
import { EXIT, endWith } from './exit.ts';
import { print, printJson } from './render/output.ts';
import { paint, plain } from './render/text.ts';
import { logsOf, readSealedTrust, readTrustFile, type TrustFile, trustFingerprint } from './trust.ts';

const HELP = `
For headquarters and auditors who are sent a new trust file after a site changed its ledger key: whether the old key vouches for
the new one, and everything else is as it was. Whoever had stolen the old key could have made such a file, too: when that may
be, compare the fingerprint with the site's people.

Exit codes: 0 it follows · 13 it does not`;

/** `holdfast site check-trust`: whether a new trust file follows from one that is believed. */
export function checkTrustCommand(): Command {
  return new Command('check-trust')
    .description('Tell whether a new trust file follows from the one that you have.')
    .argument('<file>', 'the new trust file')
    .requiredOption('--against <file>', 'the trust file that you believe')
    .addHelpText('after', HELP)
    .action((file: string, options: SiteOptions & { against: string }) => {
      const { trust, bytes } = readSealedTrust(file);
      const reason = objection(readTrustFile(options.against), trust);
      const fingerprint = trustFingerprint(bytes);
      if (options.json) printJson({ follows: reason === null, reason, fingerprint, site: trust.site });
      else print(words(file, reason, fingerprint));
      endWith(reason === null ? EXIT.done : EXIT.unknownKey);
    });
}

/** Why the new file does not follow from the old one, in words; null when it does. */
function objection(before: TrustFile, now: TrustFile): string | null {
  if (now.site !== before.site) return `it is of ${now.site}, and yours of ${before.site}`;
  if (now.profile !== before.profile)
    return `it is of profile ${now.profile}, and yours of ${before.profile}`;
  if (now.root !== before.root) return 'it names another policy root than yours';
  const [old, logs] = [logsOf(before), logsOf(now)];
  const statements = logs.flatMap(({ keys }) => keys.flatMap(({ rotation }) => rotation ?? []));
  const followed = followInLogs(old, statements);
  if (isSame(followed, logs)) return null;
  const { origin } = currentLog(old);
  if (currentLog(logs).origin === origin) return 'no key that you know vouches for the keys that it names';
  const kept =
    logOf(logs, origin) === null ? 'It does not name the log that you know.' : 'No key vouches for that.';
  return `the site goes on with another log, ${currentLog(logs).origin}, as after a restore. ${kept}`;
}

/** Which key vouches for which is left aside: a file may lack the statements and say the same. */
function isSame(a: readonly LogLineage[], b: readonly LogLineage[]): boolean {
  const bare = (logs: readonly LogLineage[]) =>
    canonicalText(
      logs.map((log) => ({
        ...log,
        keys: log.keys.map(({ vkey, from, until }) => ({ vkey, from, until })),
      })) as unknown as Json,
    );
  return bare(a) === bare(b);
}

function words(file: string, reason: string | null, fingerprint: string): string {
  if (reason === null)
    return `${paint('green', paint('bold', 'FOLLOWS'))}  ${plain(file)} says what yours says, and each key that came since is vouched for by the one before. Use it in place of yours.\nFingerprint: ${fingerprint}`;
  return `${paint('red', paint('bold', 'DOES NOT FOLLOW'))}  ${plain(file)}: ${plain(reason)}\nDo not use it before the site's people have read you its fingerprint, over a way that you trust: ${fingerprint}`;
}
