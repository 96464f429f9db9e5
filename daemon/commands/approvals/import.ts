import { Command } from 'commander';
import { type ApiClient, ApiProblem, type DecisionReply } from '../../api/client.ts';
import { BoundaryError } from '../../formats/boundary-error.ts';
import { type ActKind, parseAct, type SignedAct } from '../../formats/signed-act.ts';
import { connect, openSite, type SiteOptions } from '../access.ts';
import { belongsTogether, type Carried, naming, readCarried, type SignedText } from '../carried.ts';
import { assertOutlets, hasOutlet, type Outlets } from '../carry.ts';
import { EXIT, endWith } from '../exit.ts';
import { describeFailure } from '../failure.ts';
import { ID_TOKEN_HELP, ID_TOKEN_OPTION, type IdTokenOptions, withIdToken } from '../id-token.ts';
import { actionLine } from '../render/decision.ts';
import { print, printJson } from '../render/output.ts';
import { fitted, paint, plain } from '../render/text.ts';
import { writeSigned } from './sign.ts';

const IMPORT_HELP = `
Examples:
  holdfast approvals import alice.signed bob.signed
  holdfast approvals import alice-1of2.png alice-2of2.png       pictures of QR codes, in any order
  holdfast approvals import act.json act.json.sig               as "ssh-keygen -Y sign" leaves them

Each signed act gets its own answer; one that is refused does not keep back the others. Acts are submitted in the order
in which they were signed. Nothing is lost when one arrives late or twice: the answer says so.

Exit codes: 0 all counted · 3 at least one was refused · 2 at least one file holds nothing that can be submitted`;

/** `holdfast approvals import`: takes to the site what was signed elsewhere. */
export function importActsCommand(): Command {
  return new Command('import')
    .description('Bring in acts that were signed elsewhere: files, QR codes, or act and signature.')
    .argument('<file...>', 'signed acts, pictures of QR codes, or an act with its .sig')
    .addHelpText('after', IMPORT_HELP)
    .action(async (files: string[], options: SiteOptions) => {
      const client = connect(openSite(options), 'operator', 'request');
      const carried = (await readCarried(files)).sort((a, b) => issuedAt(a) - issuedAt(b));
      for (const one of carried) report(await submit(client, one), options);
    });
}

const PACK_HELP = `
Example:
  ssh-keygen -Y sign -n approval@holdfast -f ~/.ssh/id_ed25519_sk act.json
  holdfast approvals pack act.json act.json.sig --qr`;

/** `holdfast approvals pack`: what ssh-keygen signed, as one file or QR code. */
export function packCommand(): Command {
  return new Command('pack')
    .description('Put an act and the signature that ssh-keygen made into one file or QR codes.')
    .argument('<file...>', 'the act and its .sig')
    .option('-o, --out <file>', 'write the signed act to a file')
    .option('--png <file>', 'write it as QR codes, one picture each')
    .option('--qr', 'show it as QR codes')
    .option(ID_TOKEN_OPTION, ID_TOKEN_HELP)
    .addHelpText('after', PACK_HELP)
    .action(async (files: string[], options: SiteOptions & Outlets & IdTokenOptions) => {
      if (!hasOutlet(options))
        throw new BoundaryError(
          'option.outlet',
          'Say where it goes: -o FILE, --png FILE or --qr. Nothing was written.',
        );
      assertOutlets(options);
      await writeSigned(withIdToken(await oneSigned(files), options), options);
    });
}

/** The one act that the files hold, with its signature. Throws BoundaryError `carried.*`. */
export async function oneSigned(files: readonly string[]): Promise<SignedText> {
  const carried = await readCarried(files);
  for (const one of carried) if (one.is === 'unusable') throw naming(one);
  const [first, ...more] = carried;
  if (first?.is !== 'signed' || more.length > 0) {
    throw new BoundaryError(
      'carried.not_one',
      'The files hold not exactly one act with its signature; nothing was written. Name the act and its .sig.',
    );
  }
  if (belongsTogether(first.signed)) return first.signed;
  throw new BoundaryError(
    'carried.bad_signature',
    `The signature does not verify over this act; nothing was written. Sign the file as it was written, in its namespace: ssh-keygen -Y sign -n ${namespaceOf(first.signed)} -f KEY FILE`,
  );
}

