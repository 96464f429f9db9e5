import { Command, Option } from 'commander';
import type { SignedActBody } from '../../api/client.ts';
import { actNonce } from '../../core/id-token.ts';
import { BoundaryError } from '../../formats/boundary-error.ts';
import { actNamespace, parseAct, type SignedAct } from '../../formats/signed-act.ts';
import { connect, openSite, type SiteOptions } from '../access.ts';
import { readRequest } from '../carried.ts';
import { assertOutlets, carry, hasOutlet, type Outlets } from '../carry.ts';
import { ID_TOKEN_HELP, ID_TOKEN_OPTION, type IdTokenOptions, withIdToken } from '../id-token.ts';
import { parseDecisionId } from '../identifiers.ts';
import { writeNew } from '../new-file.ts';
import { renderDecision } from '../render/decision.ts';
import { print, printJson } from '../render/output.ts';
import { signAbout } from '../sign-act.ts';
import { actToSign, type OfflineSignRequest, openRequest, signRequest } from '../sign-request.ts';
import { KEY_HELP } from '../ssh-key.ts';

interface SignOptions extends SiteOptions, Outlets, IdTokenOptions {
  key?: string;
  role?: string;
  answer: 'approve' | 'reject';
  reason: string;
  exception?: boolean;
  gate?: string;
  ttl?: string;
  trust?: string;
  actOnly?: boolean;
  yes?: boolean;
}

const SIGN_HELP = `
At the site:
  holdfast approvals sign dec_01990000-… --key ~/.ssh/id_ed25519 --reason 'seen on site'
  holdfast approvals sign dec_01990000-… --key agent --answer reject --reason 'wrong pump'

Elsewhere, with this program alone (no site, no daemon, no network):
  holdfast approvals sign request.json --trust site-trust.json --key ~/.ssh/id_ed25519 -o alice.signed
  holdfast approvals sign request-1of2.png request-2of2.png --trust site-trust.json --key agent --qr

With ssh-keygen instead (any key that it can use, security keys too):
  holdfast approvals sign request.json --trust site-trust.json --role L3 --act-only -o act.json
  ssh-keygen -Y sign -n approval@holdfast -f ~/.ssh/id_ed25519_sk act.json
  then bring act.json and act.json.sig to: holdfast approvals import act.json act.json.sig

Shows in words what is signed, asks, then signs. At the site it is submitted at once, unless it goes to a file or a QR
code. Without --trust nobody vouches for what a request shows beside the action itself. A signature counts only if
the key belongs to somebody whom the policy lets approve.`;

/** `holdfast approvals sign`: an approval, rejection or exception, at the site or far from it. */
export function signCommand(): Command {
  return new Command('sign')
    .description('Approve or reject, by signature.')
    .argument('<what...>', 'dec_… at the site; elsewhere the file or pictures of a request')
    .option('--key <sshkey>', KEY_HELP)
    .option('--role <role>', 'role to sign in (default: the one that is asked for and held)')
    .addOption(
      new Option('--answer <answer>', 'the answer').choices(['approve', 'reject']).default('approve'),
    )
    .option('--reason <text>', 'why; it is signed and recorded', '')
    .option(
      '--exception',
      'grant the exception that a gate asks for, instead of approving; it ends with --ttl',
    )
    .option('--gate <id>', 'the gate to except (default: the only one that waits for the role)')
    .option(
      '--ttl <seconds>',
      'how long the signature may be submitted (default: 3600; of a request: as long as it waits)',
    )
    .option('--trust <file>', 'trust file of the site, to check a request against its ledger')
    .option('-o, --out <file>', 'write the signed act to a file instead of submitting it')
    .option('--png <file>', 'write it as QR codes, one picture each')
    .option('--qr', 'show it as QR codes')
    .option('--act-only', 'do not sign: write the act for ssh-keygen -Y sign to -o FILE')
    .option(ID_TOKEN_OPTION, `${ID_TOKEN_HELP}; the nonce is said first`)
    .option('--yes', 'sign without asking (needed where there is no terminal)')
    .addHelpText('after', SIGN_HELP)
    .action(async (what: string[], options: SignOptions) => {
      assertOutlets(options);
      const [id = '', ...more] = what;
      if (id.startsWith('dec_') && more.length === 0) await signAtSite(parseDecisionId(id), options);
      else await signElsewhere(what, options);
    });
}

