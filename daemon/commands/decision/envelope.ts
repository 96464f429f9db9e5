import { Command } from 'commander';
import type { ApiClient, EnvelopeView } from '../../api/client.ts';
import { envelopeDigests } from '../../core/envelope-act.ts';
import { BoundaryError } from '../../formats/boundary-error.ts';
import { connect, openSite, type SiteOptions } from '../access.ts';
import { signing } from '../breakglass/acts.ts';
import { parseDecisionId } from '../identifiers.ts';
import { print, printJson } from '../render/output.ts';
import { plain } from '../render/text.ts';
import { signSiteAct } from '../sign-site-act.ts';
import { noField, withFieldOption } from './disclose.ts';

/** It is submitted at once. */
const ACT_TTL_SECONDS = 900;

interface EnvelopeOptions extends SiteOptions {
  field?: string[];
  all?: boolean;
  undo?: boolean;
  key: string;
  role?: string;
  reason: string;
  yes?: boolean;
}

const SHRED_HELP = `
What is destroyed: the key under which these values lie, and the values. Nobody can bring them back. What stays: the entry with
its salted commitments, every proof, the verdict, and replay. Copies in backups end with those backups, or with the envelope
key that they lie under (holdfast keys rotate envelope).

Examples:
  holdfast decision shred dec_… --field pin --reason 'erasure request 2031-17' --key ~/.ssh/id_ed25519
  holdfast decision shred dec_… --all --reason 'entered by mistake' --key ~/.ssh/id_ed25519`;

/** `holdfast decision shred`: destroys sensitive values, by signature. */
export function shredCommand(): Command {
  return withFieldOption(signing(new Command('shred')))
    .description('Destroy sensitive values of a decision, for good, by signature. Proofs stay.')
    .argument('<id>', 'dec_…', parseDecisionId)
    .option('--all', 'all sensitive fields')
    .requiredOption('--reason <text>', 'why; it is signed and recorded')
    .addHelpText('after', SHRED_HELP)
    .action(async (id: string, options: EnvelopeOptions) => {
      if ((options.field === undefined) === (options.all !== true)) {
        throw new BoundaryError(
          'field.missing',
          'Say what to destroy: --field NAME, or --all. Nothing was done.',
        );
      }
      await change(id, 'shred', 'DESTROY, for good, sensitive values', options);
    });
}

const WITHHOLD_HELP = `
A withheld value is kept, and still reaches its tool; nobody can read it or take it along as evidence, until somebody with the
same right takes that back (--undo).`;

/** `holdfast decision withhold`: keeps sensitive values from being shown, by signature. */
export function withholdCommand(): Command {
  return withFieldOption(signing(new Command('withhold')))
    .description('Keep sensitive values of a decision from being shown, by signature; --undo takes it back.')
    .argument('<id>', 'dec_…', parseDecisionId)
    .option('--undo', 'let them be shown again')
    .requiredOption('--reason <text>', 'why; it is signed and recorded')
    .addHelpText('after', WITHHOLD_HELP)
    .action(async (id: string, options: EnvelopeOptions) => {
      if (options.field === undefined) throw noField();
      if (options.undo === true) await change(id, 'release', 'LET sensitive values BE SHOWN again', options);
      else await change(id, 'withhold', 'KEEP sensitive values FROM BEING SHOWN', options);
    });
}

type Answer = 'shred' | 'withhold' | 'release';

const DONE: Readonly<Record<Answer, string>> = {
  shred: 'destroyed. The record still proves what was decided; the values are gone.',
  withhold: 'withheld: nobody can read it until that is taken back (--undo).',
  release: 'no longer withheld.',
};

async function change(
  id: string,
  answer: Answer,
  statement: string,
  options: EnvelopeOptions,
): Promise<void> {
  const site = openSite(options);
  const client = connect(site, 'operator', 'request');
  try {
    const view = await client.envelope(id);
    const fields = options.field === undefined ? null : [...new Set(options.field)];
    assertKnown(view, fields);
    const act = await signSiteAct(
      { client, site },
      {
        kind: 'shred',
        subject: id,
        digests: envelopeDigests(view, fields),
        answer,
        ttlSeconds: ACT_TTL_SECONDS,
        roles: view.roles[answer],
        environment: view.environment,
        statement,
        about: await aboutOf(client, view, fields),
        key: options.key,
        role: options.role,
        yes: options.yes ?? false,
        reason: options.reason,
      },
    );
    const changed = await client.changeEnvelope(id, { ...act, fields });
    if (options.json) printJson(changed);
    else
      print(
        `${(fields ?? names(view)).map(plain).join(', ')} of ${plain(id)}: ${DONE[answer]} Entry ${changed.record_id} says so.`,
      );
  } finally {
    client.close();
  }
}

const names = ({ fields }: EnvelopeView): string[] => fields.map(({ field }) => field);

async function aboutOf(
  client: ApiClient,
  view: EnvelopeView,
  fields: readonly string[] | null,
): Promise<[string, string][]> {
  const { action } = await client.getDecision(view.decision_id);
  const target = action.target === null ? 'no target' : `${action.target.type}:${action.target.id}`;
  return [
    ['fields', (fields ?? names(view)).map(plain).join(', ')],
    ['of', `${plain(action.class ?? 'no class')} on ${plain(target)} in ${plain(view.environment)}`],
    ['intent', plain(action.intent ?? '')],
  ];
}

/** What the engine would refuse whoever signs it is not worth a signature. */
function assertKnown(view: EnvelopeView, fields: readonly string[] | null): void {
  const known = names(view);
  const unknown = fields?.find((field) => !known.includes(field));
  if (known.length > 0 && unknown === undefined) return;
  const there =
    known.length === 0 ? 'It has no sensitive field' : `Its sensitive fields: ${known.join(', ')}`;
  throw new BoundaryError('envelope.no_field', `${there}; nothing was signed.`);
}
