import { Command } from 'commander';
import { BoundaryError } from '../formats/boundary-error.ts';
import { isUnknownSigner } from '../formats/checkpoint.ts';
import { RECEIPT_MAX_BYTES, type VerifiedReceipt, verifyReceipt } from '../formats/receipt.ts';
import { readText, type SiteOptions } from './access.ts';
import {
  type Countersignature,
  countersignatureWords,
  readJudgedTrust,
  type TrustOptions,
  withRootOption,
} from './countersignature.ts';
import { EXIT, endWith } from './exit.ts';
import { acknowledgeCommand } from './receipt-acknowledge.ts';
import { print, printJson } from './render/output.ts';
import { paint, plain, rows } from './render/text.ts';
import { logTrust } from './trust.ts';

const HELP = `
Headquarters' side: whether the site that the trust file is of really says so, and what. The receipt carries the entry of
the site's ledger and its proof, and must say what the entry says.

Exit codes: 0 genuine (applied or refused, see the answer) · 10 does not match · 13 signed by an unknown key · 2 no such file`;

/** `holdfast receipt verify`: checks a site's answer to an import with public keys alone. */
export function receiptCommand(): Command {
  const verify = withRootOption(new Command('verify'))
    .description(
      'Check a receipt offline: signature, proof of its entry, and that it says what the entry says.',
    )
    .argument('<file>', 'receipt (DSSE envelope)')
    .requiredOption('--trust <file>', 'trust file written by `site export-trust`')
    .addHelpText('after', HELP)
    .action(async (file: string, options: TrustOptions & { trust: string }) => {
      const { trust, countersignature } = await readJudgedTrust(options.trust, options);
      const text = readText(file, RECEIPT_MAX_BYTES);
      try {
        report(verifyReceipt(text, { site: trust.site, ...logTrust(trust) }), countersignature, options);
      } catch (error) {
        if (!(error instanceof BoundaryError)) throw error;
        reportFailure(error, options);
      }
    });
  return new Command('receipt')
    .description("Check sites' answers to imports, and acknowledge them.")
    .addCommand(verify)
    .addCommand(acknowledgeCommand());
}

function report(
  { receipt, size }: VerifiedReceipt,
  countersignature: Countersignature,
  options: SiteOptions,
): void {
  if (options.json) printJson({ verified: true, ...receipt, ledger_size: size, countersignature });
  else print(render({ receipt, size }, countersignature));
  endWith(EXIT.done);
}

function reportFailure(error: BoundaryError, options: SiteOptions): void {
  const { code, message } = error;
  if (options.json) printJson({ verified: false, code, message });
  else print(`${paint('red', paint('bold', 'NOT GENUINE'))}  ${message} [${code}]`);
  endWith(code === 'receipt.unknown_key' || isUnknownSigner(error) ? EXIT.unknownKey : EXIT.tampered);
}

function render(
  { receipt, size }: Omit<VerifiedReceipt, 'entry'>,
  countersignature: Countersignature,
): string {
  const { result, code, reason, in_force: inForce, source, who } = receipt;
  const style = result === 'applied' ? 'green' : 'yellow';
  const head = paint(style, paint('bold', `GENUINE: ${result.toUpperCase()}`));
  const pinned = Object.entries(inForce?.environments ?? {}).map(
    ([name, bundle]) => `${name}: ${bundle.name}@${bundle.version}  ${bundle.digest}`,
  );
  const trust = receipt.time_trust === 'uncertain' ? ' (the clock of the site was in doubt)' : '';
  return [
    `${head}  ${plain(receipt.site)}`,
    rows([
      ['why', code === null ? '' : plain(`${reason ?? ''} [${code}]`)],
      ['at', `${receipt.at}${trust}`],
      ['from', plain(source ?? '')],
      ['by', plain(who ?? '')],
      [
        'in force',
        inForce === null ? 'nothing' : [`serial ${inForce.serial}`, ...pinned].map(plain).join('\n'),
      ],
      ['recorded', `entry ${receipt.record_id} of a ledger of ${size} entries`],
      ['trust', countersignatureWords(countersignature)],
    ]),
  ].join('\n');
}
