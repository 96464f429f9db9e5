import { writeFileSync } from 'node:fs';
import { Command, Option } from 'commander';
import type { DecisionReply, SignedActBody } from '../api/client.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import { type ActKind, parseAct } from '../formats/signed-act.ts';
import { connect, openSite, parseDecisionId, parseNamed, readText, type SiteOptions } from './access.ts';
import { assertFree } from './permit-file.ts';
import { actionLine, renderDecision } from './render/decision.ts';
import { print, printJson } from './render/output.ts';
import { instant, moment, plain, table } from './render/text.ts';
import { signAbout } from './sign-act.ts';

/** An act and its signature, base64 and JSON overhead included. */
const ACT_FILE_MAX_BYTES = 65_536;

/** `holdfast approvals …`: what waits for signatures, and signing it. */
export function approvalsCommand(): Command {
  return new Command('approvals')
    .description('What waits for signatures, and signing it.')
    .addCommand(listCommand())
    .addCommand(showCommand())
    .addCommand(signCommand())
    .addCommand(submitCommand());
}

function listCommand(): Command {
  return new Command('list')
    .description('Decisions that wait for authority.')
    .action(async (options: SiteOptions) => {
      const client = connect(openSite(options), 'operator');
      const { decisions } = await client.listDecisions({ status: 'pending_authority', limit: 200 });
      if (options.json) for (const decision of decisions) printJson(pending(decision));
      else print(decisions.length === 0 ? 'Nothing waits for approval.' : renderPending(decisions));
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

function renderPending(decisions: readonly DecisionReply[]): string {
  return table(
    ['decision', 'action', 'asked by', 'until', 'still needs'],
    decisions.map((decision) => [
      decision.decision_id,
      actionLine(decision),
      plain(decision.context.actor.id ?? '-'),
      instant(decision.expires_at),
      plain(decision.enforcement.allow_if.join('; ')),
    ]),
  );
}

function showCommand(): Command {
  return new Command('show')
    .description('Who was asked, who answered, what is missing.')
    .argument('<id>', 'dec_…', parseDecisionId)
    .action(async (id: string, options: SiteOptions) => {
      const decision = await connect(openSite(options), 'operator', 'request').getDecision(id);
      if (options.json) printJson({ ...pending(decision), status: decision.status });
      else print([renderDecision(decision), ...signatures(decision)].join('\n\n'));
    });
}

/** Which key answered for which group; nothing while nobody has. */
function signatures({ authority }: DecisionReply): string[] {
  if (authority.received.length === 0) return [];
  const given = authority.received.map(({ principal, role, group, key, answer, at }) =>
    [answer, principal, role, group, moment(at), key].map(plain),
  );
  return [table(['answer', 'by', 'as', 'for', 'at', 'key'], given)];
}

interface SignOptions extends SiteOptions {
  key: string;
  role?: string;
  answer: 'approve' | 'reject';
  reason: string;
  exception?: boolean;
  ttl: string;
  out?: string;
  yes?: boolean;
}

const SIGN_HELP = `
Examples:
  holdfast approvals sign dec_01990000-… --key ~/.ssh/id_ed25519 --reason 'seen on site'
  holdfast approvals sign dec_01990000-… --key ~/.ssh/id_ed25519_sk.pub      key in the agent or on a token
  holdfast approvals sign dec_01990000-… --key alice --answer reject --reason 'wrong pump'

Shows in words what is signed, then signs and submits it. With -o the signed act goes to a file instead, for
"approvals submit". Counts only if the key belongs to somebody whom the policy lets approve.`;

function signCommand(): Command {
  return new Command('sign')
    .description('Approve or reject, by signature.')
    .argument('<id>', 'dec_…', parseDecisionId)
    .requiredOption('--key <sshkey>', 'private key file, or .pub file of a key in the agent')
    .option('--role <role>', 'role to sign in (default: the one that is asked for and held)')
    .addOption(
      new Option('--answer <answer>', 'the answer').choices(['approve', 'reject']).default('approve'),
    )
    .option('--reason <text>', 'why; it is signed and recorded', '')
    .option('--exception', 'grant the exception that a gate asks for, instead of approving')
    .option('--ttl <seconds>', 'how long the signature may be submitted', '3600')
    .option('-o, --out <file>', 'write the signed act to a file instead of submitting it')
    .option('--yes', 'sign without asking (needed where there is no terminal)')
    .addHelpText('after', SIGN_HELP)
    .action(async (id: string, options: SignOptions) => {
      if (options.out !== undefined) assertFree(options.out);
      const site = openSite(options);
      const client = connect(site, 'operator', 'request');
      const signed = await signAbout(client, site, id, {
        kind: options.exception === true ? 'exception' : 'approval',
        answer: options.answer,
        reason: options.reason,
        key: options.key,
        role: options.role,
        yes: options.yes ?? false,
        ttlSeconds: parseTtl(options.ttl),
      });
      if (options.out === undefined) report(await client.submitAct(id, 'approvals', signed), options);
      else writeAct(options.out, signed, options);
    });
}

function parseTtl(text: string): number {
  if (/^[1-9]\d{0,7}$/.test(text)) return Number(text);
  throw new BoundaryError('ttl.malformed', 'Write --ttl as a whole number of seconds, such as 3600.', {
    at: '--ttl',
  });
}

function writeAct(path: string, signed: SignedActBody, options: SiteOptions): void {
  writeFileSync(path, `${JSON.stringify(signed)}\n`, { mode: 0o600, flag: 'wx' });
  if (options.json) printJson({ file: path, ...signed });
  else print(`Signed, not submitted. Submit it with: holdfast approvals submit ${path}`);
}

function submitCommand(): Command {
  return new Command('submit')
    .description('Submit an act that was signed before or elsewhere.')
    .argument('<file>', 'file written by `approvals sign -o`; - for stdin')
    .action(async (file: string, options: SiteOptions) => {
      const signed = readAct(file);
      const { kind, subject } = parseAct(signed.act);
      const client = connect(openSite(options), 'operator', 'request');
      report(await client.submitAct(subject, placeOf(kind), signed), options);
    });
}

function placeOf(kind: ActKind): 'approvals' | 'review' | 'reconcile' {
  if (kind === 'approval' || kind === 'exception') return 'approvals';
  if (kind === 'review' || kind === 'reconcile') return kind;
  throw new BoundaryError('act.kind', `An act of kind ${kind} is not submitted here; nothing was sent.`);
}

/** `{"act": "<canonical JSON text>", "signature": "<armor>"}`. Throws BoundaryError `act.file`. */
function readAct(path: string): SignedActBody {
  const value = parseNamed(readText(path, ACT_FILE_MAX_BYTES), path === '-' ? 'stdin' : path, {
    maxBytes: ACT_FILE_MAX_BYTES,
    maxDepth: 2,
  });
  if (value === null || typeof value !== 'object' || Array.isArray(value)) throw notAnAct(path);
  const { act, signature } = value;
  if (typeof act !== 'string' || typeof signature !== 'string') throw notAnAct(path);
  return { act, signature };
}

function notAnAct(path: string): BoundaryError {
  return new BoundaryError('act.file', 'The file holds no signed act; nothing was sent.', { at: path });
}

function report(decision: DecisionReply, options: SiteOptions): void {
  if (options.json) printJson(decision);
  else print(renderDecision(decision));
}
