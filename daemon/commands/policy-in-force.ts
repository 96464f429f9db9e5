import { Command } from 'commander';
import { BoundaryError } from '../formats/boundary-error.ts';
import type { JsonObject } from '../formats/json.ts';
import { connect, openSite, type SiteOptions } from './access.ts';
import { EXIT, endWith } from './exit.ts';
import type { PolicyEnvironment } from './principals.ts';
import { print, printJson } from './render/output.ts';
import { instant, paint, plain, rows, table } from './render/text.ts';

/** What `GET /v1/policy` answers. */
interface PolicyInForce {
  update_id: string | null;
  serial: number | null;
  /** Versions of the signed repository's metadata. */
  repository: Record<string, number> | null;
  environments: PolicyEnvironment[];
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

/** `holdfast policy show`: what may be asked for under the policy in force. */
export function policyShowCommand(): Command {
  return new Command('show')
    .description('What may be asked for: the action classes of the policy in force.')
    .option('--env <environment>', 'only this environment')
    .action(async (options: SiteOptions & { env?: string }) => {
      const policy = await readPolicy(options);
      const chosen = policy.environments.filter(
        ({ environment }) => (options.env ?? environment) === environment,
      );
      if (options.env !== undefined && chosen.length === 0) {
        const known = policy.environments.map(({ environment }) => environment).join(', ') || 'none';
        throw new BoundaryError(
          'environment.unknown',
          `The policy in force has no environment ${options.env}; it has ${known}.`,
        );
      }
      if (options.json) printJson({ ...policy, environments: chosen });
      else print(chosen.length === 0 ? NO_POLICY : chosen.map(renderClasses).join('\n\n'));
    });
}

const NO_POLICY = 'No policy is in force: every request is denied. Bring one in with: holdfast import PATH';

async function readPolicy(options: SiteOptions): Promise<PolicyInForce> {
  return (await connect(openSite(options), 'operator').policy()) as unknown as PolicyInForce;
}

function withoutRules(policy: PolicyInForce): object {
  const environments = policy.environments.map(({ actions: _, principals: __, ...rest }) => rest);
  return { ...policy, environments };
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
      ['because', plain(env.failure ?? '')],
    ]),
  ].join('\n');
}

function renderClasses({ environment, name, version, actions }: PolicyEnvironment): string {
  const classes = Object.entries(actions ?? {}).map(([id, action]) => [
    plain(id),
    targetOf(action),
    plain(Object.entries(object(action.payload)).map(fieldOf).join(' ') || '-'),
    String(action.base_risk),
    plain(String(action.description)),
  ]);
  const head = `${paint('bold', plain(environment))}  ${plain(`${name}@${version}`)}`;
  return `${head}\n${table(['class', 'target', 'payload', 'risk', 'what it does'], classes)}`;
}

function targetOf(action: JsonObject): string {
  const { type } = object(action.target);
  return plain(`${String(type)}:ID`);
}

/** `grace_seconds`, `reason*` when required, `psk!` when sensitive. */
function fieldOf([name, field]: [string, JsonObject[string]]): string {
  const { required, sensitive } = object(field);
  return `${name}${required === true ? '*' : ''}${sensitive === true ? '!' : ''}`;
}

function object(value: JsonObject[string] | undefined): JsonObject {
  return value !== null && typeof value === 'object' && !Array.isArray(value) ? value : {};
}
