import { Command } from 'commander';
import { ApiProblem, type BreakglassSession } from '../../api/client.ts';
import { placeWords } from '../../core/breakglass.ts';
import { REFUSALS } from '../../core/refusal.ts';
import { BoundaryError } from '../../formats/boundary-error.ts';
import { formatScope, scopeDigest } from '../../formats/breakglass-scope.ts';
import { uuidv7 } from '../../host/random.ts';
import { connect, openSite, type SiteOptions } from '../access.ts';
import { parseSessionId } from '../identifiers.ts';
import { renderSession } from '../render/breakglass.ts';
import { print, printJson } from '../render/output.ts';
import { count, moment, plain } from '../render/text.ts';
import { signSiteAct } from '../sign-site-act.ts';
import { KEY_HELP } from '../ssh-key.ts';
import { collectField, endingRoles, type PlaceOptions, placeOf, placeRows, sectionFor } from './place.ts';

/** A signature about break-glass is submitted at once. */
const ACT_TTL_SECONDS = 900;

interface SignOptions extends SiteOptions {
  key: string;
  role?: string;
  yes?: boolean;
}

/** The options of every command that signs. */
export function signing(command: Command): Command {
  return command
    .requiredOption('--key <sshkey>', KEY_HELP)
    .option('--role <role>', 'role to sign in (default: the one that may and is held)')
    .option('--yes', 'sign without asking (needed where there is no terminal)');
}

/** The options that say where break-glass reaches. */
export function placing(command: Command): Command {
  return command
    .requiredOption('--class <class>', 'the one class of action that it is for')
    .requiredOption('--target <type:id>', 'the one target, word for word')
    .option('--env <environment>', 'the environment', 'production')
    .option('--for <principal>', 'only this one may ask under it (default: whoever the policy lets ask)')
    .requiredOption('--ttl <duration>', 'how long a session lasts, such as 30m');
}

const ACTIVATE_HELP = `
Examples:
  holdfast breakglass activate --class restart_service --target service:relay-2 --ttl 30m \\
    --reason 'pump house floods' --field hazard='the line floods in 20 minutes' --key ~/.ssh/id_ed25519

Which fields the reason needs, which roles may and for what, says the policy (holdfast policy show). Afterwards ask as
ever: holdfast exec --class restart_service --target service:relay-2 …`;

/** `holdfast breakglass activate`: opens a session by one signature. */
export function activateCommand(): Command {
  return signing(placing(new Command('activate')))
    .description('Break the glass for one class on one target, by signature.')
    .requiredOption('--reason <text>', 'why, in your words; it is signed and recorded')
    .option('--field <name=text>', 'a field of the reason that the policy asks for; repeatable', collectField)
    .addHelpText('after', ACTIVATE_HELP)
    .action(
      async (options: SignOptions & PlaceOptions & { reason: string; field?: Record<string, string> }) => {
        const place = placeOf(options);
        const reason = options.field ?? {};
        const site = openSite(options);
        const client = connect(site, 'operator', 'request');
        const section = await sectionFor(client, place, reason);
        const scope = formatScope(place, reason);
        const signed = await signSiteAct(
          { client, site },
          {
            kind: 'breakglass',
            subject: `bg_${uuidv7(Date.now())}`,
            digests: { scope: scopeDigest(scope) },
            answer: 'activate',
            ttlSeconds: ACT_TTL_SECONDS,
            roles: section?.roles ?? [],
            environment: place.environment,
            statement: 'BREAK THE GLASS for',
            about: [
              ...placeRows(place),
              ...Object.entries(reason).map(([name, text]) => [name, plain(text)] as const),
            ],
            ...signOptions(options, options.reason),
          },
        );
        report(await client.activateBreakglass({ scope, ...signed }), options);
      },
    );
}

/** `holdfast breakglass end`: closes a session before its time. */
export function endCommand(): Command {
  return signing(new Command('end').argument('<id>', 'bg_…', parseSessionId))
    .description('End a session now. What was allowed under it and not started dies with it.')
    .option('--reason <text>', 'why; it is signed and recorded', 'not needed any more')
    .action(async (id: string, options: SignOptions & { reason: string }) => {
      await signAndSubmit(id, 'end', options, options.reason);
    });
}

/** `holdfast breakglass review`: somebody else looked at it. */
export function reviewCommand(): Command {
  return signing(new Command('review').argument('<id>', 'bg_…', parseSessionId))
    .description(
      'Record, signed, that you looked at what was done under a session. Not by whoever opened it.',
    )
    .requiredOption('--note <text>', 'what you found; it is signed and recorded')
    .action(async (id: string, options: SignOptions & { note: string }) => {
      await signAndSubmit(id, 'review', options, options.note);
    });
}

async function signAndSubmit(
  id: string,
  to: 'end' | 'review',
  options: SignOptions,
  reason: string,
): Promise<void> {
  const site = openSite(options);
  const client = connect(site, 'operator', 'request');
  const session = await client.breakglassSession(id);
  assertShown(session, id);
  assertState(session, to);
  const signed = await signSiteAct(
    { client, site },
    {
      kind: to === 'end' ? 'breakglass' : 'review',
      subject: session.id,
      digests: { scope: session.scope_digest },
      answer: to === 'end' ? 'end' : 'reviewed',
      ttlSeconds: ACT_TTL_SECONDS,
      roles: to === 'end' ? await endingRoles(client, session) : session.review.roles,
      environment: session.scope.environment,
      statement: to === 'end' ? 'END this break-glass session' : 'have REVIEWED this break-glass session',
      about: aboutSession(session),
      ...(to === 'review' ? { reasonLabel: 'you found' } : {}),
      ...signOptions(options, reason),
    },
  );
  report(await client.submitBreakglassAct(id, to, signed), options);
}

/** The words on the screen must be what the digest binds; else whoever shows them could get anything signed. */
function assertShown({ id, scope, scope_digest }: BreakglassSession, wanted: string): void {
  if (id === wanted && scopeDigest(formatScope(scope, scope.reason)) === scope_digest) return;
  throw new BoundaryError(
    'sign.not_as_shown',
    'The session that is shown does not match its digest. Nothing was signed; find out who made it up.',
  );
}

/** What the engine would refuse whoever signs it is not worth a signature. */
function assertState({ id, state }: BreakglassSession, to: 'end' | 'review'): void {
  if (to === 'end' ? state === 'active' : state === 'ended' || state === 'overdue') return;
  const how =
    state === 'active'
      ? `is open. End it first: holdfast breakglass end ${id} --key KEY`
      : state === 'closed'
        ? 'was reviewed already.'
        : 'is over already.';
  const detail = `Session ${id} ${how} Nothing was signed.`;
  throw new ApiProblem(REFUSALS['breakglass.wrong_state'], { code: 'breakglass.wrong_state', detail });
}

function signOptions({ key, role, yes }: SignOptions, reason: string) {
  return { key, role, yes: yes ?? false, reason };
}

function aboutSession({
  scope,
  principal,
  activated_at,
  because,
  grant,
  decisions = [],
}: BreakglassSession): [string, string][] {
  return [
    ['for', plain(placeWords(scope))],
    ['opened by', plain(`${principal}, ${moment(activated_at)}`)],
    ['with', grant === null ? '' : plain(`sealed grant, used by ${grant.redeemed_by}`)],
    ['said then', plain(because)],
    ['under it', count(decisions.length, 'decision')],
  ];
}

function report(session: BreakglassSession, options: SiteOptions): void {
  if (options.json) printJson(session);
  else print(renderSession(session));
}
