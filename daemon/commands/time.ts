import { Command } from 'commander';
import type { ApiClient, SiteTime } from '../api/client.ts';
import { PRODUCTION } from '../core/minimum.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import { siteOrigin } from '../host/config.ts';
import { connect, openSite, type SiteOptions } from './access.ts';
import { oneSigned } from './approvals/import.ts';
import { signing } from './breakglass/acts.ts';
import { assertOutlets, carry, hasOutlet, type Outlets } from './carry.ts';
import { EXIT, endWith } from './exit.ts';
import { print, printJson } from './render/output.ts';
import { moment } from './render/text.ts';
import { renderStated, renderTime } from './render/time.ts';
import { type SiteActRequest, signSiteAct } from './sign-site-act.ts';
import { readEnvironments } from './signer-role.ts';

/** What a statement of the time is about, and what it answers (`engine/methods/time.ts`). */
const SUBJECT = 'time';
const ANSWER = 'state';
const DEFAULT_REASON = 'read off a clock that I believe';
/** Time to type, read and sign; on another machine, to walk there and back. */
const TTL_SECONDS = { here: 600, elsewhere: 3_600 } as const;

const HELP = `
A site has no time server. It believes its clock as long as that cannot be wrong, and says when it is. Then somebody sets the
clock, and somebody whom the policy lets state the time says, signed, what time it is.`;

/** `holdfast time …`: how far the site's clock can be believed, and people who say what time it is. */
export function timeCommand(): Command {
  return new Command('time')
    .description('How far the clock of the site can be believed; state what time it is.')
    .addHelpText('after', HELP)
    .addCommand(showCommand())
    .addCommand(stateCommand())
    .addCommand(submitCommand());
}

function showCommand(): Command {
  return new Command('show')
    .description(
      'How far the clock can be believed, why, and the challenge for a statement signed elsewhere.',
    )
    .addHelpText('after', '\nExit codes: 0 the clock is believed · 5 it is not')
    .action(async (options: SiteOptions) => {
      const time = await connect(openSite(options), 'operator').time();
      if (options.json) printJson(time);
      else print(renderTime(time));
      endWith(time.trust === 'uncertain' ? EXIT.unavailable : EXIT.done);
    });
}

interface StateOptions extends SiteOptions, Outlets {
  key: string;
  now: string;
  role?: string;
  reason: string;
  yes?: boolean;
  challenge?: string;
  site?: string;
}

const STATE_HELP = `
Examples:
  holdfast time state --key ~/.ssh/id_ed25519 --now '2026-11-21 14:05:30'
  on another machine, whose clock is right, with the challenge that "holdfast time show" shows at the site:
    holdfast time state --key agent --now clock --challenge 5f2c… --site outpost-7.example --role L4 -o time.signed
    and back at the site: holdfast time submit time.signed

The statement counts by your role and by its challenge, whatever the clock of the site says. It moves what the site takes the
time to be at least, in either direction. A clock that agrees with it (2 minutes) is trusted from then on.

Exit codes: 0 stated, and the clock is believed · 5 stated, but the clock is still to be set · 3 refused`;

function stateCommand(): Command {
  return signing(new Command('state'))
    .description('Say, signed, what time it is.')
    .requiredOption(
      '--now <time>',
      'what time it is now, in UTC: YYYY-MM-DD hh:mm:ss; "clock" takes the clock of this machine',
    )
    .option('--reason <text>', 'how you know; it is signed and recorded', DEFAULT_REASON)
    .option('--challenge <hex>', 'sign elsewhere: the challenge that the site showed')
    .option('--site <origin>', 'sign elsewhere: the site')
    .option('-o, --out <file>', 'sign elsewhere: write the signed statement to a file')
    .option('--png <file>', 'sign elsewhere: write it as QR codes')
    .option('--qr', 'sign elsewhere: show it as QR codes')
    .addHelpText('after', STATE_HELP)
    .action(async (options: StateOptions) => {
      const stated = parseNow(options.now);
      if (options.challenge === undefined) await stateHere(stated, options);
      else await stateElsewhere(stated, options.challenge, options);
    });
}

