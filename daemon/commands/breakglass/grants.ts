import { Command } from 'commander';
import type { ApiClient, GrantRecord, SignedActBody } from '../../api/client.ts';
import { BoundaryError } from '../../formats/boundary-error.ts';
import type { BreakglassPlace } from '../../formats/breakglass-scope.ts';
import {
  codeOf,
  commitCode,
  formatGrant,
  formatSealedGrant,
  type Grant,
  grantDigest,
  parseGrant,
} from '../../formats/grant.ts';
import { randomBytes, uuidv7 } from '../../host/random.ts';
import { connect, openSite, type SiteOptions } from '../access.ts';
import { assertOutlets, carry, hasOutlet, type Outlets } from '../carry.ts';
import { parseGrantId } from '../identifiers.ts';
import { everyPage } from '../pages.ts';
import { renderGrant, renderGrants } from '../render/breakglass.ts';
import { print, printJson, say } from '../render/output.ts';
import { instant, paint, plain } from '../render/text.ts';
import { type SigningPlace, signSiteAct } from '../sign-site-act.ts';
import { placing, signing } from './acts.ts';
import { type PlaceOptions, placeOf, placeRows, seconds, sectionFor } from './place.ts';
import { redeemGrantCommand } from './redeem.ts';

const CODE_BYTES = 20;
const ACT_TTL_SECONDS = 900;
/** Longest that a signed act is valid. */
const LONGEST_SECONDS = 366 * 86_400;

/** The commands for sealed grants. */
export function grantCommands(): Command[] {
  return [issueCommand(), redeemGrantCommand(), listCommand(), revokeCommand()];
}

interface IssueOptions extends PlaceOptions, Outlets {
  key: string;
  role?: string;
  yes?: boolean;
  reason: string;
  valid: string;
  site?: string;
  log?: string;
}

const ISSUE_HELP = `
Makes one grant with a code, signs it, puts it on record, and writes it for printing. Print it, seal it in an envelope, and
delete the files: who holds the code can break the glass once. With --site nothing is asked of a daemon: for headquarters,
whose grants are judged by signature when they are used.

Examples:
  holdfast breakglass issue-grant --class restart_service --target service:relay-2 --ttl 30m --valid 90d \\
    --reason 'envelope 7, duty safe' --key ~/.ssh/id_ed25519 -o grant-7.json --png grant-7.png
  holdfast breakglass issue-grant --site outpost-7.example --role L5 … -o grant-8.json      at headquarters`;

function issueCommand(): Command {
  return signing(placing(new Command('issue-grant')))
    .description('Make a sealed single-use grant for the day when nobody can sign.')
    .requiredOption('--valid <duration>', 'how long it may lie in its envelope, such as 90d')
    .requiredOption('--reason <text>', 'why, and where it is kept; it is signed and recorded')
    .option('-o, --out <file>', 'write it, with its code, to a file')
    .option('--png <file>', 'write it, with its code, as QR codes, one picture each')
    .option('--qr', 'show it, with its code, as QR codes')
    .option('--site <origin>', 'issue it elsewhere, for this site')
    .option('--log <origin>', 'the log that it is for, if the ledger was ever restored (with --site)')
    .addHelpText('after', ISSUE_HELP)
    .action(issue);
}

async function issue(options: IssueOptions): Promise<void> {
  if (!hasOutlet(options)) {
    throw new BoundaryError(
      'option.outlet',
      'Say where the grant goes: -o FILE, --png FILE or --qr. Without its code it is worth nothing; nothing was issued.',
    );
  }
  assertOutlets(options);
  const target = placeOf(options);
  const place = signingPlace(options);
  const section = place.client === null ? null : await sectionFor(place.client, target, null);
  const { grant, code } = makeGrant(target, options, place);
  const text = formatGrant(grant);
  const signed = await signSiteAct(place, {
    kind: 'grant',
    subject: grant.id,
    digests: { grant: grantDigest(text) },
    answer: 'issue',
    reason: options.reason,
    ttlSeconds:
      place.client === null ? Math.min(seconds(options.valid, '--valid'), LONGEST_SECONDS) : ACT_TTL_SECONDS,
    key: options.key,
    role: options.role,
    roles: section?.grants?.roles ?? [],
    environment: target.environment,
    yes: options.yes ?? false,
    statement: 'ISSUE a sealed grant: whoever holds its code can, once, break the glass for',
    about: [...placeRows(target), ['good until', instant(grant.expires_at)], ['log', plain(grant.log)]],
  });
  // On record first: a grant that nobody accounts for must not lie in an envelope.
  const record = place.client === null ? null : await place.client.issueGrant({ grant: text, ...signed });
  await hand(grant, { grant: text, ...signed, code }, record, options);
}

