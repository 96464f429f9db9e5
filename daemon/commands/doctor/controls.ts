import { lstatSync } from 'node:fs';
import { join } from 'node:path';
import { ApiProblem } from '../../api/client.ts';
import type { Bundle } from '../../core/bundle.ts';
import { BoundaryError } from '../../formats/boundary-error.ts';
import { sha256Hex } from '../../formats/digest.ts';
import { readBounded } from '../../host/durable-file.ts';
import { profileOfRoot, ROOT_MAX_BYTES, readRoot } from '../../policy/update-root.ts';
import { loadBundle } from '../bundle-reference.ts';
import { type Check, fail, type Patient, pass, unknown, warn } from './check.ts';

/** What a profile promises, held against how this site is: callers, accounts, policy, anchors, break-glass, self-test. */
export async function checkControls(patient: Patient): Promise<Check[]> {
  return [
    checkCallers(patient),
    checkAccounts(patient),
    checkRoot(patient),
    checkSelfTest(patient),
    ...(await checkPolicies(patient)),
  ];
}

/** Less than an appliance demands is told of, where somebody relies on the site. */
function short({ site: { config } }: Patient, id: string, found: string, fix: string): Check {
  if (config.profile === 'dev') return pass(id, `${found}; it is a dev site`);
  return (config.profile === 'appliance' ? fail : warn)(id, found, fix);
}

function checkCallers(patient: Patient): Check {
  const { peers } = patient.site.config;
  const id = 'control.callers';
  if (peers.tls && peers.require_identity)
    return pass(id, 'the sockets speak TLS, and nobody is heard without a certificate that policy knows');
  const found = peers.require_identity
    ? 'callers are known by local user; the sockets do not speak TLS'
    : 'whoever may open a socket may speak for every principal without an identity of its own';
  const fix = 'Set /peers/tls and /peers/require_identity in holdfast.json (docs/operate/callers.md).';
  return short(patient, id, found, fix);
}

/** The daemon's and the gateway's files belong to different accounts: neither can take what the other holds. */
function checkAccounts(patient: Patient): Check {
  const { paths } = patient.site;
  const id = 'files.accounts';
  const owner = (path: string): number | undefined => lstatSync(path, { throwIfNoEntry: false })?.uid;
  const [daemon, gateway] = [owner(paths.state), owner(paths.gateway)];
  if (daemon === undefined || gateway === undefined)
    return unknown(id, 'the owners of state/ and gateway/ cannot be seen', 'Run doctor as root.');
  if (daemon !== gateway && daemon !== 0 && gateway !== 0)
    return pass(id, `state/ belongs to user ${daemon}, gateway/ to user ${gateway}`);
  const found =
    daemon === gateway
      ? `state/ and gateway/ belong to the same user ${daemon}`
      : `state/ belongs to user ${daemon}, gateway/ to user ${gateway}: one of them is root`;
  return short(
    patient,
    id,
    found,
    'Run daemon and gateway as users of their own, as the package sets them up.',
  );
}

function checkRoot({ site: { paths, config } }: Patient): Check {
  const id = 'control.policy_root';
  try {
    const bytes = readBounded(join(paths.trust, 'root.json'), ROOT_MAX_BYTES);
    const root = readRoot(bytes);
    const found = `policy is believed under root version ${root.version}, SHA-256 ${sha256Hex(bytes).slice(0, 16)}…, ${root.roles.root?.threshold ?? 0} of ${root.roles.root?.keyIDs.length ?? 0} keys`;
    if (profileOfRoot(root) === 'dev' && config.profile !== 'dev')
      return fail(id, 'the pinned policy root belongs to a dev publisher', 'Make the site anew.');
    return pass(id, found);
  } catch (error) {
    if (!(error instanceof BoundaryError)) throw error;
    return fail(id, error.message, 'Put trust/root.json back from a backup of this site.');
  }
}

function checkSelfTest(patient: Patient): Check {
  const { watch } = patient.site.config;
  const id = 'control.self_test';
  if (watch.canary !== null)
    return pass(id, `what must be denied is sent through the gateway by schedule (${watch.canary})`);
  return short(patient, id, 'the gateway is tested on demand only', 'Set /watch/canary in holdfast.json.');
}

/** What the policies in force say about anchors and emergencies. Environments under one bundle are said once. */
async function checkPolicies({ site, daemon, status }: Patient): Promise<Check[]> {
  const policy = status.daemon?.policy as
    | { environments?: { environment: string; digest: string }[] }
    | null
    | undefined;
  const all = policy?.environments ?? [];
  const first = all.filter(({ digest }, at) => all.findIndex((other) => other.digest === digest) === at);
  if (daemon === null || first.length === 0)
    return ['control.breakglass', 'control.anchoring'].map((id) =>
      unknown(
        id,
        'no policy in force can be looked at',
        'Start the daemon and import a policy, then repeat.',
      ),
    );
  const checks: Check[] = [];
  for (const { environment } of first) {
    try {
      const { compiled } = await loadBundle(`active:${environment}`, { dir: site.paths.root });
      checks.push(breakglassOf(environment, compiled.bundle), anchoringOf(environment, compiled.bundle));
    } catch (error) {
      if (!(error instanceof BoundaryError || error instanceof ApiProblem)) throw error;
      checks.push(unknown('control.breakglass', error.message, 'Import the policy again from its medium.'));
    }
  }
  return checks;
}

function breakglassOf(environment: string, { breakglass }: Bundle): Check {
  const id = 'control.breakglass';
  if (breakglass === undefined) return pass(id, `${environment}: the policy lets nobody break the glass`);
  const { roles, max_ttl, review } = breakglass;
  return pass(
    id,
    `${environment}: by signature of ${roles.join(', ')}, for ${max_ttl} at the most, reviewed within ${review.within} by ${review.roles.join(', ')}; every step is on record`,
  );
}

function anchoringOf(environment: string, { anchoring }: Bundle): Check {
  const id = 'control.anchoring';
  if (anchoring === undefined)
    return warn(
      id,
      `${environment}: the policy does not demand that anchors leave the site`,
      'Have headquarters add the section "anchoring" (docs/operate/anchors.md).',
    );
  return pass(
    id,
    `${environment}: without a new anchor, warned after ${anchoring.warn_after}, denied after ${anchoring.deny_after}`,
  );
}