async function signAtSite(id: string, options: SignOptions): Promise<void> {
  if (options.actOnly === true || options.trust !== undefined) {
    throw new BoundaryError(
      'option.needs_request',
      '--act-only and --trust are for requests that were exported; nothing was signed. Export one with: holdfast approvals export ID -o FILE',
    );
  }
  const site = openSite(options);
  const client = connect(site, 'operator', 'request');
  const act = await signAbout(client, site, id, { ...wantedOf(options), key: keyOf(options) });
  const signed = withIdToken(act, options, { announce: true });
  if (hasOutlet(options)) await writeSigned(signed, options);
  else {
    const decision = await client.submitAct(id, 'approvals', signed);
    if (options.json) printJson(decision);
    else print(renderDecision(decision));
  }
}

async function signElsewhere(files: readonly string[], options: SignOptions): Promise<void> {
  if (!hasOutlet(options)) {
    throw new BoundaryError(
      'option.outlet',
      'Say where the signature goes: -o FILE, --png FILE or --qr. Nothing was signed.',
    );
  }
  const opened = openRequest(await readRequest(files), options.trust);
  const wanted = wantedOf(options);
  if (options.actOnly === true) await writeAct(await actToSign(opened, wanted, options.key), options);
  else {
    const signed = await signRequest(opened, wanted, keyOf(options));
    await writeSigned(withIdToken(signed, options, { announce: true }), options);
  }
}

function wantedOf(options: SignOptions): OfflineSignRequest {
  return {
    kind: options.exception === true ? 'exception' : 'approval',
    answer: options.answer,
    reason: options.reason,
    role: options.role,
    yes: options.yes ?? false,
    ...(options.ttl === undefined ? {} : { ttlSeconds: parseTtl(options.ttl) }),
    ...(options.gate === undefined ? {} : { gate: options.gate }),
  };
}

function keyOf({ key }: SignOptions): string {
  if (key !== undefined) return key;
  throw new BoundaryError(
    'option.key',
    `Say with --key what to sign with: ${KEY_HELP}. Nothing was signed.`,
    {
      at: '--key',
    },
  );
}

/** `--ttl`: whole seconds. Throws BoundaryError `ttl.malformed`. */
export function parseTtl(text: string): number {
  if (/^[1-9]\d{0,7}$/.test(text)) return Number(text);
  throw new BoundaryError('ttl.malformed', 'Write --ttl as a whole number of seconds, such as 3600.', {
    at: '--ttl',
  });
}

/** Writes a signed act to where it is carried from, and says how it goes on. */
export async function writeSigned(signed: SignedActBody, options: SiteOptions & Outlets): Promise<void> {
  const files = await carry('S', JSON.stringify(signed), options);
  const { kind } = parseAct(signed.act);
  if (options.json) printJson({ files, kind, nonce: actNonce(signed.act), ...signed });
  else if (files.length === 0)
    print('Signed, not submitted. Scan the codes at the site: holdfast approvals import FILE');
  else print(`Signed, not submitted. At the site: holdfast approvals import ${files.join(' ')}`);
}

/** The act's exact bytes: `ssh-keygen` signs the file as it is, so there is no newline at its end. */
async function writeAct(
  { text, act }: { text: string; act: SignedAct },
  options: SignOptions,
): Promise<void> {
  const { out } = options;
  if (out === undefined || options.png !== undefined || options.qr === true) {
    throw new BoundaryError('option.outlet', '--act-only writes one file: -o FILE. Nothing was written.');
  }
  writeNew(out, text);
  const namespace = actNamespace(act.kind);
  if (options.json) printJson({ file: out, namespace, nonce: actNonce(text), act: text });
  else
    print(
      `Not signed yet. Next:\n  ssh-keygen -Y sign -n ${namespace} -f KEY ${out}\nThen at the site:\n  holdfast approvals import ${out} ${out}.sig\nWhere an ID token must stand beside it, log in with nonce=${actNonce(text)}, then:\n  holdfast approvals pack ${out} ${out}.sig --id-token TOKEN -o FILE`,
    );
}
