import { randomBytes } from 'node:crypto';
import { Command } from 'commander';
import type { ApiClient, SignedActBody } from '../../api/client.ts';
import { anyOf } from '../../core/authority.ts';
import { BoundaryError } from '../../formats/boundary-error.ts';
import { parseAct, type SignedAct } from '../../formats/signed-act.ts';
import { connect, openSite, type Site, type SiteOptions } from '../access.ts';
import { oneSigned } from '../approvals/import.ts';
import { parseTtl } from '../approvals/sign.ts';
import { assertOutlets, carry, hasOutlet, type Outlets } from '../carry.ts';
import { EXIT, endWith } from '../exit.ts';
import { describeHeld, readHeld, type ShownHeld } from '../held-policy.ts';
import { renderRelease } from '../render/held.ts';
import { print, printJson, say } from '../render/output.ts';
import { instant, paint, plain } from '../render/text.ts';
import { confirm, seenCheckpoint, signAct } from '../sign-act.ts';
import { ownerOf } from '../signer-role.ts';
import { KEY_HELP, openSigningKey } from '../ssh-key.ts';

interface ReleaseOptions extends SiteOptions, Outlets {
  key?: string;
  role?: string;
  reason: string;
  reject?: boolean;
  ttl: string;
  signed?: string[];
  yes?: boolean;
}

const HELP = `
Shows what the update would change, in words, then signs and submits. The last signature that is missing puts the update
in force, or leaves it to its date. One rejection ends it; then only another update from headquarters can follow.

Examples:
  holdfast policy release 3f0a9c1be2d4 --key ~/.ssh/id_ed25519 --reason 'agreed with the shift'
  holdfast policy release 3f0a9c1be2d4 --key agent --reject --reason 'not before the repair'
  holdfast policy release 3f0a9c1be2d4 --key alice -o alice.signed          carried, then:
  holdfast policy release 3f0a9c1be2d4 --signed alice.signed

Exit codes: 0 in force, or rejected · 3 refused · 4 signed, and still waiting · 5 the daemon is not available`;

const NONCE_BYTES = 16;

/** `holdfast policy release`: a signature for or against the update that waits. */
export function policyReleaseCommand(): Command {
  return new Command('release')
    .description('Release the update that waits, or reject it, by signature.')
    .argument('<update>', 'its id, or the first eight or more characters of it (holdfast policy held)')
    .option('--key <sshkey>', KEY_HELP)
    .option('--role <role>', 'role to sign in (default: the one that is asked for and held)')
    .option('--reject', 'keep it out instead')
    .option('--reason <text>', 'why; it is signed and recorded', '')
    .option('--ttl <seconds>', 'how long the signature may be submitted', '3600')
    .option('-o, --out <file>', 'write the signed act to a file instead of submitting it')
    .option('--png <file>', 'write it as QR codes, one picture each')
    .option('--qr', 'show it as QR codes')
    .option('--signed <file...>', 'submit what was signed before or elsewhere')
    .option('--yes', 'sign without asking (needed where there is no terminal)')
    .addHelpText('after', HELP)
    .action(async (update: string, options: ReleaseOptions) => {
      assertOutlets(options);
      const site = openSite(options);
      const client = connect(site, 'operator');
      try {
        await release(client, site, update, options);
      } finally {
        client.close();
      }
    });
}

async function release(
  client: ApiClient,
  site: Site,
  update: string,
  options: ReleaseOptions,
): Promise<void> {
  const shown = await describeHeld(client, await findHeld(client, update));
  const signed =
    options.signed === undefined
      ? await signRelease(client, site, shown, options)
      : await oneSigned(options.signed);
  if (options.signed === undefined && hasOutlet(options)) {
    const files = await carry('S', JSON.stringify(signed), options);
    if (options.json) printJson({ files, kind: parseAct(signed.act).kind, ...signed });
    else
      print(
        `Signed, not submitted. At the site: holdfast policy release ${shown.held.id.slice(0, 12)} --signed ${files.join(' ') || 'FILE'}`,
      );
    return;
  }
  report((await client.releasePolicy(shown.held.id, signed)) as unknown as Released, options);
}

async function findHeld(client: ApiClient, update: string): Promise<ShownHeld['held']> {
  const held = await readHeld(client);
  if (held !== null && update.length >= 8 && held.id.startsWith(update)) return held;
  throw new BoundaryError(
    'policy.not_held',
    held === null
      ? 'No update waits, so there is nothing to release; nothing was signed.'
      : `The update that waits is ${held.id}, not ${JSON.stringify(update.slice(0, 80))}; nothing was signed. See: holdfast policy held`,
    { at: 'update' },
  );
}

