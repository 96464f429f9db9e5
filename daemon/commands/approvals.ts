import { Command } from 'commander';
import type { DecisionReply } from '../api/client.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import { parseAct } from '../formats/signed-act.ts';
import { connect, openSite, readText, type SiteOptions } from './access.ts';
import { exportCommand } from './approvals/export.ts';
import { importActsCommand, packCommand, placeOf } from './approvals/import.ts';
import { signCommand } from './approvals/sign.ts';
import { readRequest, type SignedText, signedOf } from './carried.ts';
import {
  ID_TOKEN_HELP,
  ID_TOKEN_OPTION,
  type IdTokenOptions,
  nonceCommand,
  withIdToken,
} from './id-token.ts';
import { parseDecisionId } from './identifiers.ts';
import { actionLine, renderDecision } from './render/decision.ts';
import { print, printJson } from './render/output.ts';
import { fitted, instant, moment, paint, plain } from './render/text.ts';
import { openRequest, renderOpened } from './sign-request.ts';

/** An act and its signature, base64 and JSON overhead included. */
const ACT_FILE_MAX_BYTES = 65_536;

/** `holdfast approvals …`: what waits for signatures, signing it, and carrying both across a gap. */
export function approvalsCommand(): Command {
  return new Command('approvals')
    .description('What waits for signatures, signing it, and carrying both across a gap.')
    .addCommand(listCommand())
    .addCommand(showCommand())
    .addCommand(signCommand())
    .addCommand(submitCommand())
    .addCommand(exportCommand())
    .addCommand(importActsCommand())
    .addCommand(packCommand())
    .addCommand(nonceCommand());
}

function listCommand(): Command {
  return new Command('list')
    .description('Decisions that wait for authority.')
    .action(async (options: SiteOptions) => {
      const client = connect(openSite(options), 'operator');
      const { decisions } = await client.listDecisions({ status: 'pending_authority', limit: 200 });
      if (options.json) for (const decision of decisions) printJson(pending(decision));
      else
        print(
          decisions.length === 0 ? 'Nothing waits for approval.' : decisions.map(renderPending).join('\n'),
        );
    });
}

function pending({
  decision_id,
  action,
  context,
  authority,
  enforcement,
  expires_at,
}: DecisionReply): object {
  return { decision_id, action, context, authority, allow_if: enforcement.allow_if, expires_at };
}

function renderPending(decision: DecisionReply): string {
  return [
    paint('bold', actionLine(decision)),
    fitted([
      ['decision', decision.decision_id],
      ['asked by', plain(decision.context.actor.id ?? '-')],
      ['until', instant(decision.expires_at)],
      ['still needs', decision.enforcement.allow_if.map(plain).join('\n')],
    ]),
  ].join('\n');
}

interface ShowOptions extends SiteOptions {
  trust?: string;
}

function showCommand(): Command {
  return new Command('show')
    .description('Who was asked, who answered, what is missing.')
    .argument('<what...>', 'dec_… at the site; elsewhere the file or pictures of a request')
    .option('--trust <file>', 'trust file of the site, to check a request against its ledger')
    .action(async (what: string[], options: ShowOptions) => {
      const [id = '', ...more] = what;
      if (id.startsWith('dec_') && more.length === 0) await showDecision(parseDecisionId(id), options);
      else await showRequest(what, options);
    });
}

async function showDecision(id: string, options: ShowOptions): Promise<void> {
  const decision = await connect(openSite(options), 'operator', 'request').getDecision(id);
  if (options.json) printJson({ ...pending(decision), status: decision.status });
  else print([renderDecision(decision), ...signatures(decision)].join('\n\n'));
}

async function showRequest(files: readonly string[], options: ShowOptions): Promise<void> {
  const opened = openRequest(await readRequest(files), options.trust);
  const { request, record, checkpoint } = opened;
  if (options.json)
    printJson({ checked: checkpoint !== null, decision: record.decision, signers: request.signers });
  else print(renderOpened(opened));
}

/** Which key answered for which group; nothing while nobody has. */
function signatures({ authority }: DecisionReply): string[] {
  return authority.received.map(({ principal, role, group, key, answer, at }) =>
    [
      plain(`${answer} by ${principal}`),
      fitted([
        ['as', plain(`${role} (${group})`)],
        ['at', moment(at)],
        ['key', plain(key)],
      ]),
    ].join('\n'),
  );
}

function submitCommand(): Command {
  return new Command('submit')
    .description('Submit an act that was signed before or elsewhere.')
    .argument('<file>', 'file written by `approvals sign -o`; - for stdin')
    .option(ID_TOKEN_OPTION, ID_TOKEN_HELP)
    .action(async (file: string, options: SiteOptions & IdTokenOptions) => {
      const signed = withIdToken(readAct(file), options);
      const { kind, subject } = parseAct(signed.act);
      const client = connect(openSite(options), 'operator', 'request');
      const decision = await client.submitAct(subject, placeOf(kind), signed);
      if (options.json) printJson(decision);
      else print(renderDecision(decision));
    });
}

/** One signed act from a file or stdin. Throws BoundaryError `act.file`. */
function readAct(path: string): SignedText {
  try {
    return signedOf(readText(path, ACT_FILE_MAX_BYTES));
  } catch (cause) {
    if (cause instanceof BoundaryError && cause.code === 'carried.unknown') throw notAnAct(path);
    throw cause;
  }
}

function notAnAct(path: string): BoundaryError {
  return new BoundaryError('act.file', 'The file holds no signed act; nothing was sent.', { at: path });
}
