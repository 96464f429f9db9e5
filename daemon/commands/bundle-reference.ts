import { lstatSync } from 'node:fs';
import { BUNDLE_MAX_BYTES, parseBundle } from '../core/bundle.ts';
import { type CompiledBundle, compileBundle } from '../core/compile.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import { readBounded } from '../host/durable-file.ts';
import { readPolicyDirectory } from '../policy/source.ts';
import { connect, openSite, type Site, type SiteOptions } from './access.ts';
import type { PolicyEnvironment } from './principals.ts';

/** How people name a bundle on the command line. */
export const REFERENCE_HELP =
  'a bundle file, a policy directory, "active" or "active:ENVIRONMENT" (what this site runs)';

/** A bundle that somebody named, and what to call it in sentences. */
export interface NamedBundle {
  label: string;
  compiled: CompiledBundle;
}

/**
 * The bundle that a reference names (`REFERENCE_HELP`), checked in every respect. Throws `BundleDefects`, `BoundaryError`
 * `policy.not_found`, `policy.ambiguous`, `environment.unknown`, or what the site's daemon answers.
 */
export async function loadBundle(reference: string, options: SiteOptions): Promise<NamedBundle> {
  const active = /^active(?::([a-z][a-z0-9_-]{0,31}))?$/.exec(reference);
  if (active !== null) return loadActive(active[1] ?? null, openSite(options));
  const kind = lstatSync(reference, { throwIfNoEntry: false });
  if (kind === undefined) {
    throw new BoundaryError('policy.not_found', `There is no ${reference}; name ${REFERENCE_HELP}.`);
  }
  if (kind.isDirectory()) {
    const { compiled } = readPolicyDirectory(reference);
    return { label: `${reference} (${compiled.version})`, compiled };
  }
  const compiled = compileBytes(readBounded(reference, BUNDLE_MAX_BYTES));
  return { label: `${reference} (${compiled.version})`, compiled };
}

async function loadActive(environment: string | null, site: Site): Promise<NamedBundle> {
  const client = connect(site, 'operator');
  try {
    const { environments } = (await client.policy()) as unknown as { environments: PolicyEnvironment[] };
    const pinned = chosen(environments, environment);
    const bytes = await storedBundle(client, pinned);
    return {
      label: `${environment ?? 'active'} (${pinned.name}@${pinned.version})`,
      compiled: compileBytes(bytes),
    };
  } finally {
    client.close();
  }
}

/** The one that is meant: of the named environment, or of all when they run the same. */
function chosen(environments: readonly PolicyEnvironment[], environment: string | null): PolicyEnvironment {
  const known = environments.map((pinned) => pinned.environment).join(', ');
  const meant = environments.filter((pinned) => environment === null || pinned.environment === environment);
  const [first] = meant;
  if (first === undefined) {
    throw environment === null
      ? new BoundaryError('policy.none', 'No policy is in force here, so there is nothing to compare with.')
      : new BoundaryError(
          'environment.unknown',
          `The policy in force has no environment ${environment}; it has ${known}.`,
        );
  }
  if (new Set(meant.map(({ digest }) => digest)).size > 1) {
    throw new BoundaryError(
      'policy.ambiguous',
      `The environments run different bundles; write active:ENVIRONMENT with one of ${known}.`,
    );
  }
  return first;
}

/** The bundle's bytes out of the update that brought it. Its digest is in the file's name and is checked by the caller. */
export async function storedBundle(
  client: ReturnType<typeof connect>,
  { digest, environment }: Pick<PolicyEnvironment, 'digest' | 'environment'>,
): Promise<Uint8Array> {
  const { files } = await client.policyUpdate(digest, { environment });
  const name = Object.keys(files).find((path) => path.startsWith('targets/') && path.includes(`${digest}.`));
  const bytes = Buffer.from(files[name ?? ''] ?? '', 'base64');
  const { digest: found } = parseBundle(bytes);
  if (found !== digest) throw new Error(`policy: the daemon sent another bundle than ${digest}`);
  return bytes;
}

function compileBytes(bytes: Uint8Array): CompiledBundle {
  const { bundle, digest } = parseBundle(bytes);
  return compileBundle(bundle, digest);
}
