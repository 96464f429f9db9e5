import { Command } from 'commander';
import type { BundleBreakGlass, BundlePrincipal } from '../core/bundle.ts';
import type { PolicyName } from '../core/shadow.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import type { JsonObject } from '../formats/json.ts';
import { systemClock } from '../host/clock.ts';
import { connect, openSite, type SiteOptions } from './access.ts';
import { print, printJson } from './render/output.ts';
import { instant, paint, plain, rows, table } from './render/text.ts';
import { countedHere, type PrincipalHere, suspendedHere } from './suspended-here.ts';

/** A principal as one environment's bundle names it. */
export interface NamedPrincipal {
  id: string;
  environments: string[];
  principal: BundlePrincipal;
}

/** The same with what was suspended at the site. */
interface ShownPrincipal extends Omit<NamedPrincipal, 'principal'> {
  principal: PrincipalHere;
}

/** What `GET /v1/policy` says about one environment, as far as commands look at it. */
export interface PolicyEnvironment {
  environment: string;
  name: string;
  version: number;
  digest: string;
  loaded: boolean;
  failure: string | null;
  issued_at: string | null;
  description: string | null;
  actions: Record<string, JsonObject> | null;
  principals: Record<string, BundlePrincipal> | null;
  /** Who may suspend keys and principals; null where the policy says nothing of it. */
  suspension?: { roles: string[] } | null;
  breakglass: BundleBreakGlass | null;
  /** What it has in shadow: judged beside, never enforced. */
  shadow?: { policy: PolicyName; classes: string[] | null; loaded: boolean } | null;
}

/** `holdfast principals …`: who may act and approve under the policy in force. */
export function principalsCommand(): Command {
  const list = new Command('list')
    .description('Everybody that the policy in force names.')
    .action(async (options: SiteOptions) => {
      const principals = await readPrincipals(options);
      if (options.json) for (const named of principals) printJson(flat(named));
      else
        print(
          principals.length === 0 ? 'No policy is in force, so nobody is known.' : renderList(principals),
        );
    });
  const show = new Command('show')
    .description('One of them: roles, scope, keys.')
    .argument('<id>', 'e.g. agent:ops-1')
    .action(async (id: string, options: SiteOptions) => {
      const named = (await readPrincipals(options)).filter((principal) => principal.id === id);
      const [first] = named;
      if (first === undefined) {
        throw new BoundaryError(
          'principal.unknown',
          `The policy in force knows no principal ${JSON.stringify(id.slice(0, 80))}. See: holdfast principals list`,
        );
      }
      if (options.json) printJson(named.length === 1 ? flat(first) : named.map(flat));
      else print(named.map(renderOne).join('\n\n'));
    });
  return new Command('principals')
    .description('People, agents and services of the policy in force.')
    .addCommand(list)
    .addCommand(show);
}

async function readPrincipals(options: SiteOptions): Promise<ShownPrincipal[]> {
  const client = connect(openSite(options), 'operator');
  const policy = await client.policy();
  const suspended = await suspendedHere(client);
  return principalsOf(policy.environments as unknown as PolicyEnvironment[]).map((named) => ({
    ...named,
    principal: countedHere(named.id, named.principal, suspended),
  }));
}

/** Principals of all environments; the same principal in several bundles is one line, a differing one is another. */
export function principalsOf(environments: readonly PolicyEnvironment[]): NamedPrincipal[] {
  const found: NamedPrincipal[] = [];
  for (const { environment, principals } of environments) {
    for (const [id, principal] of Object.entries(principals ?? {})) {
      const text = JSON.stringify(principal);
      const same = found.find((named) => named.id === id && JSON.stringify(named.principal) === text);
      if (same === undefined) found.push({ id, environments: [environment], principal });
      else same.environments.push(environment);
    }
  }
  return found.sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
}

function flat({ id, environments, principal }: ShownPrincipal): object {
  return { id, environments, ...principal };
}

function renderList(principals: readonly ShownPrincipal[]): string {
  return table(
    ['id', 'kind', 'status', 'roles', 'owner', 'known by', 'environments'],
    principals.map(({ id, principal, environments }) => [
      plain(id),
      principal.kind,
      standing(principal),
      principal.roles.map(plain).join(', ') || '-',
      plain(principal.owner ?? '-'),
      knownBy(principal),
      environments.map(plain).join(', '),
    ]),
  );
}

/** The status, and what the clock of this machine and a suspension of keys alone make of it. */
function standing({ status, expires_at, keys }: PrincipalHere): string {
  const over = expires_at !== undefined && Date.parse(expires_at) <= systemClock.now();
  if (status !== 'active') return status;
  if (over) return 'expired';
  return keys?.some((key) => key.status === 'suspended') === true ? 'active, key suspended' : status;
}

/** How the sockets can tell who it is. */
function knownBy({ uid, spiffe_id }: PrincipalHere): string {
  return (
    [spiffe_id === undefined ? '' : 'certificate', uid === undefined ? '' : `uid ${uid}`]
      .filter((word) => word !== '')
      .join(', ') || '-'
  );
}

function renderOne({ id, principal, environments }: ShownPrincipal): string {
  const { scope, keys } = principal;
  const listed = (values: readonly string[] | undefined): string => (values ?? []).map(plain).join(', ');
  return [
    `${paint('bold', plain(id))}  ${principal.kind}, ${standing(principal)}`,
    rows([
      ['name', plain(principal.display_name ?? '')],
      ['roles', listed(principal.roles) || 'none'],
      ['owner', plain(principal.owner ?? '')],
      ['until', instant(principal.expires_at ?? null)],
      ['risk tier', plain(principal.risk_tier ?? '')],
      ['capabilities', listed(principal.capabilities)],
      ['in', listed(environments)],
      ['classes', scope?.classes === undefined ? 'all' : listed(scope.classes)],
      ['environments', scope?.environments === undefined ? 'all' : listed(scope.environments)],
      ['targets', scope?.targets === undefined ? 'all' : listed(scope.targets)],
      ['keys', (keys ?? []).map((key) => plain(`${key.public_key} (${key.status ?? 'active'})`)).join('\n')],
      ['uid', principal.uid === undefined ? '' : String(principal.uid)],
      ['spiffe', plain(principal.spiffe_id ?? '')],
      ['revoked', (principal.revoked_certificates ?? []).join('\n')],
      ['may ask as', listed(principal.may_assert)],
      ['audiences', listed(principal.audiences)],
    ]),
  ].join('\n');
}