function signingPlace({ site: origin, ...options }: IssueOptions): SigningPlace {
  if (origin !== undefined) return { client: null, origin };
  const site = openSite(options);
  return { client: connect(site, 'operator', 'request'), site };
}

function makeGrant(
  target: BreakglassPlace,
  options: IssueOptions,
  place: SigningPlace,
): { grant: Omit<Grant, 'type'>; code: string } {
  const site = place.client === null ? place.origin : place.site.config.site;
  const id = `grant_${uuidv7(Date.now())}`;
  const code = codeOf(randomBytes(CODE_BYTES));
  const grant = {
    ...target,
    id,
    site,
    log: options.log ?? `${site}/ledger`,
    commitment: commitCode(id, code),
    expires_at: new Date(Date.now() + seconds(options.valid, '--valid') * 1_000).toISOString(),
  };
  return { grant, code };
}

/** Writes what goes into the envelope; the code is shown nowhere else than where it was asked for. */
async function hand(
  grant: Omit<Grant, 'type'>,
  sealed: SignedActBody & { grant: string; code: string },
  record: GrantRecord | null,
  options: IssueOptions,
): Promise<void> {
  const files = await carry('G', formatSealedGrant(sealed), options);
  if (options.json) {
    printJson({ id: grant.id, files, grant: parseGrant(sealed.grant), recorded: record !== null });
    return;
  }
  if (record !== null) print(renderGrant(record));
  else print(`${paint('bold', 'SIGNED')}  ${grant.id}, on record at the site once it is used`);
  const names = files.length === 0 ? 'what is shown above' : files.join(', ');
  say(
    `The code is in ${names}. Print it, seal it, then delete the files: whoever has the code can use it, once.`,
  );
}

function listCommand(): Command {
  return new Command('grants')
    .description('Every sealed grant on record: unused, used, revoked or expired.')
    .action(async (options: SiteOptions) => {
      const grants = await readGrants(connect(openSite(options), 'operator'));
      if (options.json) for (const grant of grants) printJson(grant);
      else
        print(grants.length === 0 ? 'No sealed grant was ever issued or used here.' : renderGrants(grants));
    });
}

async function readGrants(client: ApiClient): Promise<GrantRecord[]> {
  return everyPage(async (after) => {
    const { grants, next } = await client.grants(after);
    return { items: grants, next };
  });
}

function revokeCommand(): Command {
  return signing(new Command('revoke-grant').argument('<id>', 'grant_…', parseGrantId))
    .description('Take a grant back that was not used: its envelope is lost, opened, or out of date.')
    .option('--reason <text>', 'why; it is signed and recorded', 'taken back')
    .action(
      async (id: string, options: SiteOptions & Pick<IssueOptions, 'key' | 'role' | 'yes' | 'reason'>) => {
        const site = openSite(options);
        const client = connect(site, 'operator', 'request');
        const record = await client.grant(id);
        if (record.id !== id || grantDigest(formatGrant(record.grant)) !== record.grant_digest) {
          throw new BoundaryError(
            'sign.not_as_shown',
            'The grant that is shown does not match its digest. Nothing was signed.',
          );
        }
        const signed = await signSiteAct(
          { client, site },
          {
            kind: 'grant',
            subject: id,
            digests: { grant: record.grant_digest },
            answer: 'revoke',
            reason: options.reason,
            ttlSeconds: ACT_TTL_SECONDS,
            key: options.key,
            role: options.role,
            roles: [record.issued.role],
            environment: record.grant.environment,
            yes: options.yes ?? false,
            statement: 'TAKE BACK this sealed grant',
            about: placeRows(record.grant),
          },
        );
        const revoked = await client.revokeGrant(id, signed);
        if (options.json) printJson(revoked);
        else print(renderGrant(revoked));
      },
    );
}