/** At the site: ask for a challenge, sign, submit. */
async function stateHere(stated: () => number, options: StateOptions): Promise<void> {
  if (hasOutlet(options) || options.site !== undefined) {
    throw new BoundaryError(
      'time.challenge_missing',
      'To sign elsewhere, name the challenge of the site too: --challenge HEX ("holdfast time show" at the site shows it). Nothing was signed.',
    );
  }
  const site = openSite(options);
  const client = connect(site, 'operator');
  const { challenge, rules } = await client.time();
  const request = requestOf(stated, challenge, options, {
    ttlSeconds: TTL_SECONDS.here,
    roles: rules?.state_roles ?? [],
    environment: await speakingEnvironment(client),
  });
  report(await client.stateTime(await signSiteAct({ client, site }, request)), options);
}

/** Elsewhere: sign for a site that is only named, and write what is to be carried there. */
async function stateElsewhere(stated: () => number, challenge: string, options: StateOptions): Promise<void> {
  if (!/^[0-9a-f]{64}$/.test(challenge) || options.site === undefined || !hasOutlet(options)) {
    throw new BoundaryError(
      'time.incomplete',
      'Signed elsewhere, a statement needs the challenge (64 hex digits, from "holdfast time show"), the site (--site ORIGIN) and a place to go (-o FILE, --png FILE or --qr). Nothing was signed.',
    );
  }
  assertOutlets(options);
  const request = requestOf(stated, challenge, options, {
    ttlSeconds: TTL_SECONDS.elsewhere,
    roles: [],
    environment: PRODUCTION,
  });
  const origin = siteOrigin(options.site);
  const signed = await signSiteAct({ client: null, origin }, request);
  const files = await carry('S', JSON.stringify(signed), options);
  if (options.json) printJson({ files, ...signed });
  else print(`Signed, not submitted. At the site: holdfast time submit ${files.join(' ') || 'FILE'}`);
}

function submitCommand(): Command {
  return new Command('submit')
    .description('Bring in a statement of the time that was signed elsewhere.')
    .argument('<file...>', 'the signed statement, pictures of its QR codes, or an act and its .sig')
    .addHelpText('after', '\nExit codes: as of "time state"')
    .action(async (files: string[], options: SiteOptions) => {
      const client = connect(openSite(options), 'operator');
      report(await client.stateTime(await oneSigned(files)), options);
    });
}

function requestOf(
  stated: () => number,
  challenge: string,
  { key, role, reason, yes }: StateOptions,
  terms: Pick<SiteActRequest, 'ttlSeconds' | 'roles' | 'environment'>,
): SiteActRequest {
  const at = stated();
  return {
    kind: 'time',
    subject: SUBJECT,
    digests: { challenge },
    answer: ANSWER,
    reason,
    key,
    role,
    yes: yes ?? false,
    statement: 'STATE THE TIME',
    issuedAt: at,
    reasonLabel: 'known from',
    about: [['it is now', moment(new Date(at).toISOString())]],
    ...terms,
  };
}

/** The environment whose roster says whose key it is: the one whose policy speaks for the site. */
async function speakingEnvironment(client: ApiClient): Promise<string> {
  const known = ((await readEnvironments(client)) ?? []).map(({ environment }) => environment);
  return known.includes(PRODUCTION) ? PRODUCTION : (known[0] ?? PRODUCTION);
}

function report(time: SiteTime, options: SiteOptions): void {
  if (options.json) printJson(time);
  else print(renderStated(time));
  endWith(time.trust === 'uncertain' ? EXIT.unavailable : EXIT.done);
}

const NOW = /^(\d{4}-\d{2}-\d{2})[T ](\d{2}:\d{2}(?::\d{2})?)(?:Z| ?UTC)?$/;

/** Reads `--now`; the result goes on from there while the person reads and confirms. Throws BoundaryError `time.malformed`. */
export function parseNow(text: string): () => number {
  if (text === 'clock') return () => Date.now();
  const match = NOW.exec(text.trim());
  const clock = match?.[2]?.length === 5 ? `${match[2]}:00` : match?.[2];
  const at = Date.parse(`${match?.[1]}T${clock}.000Z`);
  // Date.parse takes the 31st of February for a day in March.
  if (match === null || Number.isNaN(at) || !new Date(at).toISOString().startsWith(match[1] ?? '-')) {
    throw new BoundaryError(
      'time.malformed',
      'Write --now as date and time in UTC, such as "2026-11-21 14:05:30", or as "clock" for the clock of this machine; nothing was signed.',
      { at: '--now' },
    );
  }
  const begun = performance.now();
  return () => at + Math.round(performance.now() - begun);
}
