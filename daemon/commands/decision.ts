import { Command, Option } from 'commander';
import type { ApiClient, DecisionReply } from '../api/client.ts';
import type { DecisionStatus } from '../core/decision.ts';
import { DECISION_STATUSES } from '../core/decision.ts';
import { connect, openSite, parseLimit, parseWait, requireActor, type SiteOptions } from './access.ts';
import { checkDisclosureCommand, discloseCommand } from './decision/disclose.ts';
import { shredCommand, withholdCommand } from './decision/envelope.ts';
import { decisionReplayCommand } from './decision/replay.ts';
import { parseDecisionId } from './identifiers.ts';
import { assertFree } from './new-file.ts';
import { writePermitFile } from './permit-file.ts';
import { type ReadOptions, recordRead } from './recorded-read.ts';
import { renderDecision, renderDecisions, renderExplanation } from './render/decision.ts';
import { print, printJson, say } from './render/output.ts';
import { count } from './render/text.ts';
import { signAbout } from './sign-act.ts';

/** A draft is never kept, so none is found. */
const STATUSES = DECISION_STATUSES.filter((status) => status !== 'draft');

interface ActorOptions extends SiteOptions {
  actor?: string;
  role?: string;
}

/** `holdfast decision …`: read decisions, and close them. */
export function decisionCommand(): Command {
  return new Command('decision')
    .description('Read decisions and close them.')
    .addCommand(showCommand())
    .addCommand(listCommand())
    .addCommand(explainCommand())
    .addCommand(decisionReplayCommand())
    .addCommand(cancelCommand())
    .addCommand(reviewCommand())
    .addCommand(reconcileCommand())
    .addCommand(discloseCommand())
    .addCommand(checkDisclosureCommand())
    .addCommand(withholdCommand())
    .addCommand(shredCommand());
}

interface ShowOptions extends SiteOptions, ReadOptions {
  wait?: string;
  permitOut?: string;
  raw?: boolean;
}

function showCommand(): Command {
  return new Command('show')
    .description('One decision as it stands.')
    .argument('<id>', 'dec_…', parseDecisionId)
    .option('--wait <duration>', 'wait while it is pending, e.g. 30s (at most 60s)', parseWait)
    .option('--permit-out <file>', 'write its permit to a file')
    .option('--raw', 'with the values of its payload, for whoever does not work on it; the read is recorded')
    .option('--reason <text>', 'why; goes with --raw')
    .option('--breakglass <session>', 'read under an open break-glass session; goes with --raw')
    .option('--actor <id>', 'who reads, where the sockets do not know their callers; goes with --raw')
    .action(async (id: string, options: ShowOptions) => {
      if (options.permitOut !== undefined) assertFree(options.permitOut);
      const site = openSite(options);
      const client = connect(site, 'operator', 'request');
      const subject = { what: 'decision', decision_id: id };
      const read =
        options.raw === true ? (await recordRead(client, site, 'raw', subject, options)).index : null;
      const decision = await client.getDecision(id, {
        ...(options.wait === undefined ? {} : { wait: options.wait }),
        ...(read === null ? {} : { read }),
      });
      const permitFile =
        options.permitOut === undefined ? undefined : writePermitFile(options.permitOut, decision);
      if (options.json) printJson(decision);
      else print(renderDecision(decision, permitFile));
    });
}

function explainCommand(): Command {
  return new Command('explain')
    .description('Why it is what it is: gates, risk, authority, and what would allow it.')
    .argument('<id>', 'dec_…', parseDecisionId)
    .action(async (id: string, options: SiteOptions) => {
      const decision = await connect(openSite(options), 'operator', 'request').getDecision(id);
      if (options.json) printJson(explanation(decision));
      else print(renderExplanation(decision));
    });
}

function explanation(decision: DecisionReply): Record<string, unknown> {
  const {
    decision_id,
    status,
    policy_version,
    policy_digest,
    policy,
    risk,
    authority,
    enforcement,
    time_trust,
  } = decision;
  return {
    decision_id,
    status,
    policy_version,
    policy_digest,
    policy,
    risk,
    authority,
    enforcement,
    time_trust,
  };
}

interface ListOptions extends SiteOptions {
  status?: DecisionStatus;
  after?: string;
  limit: string;
}

