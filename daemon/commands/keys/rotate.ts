import { Command } from 'commander';
import { BoundaryError } from '../../formats/boundary-error.ts';
import { connect, openSite, type Site, type SiteOptions } from '../access.ts';
import { print, printJson } from '../render/output.ts';
import { paint, plain, rows } from '../render/text.ts';

interface RotateOptions extends SiteOptions {
  reason: string;
}

const HELP = `
Names: ledger (signs every entry's checkpoint), envelope (what sensitive values lie under). The daemon does it, at once and
on the record; the old key is destroyed. After a change of the ledger key give auditors and headquarters a new trust file
(holdfast site export-trust): with the old one a ledger still verifies, single permits and receipts do not.
Certificates are renewed by those who hold them (peers.rotate in holdfast.json), or: holdfast keys tls issue NAME --replace

Examples:
  holdfast keys rotate ledger --reason 'yearly'
  holdfast keys rotate ledger --reason 'the laptop with last month’s backup is gone'`;

/** `holdfast keys rotate`: a new key in place of one of the site's own. */
export function rotateCommand(): Command {
  return new Command('rotate')
    .description("Make a new key in place of one of the site's own; the old one is destroyed.")
    .argument('<name>', 'which key')
    .option('--reason <text>', 'why; it is recorded', 'by hand')
    .addHelpText('after', HELP)
    .action(async (name: string, options: RotateOptions) => {
      const rotate = Object.hasOwn(ROTATIONS, name) ? ROTATIONS[name] : undefined;
      if (rotate === undefined) {
        throw new BoundaryError(
          'key.not_found',
          `There is no key called ${JSON.stringify(name.slice(0, 64))} to rotate; nothing was changed. Names: ${Object.keys(ROTATIONS).join(', ')}.`,
        );
      }
      await rotate(openSite(options), options);
    });
}

/** Name of a key → how it is rotated. */
const ROTATIONS: Readonly<Record<string, (site: Site, options: RotateOptions) => Promise<void>>> = {
  ledger: rotateLedger,
  envelope: rotateEnvelope,
};

/** The ledger has the new key, and that is what counts; the files follow. */
const UNFINISHED =
  'out of use; its file, or those under trust/, could not be written yet: see the log of the daemon, which goes on trying';

async function rotateLedger(site: Site, options: RotateOptions): Promise<void> {
  const client = connect(site, 'operator');
  const { reason } = options;
  const actor = site.config.operator_actor;
  const made = await client
    .rotateLedgerKey({ reason, ...(actor === null ? {} : { actor: { id: actor } }) })
    .finally(() => client.close());
  if (options.json) {
    printJson(made);
    return;
  }
  print(
    `${paint('green', paint('bold', 'ROTATED'))}  The ledger has a new key.\n${rows([
      ['new key', plain(made.new)],
      ['old key', `${plain(made.old)} (${made.destroyed ? 'destroyed' : UNFINISHED})`],
      ['from', `the checkpoint of ${made.size} entries on, which both keys signed`],
      ['recorded', `entry ${made.record_id}`],
    ])}\nNow write new trust files for auditors and headquarters: holdfast site export-trust FILE`,
  );
}

async function rotateEnvelope(site: Site, options: RotateOptions): Promise<void> {
  const client = connect(site, 'operator');
  const actor = site.config.operator_actor;
  const made = await client
    .rotateEnvelopeKey({ reason: options.reason, ...(actor === null ? {} : { actor: { id: actor } }) })
    .finally(() => client.close());
  if (options.json) {
    printJson(made);
    return;
  }
  print(
    `${paint('green', paint('bold', 'ROTATED'))}  New sensitive values lie under envelope key ${made.to}.\n${rows(
      [
        ['recorded', `entry ${made.record_id}`],
        ['old values', 'their data keys are wrapped anew in the background'],
        ['old key', 'destroyed when that is done; a second entry says so'],
      ],
    )}`,
  );
}
