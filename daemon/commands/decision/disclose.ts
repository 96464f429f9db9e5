import { Command } from 'commander';
import { BoundaryError } from '../../formats/boundary-error.ts';
import { isUnknownSigner } from '../../formats/checkpoint.ts';
import { formatDisclosure, type VerifiedDisclosure, verifyDisclosure } from '../../formats/disclosure.ts';
import type { Json } from '../../formats/json.ts';
import type { LogTrust } from '../../formats/tlog-policy.ts';
import { writeSecretFile } from '../../host/secret-file.ts';
import { actorForRecord, connect, openSite, readText, type SiteOptions } from '../access.ts';
import { EXIT, endWith } from '../exit.ts';
import { parseDecisionId } from '../identifiers.ts';
import { assertFree } from '../new-file.ts';
import { ownTrust } from '../permit.ts';
import { print, printJson } from '../render/output.ts';
import { paint, plain, rows } from '../render/text.ts';
import { readLogTrust } from '../trust.ts';

const MAX_BYTES = 4 * 1024 * 1024;

interface DiscloseOptions extends SiteOptions {
  field: string[];
  reason: string;
  out?: string;
  breakglass?: string;
  actor?: string;
}

const HELP = `
Shows what a commitment in the record was made of. Somebody else can check the file without this site:
  holdfast decision check-disclosure FILE --trust site-trust.json
The read is on record before anything is shown (policy section "reading", right "raw"). Withheld fields are not shown.`;

/** Adds `--field`, once for each field. */
export function withFieldOption(command: Command): Command {
  return command.option(
    '--field <name>',
    'payload field; repeat it for more',
    (field: string, fields: string[] = []) => [...fields, field],
  );
}

/** `holdfast decision disclose`: opens sensitive fields of one decision, on record. */
export function discloseCommand(): Command {
  return withFieldOption(new Command('disclose'))
    .description('Open sensitive fields of a decision, on record, as a file that others can check.')
    .argument('<id>', 'dec_…', parseDecisionId)
    .requiredOption('--reason <text>', 'why; it is recorded')
    .option('-o, --out <file>', 'write it to a new file, readable by its owner only (default: stdout)')
    .option('--breakglass <session>', 'read under an open break-glass session')
    .option('--actor <id>', 'who reads')
    .addHelpText('after', HELP)
    .action(async (id: string, options: DiscloseOptions) => {
      if (options.field === undefined) throw noField();
      // Before the read is on record.
      if (options.out !== undefined) assertFree(options.out);
      const site = openSite(options);
      const actor = actorForRecord(options.actor, site);
      const client = connect(site, 'operator');
      const { reason, field, breakglass } = options;
      const answer = await client
        .discloseFields(id, {
          fields: field,
          reason,
          ...(breakglass === undefined ? {} : { breakglass }),
          ...(actor === null ? {} : { actor: { id: actor } }),
        })
        .finally(() => client.close());
      const { decision_id, proof } = answer;
      const values = answer.values as Record<string, { salt: string; value: Json }>;
      const text = formatDisclosure({ decision_id, values, proof });
      if (options.out === undefined) print(text.trimEnd());
      else {
        writeSecretFile(options.out, Buffer.from(text, 'utf8'));
        if (options.json)
          printJson({ decision_id, fields: field, file: options.out, record_id: answer.read.index });
        else
          print(
            `${field.map(plain).join(', ')} of ${plain(id)} written to ${plain(options.out)}; entry ${answer.read.index} says so.`,
          );
      }
    });
}

interface CheckOptions extends SiteOptions {
  trust?: string;
  policy?: string;
}

const CHECK_HELP = `
Needs nothing but the file and whom to believe; no site, no daemon, no network.
Exit codes: 0 true to the record · 10 not · 13 signed by an unknown key · 2 no such file`;

/** `holdfast decision check-disclosure`: holds a disclosure file against the log. */
export function checkDisclosureCommand(): Command {
  return new Command('check-disclosure')
    .description('Check a file made by `decision disclose`: are these the values of the record?')
    .argument('<file>', 'the file')
    .option('--policy <file>', 'C2SP tlog-policy that names the log and its witnesses')
    .option('--trust <file>', 'trust file written by `site export-trust`')
    .addHelpText('after', CHECK_HELP)
    .action((file: string, options: CheckOptions) => {
      const trust = readLogTrust(options) ?? ownTrust(options);
      report(readText(file, MAX_BYTES), trust, options);
    });
}

function report(text: string, trust: LogTrust, options: SiteOptions): void {
  try {
    const verified = verifyDisclosure(text, trust);
    if (options.json) printJson({ verified: true, ...shown(verified) });
    else print(render(verified));
    endWith(EXIT.done);
  } catch (error) {
    if (!(error instanceof BoundaryError)) throw error;
    const { code, message } = error;
    if (options.json) printJson({ verified: false, code, message });
    else print(`${paint('red', paint('bold', 'NOT THE RECORD'))}  ${plain(message)} [${code}]`);
    endWith(isUnknownSigner(error) ? EXIT.unknownKey : EXIT.tampered);
  }
}

function shown({ entry, index, checkpoint, values }: VerifiedDisclosure): object {
  const { origin, size } = checkpoint;
  return { decision_id: entry.stream, entry: { index, at: entry.at }, checkpoint: { origin, size }, values };
}

function render({ entry, index, checkpoint, values }: VerifiedDisclosure): string {
  const { action } = entry.data as unknown as { action: { class: string | null } };
  return [
    `${paint('green', paint('bold', 'TRUE TO THE RECORD'))}  ${plain(entry.stream)}`,
    rows([
      ['class', plain(action.class ?? 'none')],
      ['recorded', `entry ${index} of ${plain(checkpoint.origin)}, ${entry.at}`],
      ['signed by', checkpoint.verified.map(({ name }) => plain(name)).join(', ')],
      ...Object.entries(values).map(([field, value]): [string, string] => [
        plain(field),
        plain(JSON.stringify(value)),
      ]),
    ]),
  ].join('\n');
}

/** Nobody named a field. */
export function noField(): BoundaryError {
  return new BoundaryError(
    'field.missing',
    'Name the field with --field NAME; nothing was done. See which there are: holdfast decision show ID',
  );
}