async function signRelease(
  client: ApiClient,
  site: Site,
  shown: ShownHeld,
  options: ReleaseOptions,
): Promise<SignedActBody> {
  if (options.key === undefined)
    throw new BoundaryError(
      'option.key',
      `Say with --key what to sign with: ${KEY_HELP}. Nothing was signed.`,
      {
        at: '--key',
      },
    );
  const { held } = shown;
  if (held.demands.length === 0)
    throw new BoundaryError(
      'policy.scheduled',
      `This update waits for its date (${held.effective_at ?? 'none'}), not for anybody's signature; nothing was signed.`,
    );
  const key = await openSigningKey(options.key);
  const signer = await signerOf(client, shown, key.fingerprint, options.role);
  const act: SignedAct = {
    type: 'holdfast/act/v1',
    kind: 'hold',
    site: site.config.site,
    subject: held.id,
    subject_digest: { site_target: held.site_target_digest },
    answer: options.reject === true ? 'reject' : 'approve',
    role: signer.role,
    reason: options.reason,
    issued_at: new Date().toISOString(),
    ttl_seconds: parseTtl(options.ttl),
    nonce: randomBytes(NONCE_BYTES).toString('base64url'),
    seen_checkpoint: await seenCheckpoint(client, site),
  };
  say(renderRelease(act, shown, signer));
  if (options.yes !== true) await confirm();
  return signAct(act, key);
}

/** Who signs, and in which of the roles that are asked for. */
async function signerOf(
  client: ApiClient,
  { held }: ShownHeld,
  fingerprint: string | null,
  role: string | undefined,
): Promise<{ principal: string | null; role: string; fingerprint: string | null }> {
  const asked = [...new Set(held.demands.flatMap(({ roles }) => roles))];
  for (const { environment } of held.demands) {
    const owner = await ownerOf(client, environment, fingerprint);
    if (owner === null) continue;
    const principal = owner === 'untold' ? null : owner.id;
    if (role !== undefined) return { principal, role, fingerprint };
    const choices = owner === 'untold' ? asked : asked.filter((one) => owner.roles.includes(one));
    const [only, ...others] = choices;
    if (only !== undefined && others.length === 0) return { principal, role: only, fingerprint };
    throw new BoundaryError(
      only === undefined ? 'role.none' : 'role.several',
      only === undefined
        ? `${principal ?? 'The owner of this key'} holds none of the roles that are asked for: ${anyOf(asked)}. Nothing was signed; somebody who does must sign.`
        : `This key may sign as ${anyOf(choices)}. Say which with --role; nothing was signed.`,
    );
  }
  if (role !== undefined) return { principal: null, role, fingerprint };
  throw new BoundaryError(
    'role.none',
    `The policy in force knows no owner of this key (${fingerprint ?? 'no fingerprint'}), so its signature would not count; nothing was signed.`,
  );
}

/** What the daemon answers. */
interface Released {
  id: string;
  state: 'held' | 'scheduled' | 'applied' | 'rejected' | 'lapsed';
  missing: string[];
  effective_at?: string | null;
  record_id: number;
  environments?: Record<string, { name: string; version: number }>;
}

const EXITS: Record<Released['state'], number> = {
  applied: EXIT.done,
  rejected: EXIT.done,
  held: EXIT.pending,
  scheduled: EXIT.pending,
  lapsed: EXIT.refused,
};

function report(released: Released, options: SiteOptions): void {
  if (options.json) printJson(released);
  else print(`${render(released)}\nrecorded as entry ${released.record_id}`);
  endWith(EXITS[released.state]);
}

function render({ state, missing, effective_at = null, environments = {} }: Released): string {
  const head = (style: 'green' | 'yellow' | 'red', word: string) => paint(style, paint('bold', word));
  switch (state) {
    case 'applied': {
      const now = Object.entries(environments).map(([name, to]) => `${name} ${to.name}@${to.version}`);
      return `${head('green', 'APPLIED')}  in force now: ${plain(now.join(', '))}`;
    }
    case 'rejected':
      return `${head('yellow', 'REJECTED')}  The update will not be put in force. The policy in force stays as it was.`;
    case 'scheduled':
      return `${head('yellow', 'RELEASED')}  It takes effect ${instant(effective_at)}, by itself.`;
    case 'held':
      return `${head('yellow', 'SIGNED')}  It still needs ${plain(missing.join(' and '))}.`;
    default:
      return `${head('red', 'LAPSED')}  The update could not be put in force and was given up; see: holdfast policy history. The policy in force stays as it was.`;
  }
}