function listCommand(): Command {
  return new Command('list')
    .description('Decisions, newest first.')
    .addOption(new Option('--status <status>', 'only these').choices(STATUSES))
    .option('--after <id>', 'only older ones than this', parseDecisionId)
    .option('--limit <n>', 'at most so many', '50')
    .action(async (options: ListOptions) => {
      const limit = parseLimit(options.limit);
      const { decisions, more, elsewhere } = await pages(
        connect(openSite(options), 'operator'),
        options,
        limit,
      );
      if (options.json) for (const decision of decisions) printJson(decision);
      else print(renderDecisions(decisions));
      if (elsewhere > 0)
        say(
          `${count(elsewhere, 'more decision')} of this time lie in archive files that were carried off: holdfast ledger archive`,
        );
      const last = decisions.at(-1);
      if (more && last !== undefined)
        say(`There are older ones: holdfast decision list --after ${last.decision_id}`);
    });
}

const PAGE = 200;

/** Follows the pages of the list until `limit` decisions are there. */
async function pages(
  client: ApiClient,
  options: { status?: DecisionStatus; after?: string },
  limit: number,
): Promise<{ decisions: DecisionReply[]; more: boolean; elsewhere: number }> {
  const decisions: DecisionReply[] = [];
  let elsewhere = 0;
  let after = options.after;
  do {
    const query = { limit: Math.min(PAGE, limit - decisions.length) };
    const page = await client.listDecisions({
      ...query,
      ...(options.status === undefined ? {} : { status: options.status }),
      ...(after === undefined ? {} : { after }),
    });
    decisions.push(...page.decisions);
    elsewhere += page.elsewhere?.length ?? 0;
    after = page.next ?? undefined;
  } while (after !== undefined && decisions.length < limit);
  return { decisions, more: after !== undefined, elsewhere };
}

function cancelCommand(): Command {
  return new Command('cancel')
    .description('Withdraw a decision that was not executed.')
    .argument('<id>', 'dec_…', parseDecisionId)
    .requiredOption('--reason <text>', 'why; it is recorded')
    .option('--actor <id>', 'who cancels')
    .option('--role <role>', 'role acted in')
    .action(async (id: string, options: ActorOptions & { reason: string }) => {
      const site = openSite(options);
      const actor = { id: requireActor(options.actor, site), role: options.role ?? null };
      show(await connect(site, 'operator', 'request').cancel(id, { actor, reason: options.reason }), options);
    });
}

function reviewCommand(): Command {
  return new Command('review')
    .description('Record that people looked at what was done; signed when a key is given.')
    .argument('<id>', 'dec_…', parseDecisionId)
    .requiredOption('--note <text>', 'what was found')
    .option('--key <sshkey>', 'sign it with this key')
    .option('--actor <id>', 'who reviews (unsigned)')
    .option('--role <role>', 'role acted in')
    .option('--yes', 'sign without asking (needed where there is no terminal)')
    .action(async (id: string, options: ActorOptions & { note: string; key?: string; yes?: boolean }) => {
      const site = openSite(options);
      const client = connect(site, 'operator');
      if (options.key === undefined) {
        const actor = { id: requireActor(options.actor, site), role: options.role ?? null };
        show(await client.review(id, { actor, note: options.note }), options);
        return;
      }
      const signed = await signAbout(client, site, id, {
        kind: 'review',
        answer: 'reviewed',
        reason: options.note,
        key: options.key,
        role: options.role,
        yes: options.yes ?? false,
      });
      show(await client.submitAct(id, 'review', signed), options);
    });
}

interface ReconcileOptions extends SiteOptions {
  key: string;
  result: 'succeeded' | 'failed';
  note: string;
  role?: string;
  yes?: boolean;
}

function reconcileCommand(): Command {
  return new Command('reconcile')
    .description('Close an execution whose outcome is unknown, by a signed statement of what happened.')
    .argument('<id>', 'dec_…', parseDecisionId)
    .requiredOption('--key <sshkey>', 'the key of the person who found out')
    .addOption(
      new Option('--result <result>', 'what happened').choices(['succeeded', 'failed']).makeOptionMandatory(),
    )
    .requiredOption('--note <text>', 'how it was found out')
    .option('--role <role>', 'role acted in')
    .option('--yes', 'sign without asking (needed where there is no terminal)')
    .action(async (id: string, options: ReconcileOptions) => {
      const site = openSite(options);
      const client = connect(site, 'operator');
      const signed = await signAbout(client, site, id, {
        kind: 'reconcile',
        answer: options.result,
        reason: options.note,
        key: options.key,
        role: options.role,
        yes: options.yes ?? false,
      });
      show(await client.reconcile(id, signed), options);
    });
}

function show(decision: DecisionReply, options: SiteOptions): void {
  if (options.json) printJson(decision);
  else print(renderDecision(decision));
}
