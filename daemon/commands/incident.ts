import { Command } from 'commander';
import { type ApiClient, ApiProblem, type Incident } from '../api/client.ts';
import type { BundleIncidents } from '../core/bundle.ts';
import { PRODUCTION } from '../core/minimum.ts';
import { REFUSALS } from '../core/refusal.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import { canonicalText } from '../formats/canonical-json.ts';
import { sha256Hex } from '../formats/digest.ts';
import { decodeEntry } from '../formats/entry.ts';
import type { Json } from '../formats/json.ts';
import { verifyProof } from '../formats/tlog-proof.ts';
import { connect, openSite, parseTarget, requireActor, type Site, type SiteOptions } from './access.ts';
import { signing } from './breakglass/acts.ts';
import { EXIT, endWith } from './exit.ts';
import { parseDecisionId, parseIncidentId } from './identifiers.ts';
import { everyPage } from './pages.ts';
import { incidentRows, renderIncident, renderIncidents } from './render/incident.ts';
import { print, printJson } from './render/output.ts';
import { fitted, paint, plain } from './render/text.ts';
import { signSiteAct } from './sign-site-act.ts';
import { readEnvironments } from './signer-role.ts';
import { ownLogTrust } from './site.ts';

/** A resume is submitted at once. */
const ACT_TTL_SECONDS = 900;

const HELP = `
An incident halts what it concerns: requests are denied and permits cannot be
used until an authorized person signs to resume. Break-glass still works.
See docs/operate/incidents.md.`;

/** `holdfast incident …`: what was done without a permit, and going on after it. */
export function incidentCommand(): Command {
  return new Command('incident')
    .description('What was done without a permit, what that halts, and going on after it.')
    .addHelpText('after', HELP)
    .addCommand(listCommand())
    .addCommand(showCommand())
    .addCommand(openCommand())
    .addCommand(resumeCommand())
    .addCommand(canaryCommand());
}

function listCommand(): Command {
  return new Command('list')
    .description('Incidents that are open.')
    .option('--all', 'those that were cleared too')
    .action(async (options: SiteOptions & { all?: boolean }) => {
      const incidents = await readIncidents(connect(openSite(options), 'operator'), options.all ?? false);
      if (options.json) for (const incident of incidents) printJson(incident);
      else if (incidents.length > 0) print(renderIncidents(incidents));
      else print(options.all ? 'There never was an incident here.' : 'No incident is open.');
    });
}

async function readIncidents(client: ApiClient, all: boolean): Promise<Incident[]> {
  if (!all) return (await client.incidents()).incidents;
  return everyPage(async (after) => {
    const { incidents, next } = await client.incidents({ state: 'all', ...after });
    return { items: incidents, next };
  });
}

function showCommand(): Command {
  return new Command('show')
    .description('One incident: what was seen, by whom, what it halts.')
    .argument('<id>', 'inc_…', parseIncidentId)
    .action(async (id: string, options: SiteOptions) => {
      show(await connect(openSite(options), 'operator', 'request').incident(id), options);
    });
}

interface OpenOptions extends SiteOptions {
  target?: string;
  site?: boolean;
  detail: string;
  decision?: string;
  actor?: string;
  role?: string;
}

const OPEN_HELP = `
Only principals with a reporter role of the policy in force are heard (incidents.reporter_roles).

Examples:
  holdfast incident open --target service:relay-2 --detail 'relay was restarted, nobody asked' --actor alice
  holdfast incident open --site --detail 'somebody was at the gateway machine' --actor carol`;

function openCommand(): Command {
  return new Command('open')
    .description('Report that something was done without a permit. What it concerns is halted at once.')
    .option('--target <type:id>', 'what it was done to; that is halted')
    .option('--site', 'the gateway itself is in doubt: the whole site is halted')
    .requiredOption('--detail <text>', 'what happened; it is recorded')
    .option('--decision <id>', 'the decision that it has to do with', parseDecisionId)
    .option('--actor <id>', 'who reports')
    .option('--role <role>', 'role to report in (default: the one that may and is held)')
    .addHelpText('after', OPEN_HELP)
    .action(async (options: OpenOptions) => {
      if ((options.target === undefined) === (options.site !== true)) {
        throw new BoundaryError(
          'incident.target',
          'Say either what it was done to (--target TYPE:ID) or that the whole site is to be halted (--site). Nothing was recorded.',
        );
      }
      const site = openSite(options);
      const actor = { id: requireActor(options.actor, site), role: options.role ?? null };
      const incident = await connect(site, 'operator', 'request').openIncident({
        actor,
        target: options.target === undefined ? null : parseTarget(options.target),
        detail: options.detail,
        ...(options.decision === undefined ? {} : { evidence: { decision_id: options.decision } }),
      });
      show(incident, options);
    });
}