function namespaceOf({ act }: SignedText): string {
  return `${parseAct(act).kind}@holdfast`;
}

/** When an act was signed, by its signer's clock; what cannot be read comes last. */
function issuedAt(carried: Carried): number {
  const act = carried.is === 'signed' ? actOf(carried.signed) : null;
  return act === null || act instanceof BoundaryError ? Number.MAX_SAFE_INTEGER : Date.parse(act.issued_at);
}

function actOf({ act }: SignedText): SignedAct | BoundaryError {
  try {
    return parseAct(act);
  } catch (error) {
    if (error instanceof BoundaryError) return error;
    throw error;
  }
}

/** What became of one thing that was carried. */
type Answer = { from: string[]; act: SignedAct | null } & (
  | { counted: true; decision: DecisionReply }
  | { counted: false; error: BoundaryError | ApiProblem }
);

/** Submits one signed act; a refusal is an answer. Throws `ApiUnreachable`: then nobody has answered. */
async function submit(client: ApiClient, carried: Carried): Promise<Answer> {
  const { from } = carried;
  if (carried.is === 'unusable') return { from, act: null, counted: false, error: naming(carried) };
  if (carried.is === 'request') {
    const error = new BoundaryError(
      'carried.request',
      `${from.join(', ')}: this is the request, not an answer to it. Nothing was submitted. Sign it first: holdfast approvals sign`,
    );
    return { from, act: null, counted: false, error };
  }
  const act = actOf(carried.signed);
  if (act instanceof BoundaryError) return { from, act: null, counted: false, error: act };
  try {
    const place = placeOf(act.kind);
    return { from, act, counted: true, decision: await client.submitAct(act.subject, place, carried.signed) };
  } catch (error) {
    if (error instanceof ApiProblem || error instanceof BoundaryError)
      return { from, act, counted: false, error };
    throw error;
  }
}

/** Where an act of a kind is submitted. Throws BoundaryError `act.kind` for those that are not about decisions. */
export function placeOf(kind: ActKind): 'approvals' | 'review' | 'reconcile' {
  if (kind === 'approval' || kind === 'exception') return 'approvals';
  if (kind === 'review' || kind === 'reconcile') return kind;
  throw new BoundaryError('act.kind', `An act of kind ${kind} is not submitted here; nothing was sent.`);
}

function report(answer: Answer, options: SiteOptions): void {
  const { from, act } = answer;
  const what =
    act === null ? {} : { kind: act.kind, subject: act.subject, answer: act.answer, role: act.role };
  if (answer.counted) {
    if (options.json) printJson({ from, ...what, counted: true, decision: answer.decision });
    else print(renderCounted(answer));
    return;
  }
  const { exitCode, text, document } = describeFailure(answer.error);
  // Of several answers the one that most needs a person's attention: a refusal.
  if (process.exitCode !== EXIT.refused) endWith(exitCode);
  if (options.json) printJson({ from, ...what, counted: false, ...document });
  else
    print(`${paint('red', paint('bold', 'REFUSED'))}  ${plain(from.join(', '))}\n${fitted([['why', text]])}`);
}

function renderCounted({ from, act, decision }: Extract<Answer, { counted: true }>): string {
  const given = decision.authority.received.find(({ nonce }) => nonce === act?.nonce);
  const by = given?.principal ?? decision.policy.exceptions.at(-1)?.principal ?? 'its signer';
  return [
    `${paint('green', paint('bold', 'COUNTED'))}  ${plain(from.join(', '))}`,
    fitted([
      ['signed', plain(`${act?.kind} (${act?.answer}) by ${by} as ${act?.role}`)],
      ['about', plain(actionLine(decision))],
      ['decision', decision.decision_id],
      ['now', decision.status.replaceAll('_', ' ')],
      ['missing', decision.enforcement.allow_if.map(plain).join('\n')],
      ['recorded', `ledger entry ${decision.ledger.record_id}`],
    ]),
  ].join('\n');
}
