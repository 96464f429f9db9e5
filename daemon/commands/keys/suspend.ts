import { Command } from 'commander';
import type { ApiClient, SuspendedKey } from '../../api/client.ts';
import { PRODUCTION } from '../../core/minimum.ts';
import { isFingerprint } from '../../core/suspended.ts';
import { connect, openSite, type SiteOptions } from '../access.ts';
import { signing } from '../breakglass/acts.ts';
import { print, printJson } from '../render/output.ts';
import { instant, plain, table } from '../render/text.ts';
import { type SiteActRequest, signSiteAct } from '../sign-site-act.ts';
import { type KeyOwner, ownerOf, readEnvironments } from '../signer-role.ts';
import { openSigningKey } from '../ssh-key.ts';

/** A suspension is submitted at once. */
const ACT_TTL_SECONDS = 900;

interface SuspendOptions extends SiteOptions {
  key: string;
  role?: string;
  reason: string;
  yes?: boolean;
}

const HELP = `
Takes effect with the entry that records it: on approvals that were already given, on permits that nobody used yet, on
open connections. It can only take trust away; only a policy update from headquarters gives it back.

Examples:
  holdfast keys suspend SHA256:Gt0…8Lk --key ~/.ssh/id_ed25519 --reason 'laptop stolen in port'
  holdfast keys suspend agent:ops-1 --key agent --reason 'asks for things nobody told it to'`;

/** `holdfast keys suspend`: takes trust from a key or a principal on the spot, by signature. */
export function suspendCommand(): Command {
  return signing(new Command('suspend'))
    .description('Suspend a key, or a principal with all its keys, by signature.')
    .argument('<name>', 'fingerprint of the key (SHA256:…), or id of the principal')
    .requiredOption('--reason <text>', 'why; it is signed and recorded')
    .addHelpText('after', HELP)
    .action(async (subject: string, options: SuspendOptions) => {
      const site = openSite(options);
      const client = connect(site, 'operator', 'request');
      const request = await requestFor(client, subject, options);
      const answer = await client.suspendKey(await signSiteAct({ client, site }, request));
      if (options.json) printJson(answer);
      else print(DONE(plain(subject)));
    });
}

const DONE = (subject: string) =>
  `${subject} is suspended at this site, for what it asks and signs from now on and for what it signed and did not run yet. To undo it, headquarters names the act in a policy update (suspension.lifted); see: holdfast keys list`;

async function requestFor(
  client: ApiClient,
  subject: string,
  options: SuspendOptions,
): Promise<SiteActRequest> {
  const environments = (await readEnvironments(client)) ?? [];
  const policy = environments.find(({ environment }) => environment === PRODUCTION) ?? environments[0];
  const environment = policy?.environment ?? PRODUCTION;
  const { fingerprint } = await openSigningKey(options.key);
  const signer = known(await ownerOf(client, environment, fingerprint));
  const holder = isFingerprint(subject) ? known(await ownerOf(client, environment, subject))?.id : subject;
  // Whoever suspends their own key may do so in any role that they hold.
  const own = signer !== null && signer.id === holder ? signer.roles.slice(0, 1) : null;
  return {
    kind: 'suspend',
    subject,
    digests: {},
    answer: 'suspend',
    ttlSeconds: ACT_TTL_SECONDS,
    roles: own ?? policy?.suspension?.roles ?? [],
    environment,
    statement: 'SUSPEND, at this site and until headquarters says otherwise',
    about: [
      [isFingerprint(subject) ? 'key' : 'principal', plain(subject)],
      ['of', holder === undefined ? 'nobody in the policy in force' : plain(holder)],
    ],
    key: options.key,
    role: options.role,
    yes: options.yes ?? false,
    reason: options.reason,
  };
}

function known(owner: KeyOwner): { id: string; roles: readonly string[] } | null {
  return owner === 'untold' ? null : owner;
}

/** What is suspended, for people. */
export function renderSuspended(suspended: readonly SuspendedKey[]): string {
  return table(
    ['suspended here', 'since', 'by', 'reason', 'act'],
    suspended.map((each) => [
      plain(each.suspended),
      instant(each.since),
      plain(`${each.by} (${each.role})`),
      plain(each.reason),
      each.act_digest,
    ]),
  );
}
