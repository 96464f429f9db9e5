import { Command } from 'commander';
import type { Bundle } from '../../core/bundle.ts';
import { connect, openSite, type SiteOptions } from '../access.ts';
import { EXIT, endWith } from '../exit.ts';
import type { PolicyEnvironment } from '../principals.ts';
import { print, printJson } from '../render/output.ts';
import { instant, paint, plain, rows } from '../render/text.ts';

/** What `GET /v1/policy` answers. */
export interface PolicyInForce {
  update_id: string | null;
  serial: number | null;
  /** Versions of the signed repository's metadata. */
  repository: Record<string, number> | null;
  environments: RulesInForce[];
}

/** One environment's policy with its rules; they are null where its bundle could not be loaded. */
export interface RulesInForce extends PolicyEnvironment {
  freshness: Bundle['metadata']['freshness'] | null;
  /** Absent where the daemon is of an earlier version. */
  anchoring?: NonNullable<Bundle['anchoring']> | null;
  gates: Bundle['gates'] | null;
  risk: Bundle['risk'] | null;
  authority: Bundle['authority'] | null;
}

/** `holdfast policy status`: which bundle each environment runs, and how it came here. */
export function policyStatusCommand(): Command {
  return new Command('status')
    .description('Which policy is in force, environment by environment.')
    .action(async (options: SiteOptions) => {
      const policy = await readPolicy(options);
      const working = policy.environments.length > 0 && policy.environments.every(({ loaded }) => loaded);
      if (options.json) printJson(withoutRules(policy));
      else print(renderStatus(policy));
      endWith(working ? EXIT.done : EXIT.unavailable);
    });
}

/** Said where there is nothing to show. */
export const NO_POLICY =
  'No policy is in force: every request is denied. Bring one in with: holdfast import PATH';

/** What the daemon says is in force. */
export async function readPolicy(options: SiteOptions): Promise<PolicyInForce> {
  return (await connect(openSite(options), 'operator').policy()) as unknown as PolicyInForce;
}

function withoutRules(policy: PolicyInForce): object {
  const environments = policy.environments.map(withoutRulesOf);
  return { ...policy, environments };
}

function withoutRulesOf({
  environment,
  name,
  version,
  digest,
  loaded,
  failure,
  issued_at,
  description,
  shadow = null,
}: RulesInForce) {
  return { environment, name, version, digest, loaded, failure, issued_at, description, shadow };
}

function renderStatus({ update_id, serial, repository, environments }: PolicyInForce): string {
  if (environments.length === 0) return NO_POLICY;
  const versions = Object.entries(repository ?? {}).map(([role, version]) => `${role} ${version}`);
  return [
    rows(
      [
        ['update', `serial ${serial ?? '?'}, ${update_id ?? ''}`],
        ['repository', plain(versions.join(', '))],
      ],
      '',
    ),
    ...environments.map(renderEnvironment),
  ].join('\n');
}

function shadowLine({ shadow }: PolicyEnvironment): string {
  if (shadow === null || shadow === undefined) return '';
  const asked = shadow.classes === null ? '' : ` for ${shadow.classes.join(', ')}`;
  const state = shadow.loaded ? ', not enforced' : ', NOT LOADED: import the update again';
  return plain(`${shadow.policy.version}${asked}${state}`);
}

function renderEnvironment(env: PolicyEnvironment): string {
  const state = env.loaded ? paint('green', 'in force') : paint('red', 'not loaded: every request is denied');
  return [
    '',
    `${paint('bold', plain(env.environment))}  ${state}`,
    rows([
      ['bundle', plain(`${env.name}@${env.version}`)],
      ['digest', env.digest],
      ['issued', instant(env.issued_at)],
      ['about', plain(env.description ?? '')],
      ['in shadow', shadowLine(env)],
      ['because', plain(env.failure ?? '')],
    ]),
  ].join('\n');
}
