import { Command } from 'commander';
import type { ApiClient } from '../../api/client.ts';
import { type DecisionRecord, foldDecision } from '../../core/fold.ts';
import {
  formatRequest,
  type PossibleSigner,
  parseRequest,
  verifyRequest,
} from '../../formats/approval-request.ts';
import { BoundaryError } from '../../formats/boundary-error.ts';
import type { EntryType } from '../../formats/entry.ts';
import { parsePublicKeyLine } from '../../formats/sshsig.ts';
import { connect, openSite, type Site, type SiteOptions } from '../access.ts';
import { assertOutlets, carry, hasOutlet, type Outlets, sayWritten } from '../carry.ts';
import { parseDecisionId } from '../identifiers.ts';
import { principalsOf } from '../principals.ts';
import { print, printJson } from '../render/output.ts';
import { assertOpen, assertShown } from '../sign-act.ts';
import { type OpenedRequest, renderOpened } from '../sign-request.ts';
import { askedRoles, readEnvironments } from '../signer-role.ts';
import { ownLogTrust } from '../site.ts';
import { countedHere, suspendedHere } from '../suspended-here.ts';

/** What there is to judge: what was asked, and what others have said to it. Refused acts say nothing about it. */
const TELLING: readonly EntryType[] = ['decision.pending_authority', 'approval.added', 'exception.granted'];
const MAX_SIGNERS = 64;

const EXPORT_HELP = `
Examples:
  holdfast approvals export dec_01990000-… -o request.json
  holdfast approvals export dec_01990000-… --png request.png      pictures to print or to take a photograph of
  holdfast approvals export dec_01990000-… --qr                   codes on the screen, 80 columns wide

The approver signs it with: holdfast approvals sign request.json --trust site-trust.json --key KEY -o FILE
The trust file comes from "holdfast site export-trust", once, by hand.`;

/** `holdfast approvals export`: a request that an approver elsewhere can judge and sign. */
export function exportCommand(): Command {
  return new Command('export')
    .description('Write a request that somebody elsewhere can judge, check and sign.')
    .argument('<id>', 'dec_…', parseDecisionId)
    .option('-o, --out <file>', 'write the request to a file')
    .option('--png <file>', 'write it as QR codes, one picture each')
    .option('--qr', 'show it as QR codes')
    .addHelpText('after', EXPORT_HELP)
    .action(async (id: string, options: SiteOptions & Outlets) => {
      if (!hasOutlet(options)) {
        throw new BoundaryError(
          'option.outlet',
          'Say where the request goes: -o FILE, --png FILE or --qr. Nothing was exported.',
        );
      }
      assertOutlets(options);
      const site = openSite(options);
      const { text, opened } = await buildRequest(connect(site, 'operator'), site, id);
      const files = await carry('R', text, options);
      if (options.json) printJson({ files, ...opened.request });
      else {
        print(renderOpened(opened));
        sayWritten(files);
      }
    });
}

/** Fetches what the ledger holds about a decision and checks it with the site's own keys before it goes anywhere. */
async function buildRequest(
  client: ApiClient,
  site: Site,
  id: string,
): Promise<{ text: string; opened: OpenedRequest }> {
  const { checkpoint, entries } = await client.decisionEntries(id);
  const telling = entries.filter(({ entry }) => TELLING.includes(entry.type));
  // All entries are folded, so that a decision that is over is not exported as if it waited.
  const record = foldDecision(entries);
  assertShown(record.decision, id);
  assertOpen(record.decision, 'approval');
  const signers = await possibleSigners(client, record);
  const text = formatRequest({ site: site.config.site, decision: id, checkpoint, entries: telling, signers });
  const request = parseRequest(new TextEncoder().encode(text));
  const { origin, vkeys } = ownLogTrust(site);
  return { text, opened: { request, record, checkpoint: verifyRequest(request, { origin, vkeys }) } };
}

/** Everybody whose signature could still count here: active people, with a key, in a role that is asked for. */
async function possibleSigners(client: ApiClient, { decision }: DecisionRecord): Promise<PossibleSigner[]> {
  const environments = (await readEnvironments(client)) ?? [];
  const asked = [...(askedRoles(decision, 'approval') ?? []), ...(askedRoles(decision, 'exception') ?? [])];
  const { id: requester } = decision.context.actor;
  const own = environments.filter(({ environment }) => environment === decision.context.environment);
  const suspended = await suspendedHere(client);
  const known = principalsOf(own).map(({ id, principal }) => ({
    id,
    principal: countedHere(id, principal, suspended),
  }));
  const owner = known.find(({ id }) => id === requester)?.principal.owner;
  const answered = decision.authority.received.map(({ principal }) => principal);
  return known
    .filter(
      ({ id, principal }) =>
        principal.kind === 'human' && principal.status === 'active' && id !== requester && id !== owner,
    )
    .filter(({ id }) => !answered.includes(id))
    .map(({ id, principal }) => ({
      principal: id,
      roles: principal.roles.filter((role) => asked.includes(role)),
      keys: (principal.keys ?? [])
        .filter(({ status = 'active' }) => status === 'active')
        .map((key) => parsePublicKeyLine(key.public_key).fingerprint),
    }))
    .filter(({ roles, keys }) => roles.length > 0 && keys.length > 0)
    .slice(0, MAX_SIGNERS);
}