interface ResumeOptions extends SiteOptions {
  key: string;
  role?: string;
  reason: string;
  yes?: boolean;
}

function resumeCommand(): Command {
  return signing(new Command('resume').argument('<id>', 'inc_…', parseIncidentId))
    .description('Let what an incident halted go on, by signature.')
    .requiredOption('--reason <text>', 'what was found and put right; it is signed and recorded')
    .action(async (id: string, options: ResumeOptions) => {
      const site = openSite(options);
      const client = connect(site, 'operator', 'request');
      const incident = await client.incident(id);
      assertOpen(incident);
      assertShown(incident, site);
      const { roles, environment } = await mayResume(client);
      const signed = await signSiteAct(
        { client, site },
        {
          kind: 'resume',
          subject: id,
          digests: { incident: incident.digest },
          answer: 'resume',
          ttlSeconds: ACT_TTL_SECONDS,
          roles,
          environment,
          statement: 'let what this incident halted GO ON',
          about: incidentRows(incident),
          reasonLabel: 'you found',
          key: options.key,
          role: options.role,
          yes: options.yes ?? false,
          reason: options.reason,
        },
      );
      show(await client.resumeIncident(id, signed), options);
    });
}

/** What the engine would refuse whoever signs it is not worth a signature. */
function assertOpen({ incident_id, state }: Incident): void {
  if (state === 'open') return;
  throw new ApiProblem(REFUSALS['incident.not_open'], {
    code: 'incident.not_open',
    detail: `Incident ${incident_id} was cleared before. Nothing was signed.`,
  });
}

/** The words on the screen must be what the digest binds; else whoever shows them could get anything signed. */
function assertShown(incident: Incident, site: Site): void {
  const { leaf } = verifyProof(incident.proof ?? '', ownLogTrust(site));
  const { stream, type, data } = decodeEntry(leaf);
  const shown = {
    cause: incident.cause,
    detail: incident.detail,
    evidence: incident.evidence,
    halt: incident.halt,
  };
  const { cause = null, detail = null, evidence = null, halt = null } = data;
  const same = canonicalText(shown as unknown as Json) === canonicalText({ cause, detail, evidence, halt });
  if (
    same &&
    type === 'incident.opened' &&
    stream === incident.incident_id &&
    sha256Hex(leaf) === incident.digest
  )
    return;
  throw new BoundaryError(
    'sign.not_as_shown',
    'The incident that is shown is not the one in the ledger. Nothing was signed; find out who made it up.',
  );
}

async function mayResume(client: ApiClient): Promise<{ roles: readonly string[]; environment: string }> {
  const environments = ((await readEnvironments(client)) ?? []) as unknown as {
    environment: string;
    incidents?: BundleIncidents | null;
  }[];
  const policy = environments.find(({ environment }) => environment === PRODUCTION) ?? environments[0];
  return { roles: policy?.incidents?.resume_roles ?? [], environment: policy?.environment ?? PRODUCTION };
}

const CANARY_HELP = `
Exit codes: 0 denied, and recorded as such · 3 it was not: an incident is open and the site is halted
  5 the gateway did not answer, so nothing is known`;

function canaryCommand(): Command {
  return new Command('canary')
    .description('Test the gateway now: send it an action that must be denied.')
    .addHelpText('after', CANARY_HELP)
    .action(async (options: SiteOptions) => {
      const report = await connect(openSite(options), 'operator').runCanary();
      if (options.json) printJson(report);
      else print(renderCanary(report));
      endWith(CANARY_EXITS[report.verdict]);
    });
}

const CANARY_EXITS = { passed: EXIT.done, failed: EXIT.refused, unanswered: EXIT.unavailable } as const;
const CANARY_WORDS = {
  passed: ['green', 'PASSED', 'The gateway had a must-deny action denied, and the denial is in the ledger.'],
  failed: ['red', 'FAILED', 'The gateway does not enforce. The site is halted.'],
  unanswered: ['yellow', 'UNANSWERED', 'The gateway did not answer; nothing is known of it.'],
} as const;

function renderCanary(report: Awaited<ReturnType<ApiClient['runCanary']>>): string {
  const [style, word, meaning] = CANARY_WORDS[report.verdict];
  const next = {
    passed: '',
    failed: `Stop the gateway and find out what it is: holdfast incident show ${report.incident_id ?? ''}`,
    unanswered: 'Look at it: holdfast status. Then test again.',
  }[report.verdict];
  const facts = fitted([
    ['because', plain(report.why ?? '')],
    ['decision', plain(report.decision_id ?? '')],
    ['incident', plain(report.incident_id ?? '')],
    ['do', next],
  ]);
  return [`${paint(style, paint('bold', word))}  ${meaning}`, ...(facts === '' ? [] : [facts])].join('\n');
}

function show(incident: Incident, options: SiteOptions): void {
  if (options.json) printJson(incident);
  else print(renderIncident(incident));
}
