import { parseBundle } from '../core/bundle.ts';
import { BundleDefects } from '../core/bundle-defects.ts';
import type { FirstData } from '../core/create.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import { sha256Hex } from '../formats/digest.ts';
import { entryMember, MEMBER, policyMember } from '../formats/evidence.ts';
import type { JsonObject } from '../formats/json.ts';
import { type VerifiedUpdate, verifyUpdate } from '../policy/verify-update.ts';
import type { Examination, Outcome } from './examination.ts';
import type { OpenedEntry, OpenedEvidence } from './opened.ts';

const PREFIX = policyMember('');

/** The bundle in the evidence is the one that the decision is pinned to. Fills in `opened.bundle`. */
export function checkBundle(ex: Examination, opened: OpenedEvidence): Outcome {
  const { index, own } = opened;
  const { policy } = (own[0]?.entry.data ?? { policy: null }) as unknown as FirstData;
  if (policy === null || index.policy === null) {
    if (policy === index.policy) return 'no policy was in force, and the decision says so';
    ex.fail(MEMBER.index, 'It does not name the policy that the decision is pinned to.', {
      field: '/policy',
    });
    return { not_checked: '' };
  }
  const { file, digest } = index.policy;
  const bytes = ex.need(file);
  if (bytes === null) return { not_checked: '' };
  if (digest !== policy.digest)
    ex.fail(MEMBER.index, 'It names another policy than the decision is pinned to.', {
      field: '/policy/digest',
    });
  if (sha256Hex(bytes) !== policy.digest) {
    ex.fail(file, `It is not the policy that the decision is pinned to (${policy.digest}).`);
    return { not_checked: '' };
  }
  try {
    opened.bundle = parseBundle(bytes);
  } catch (error) {
    if (!(error instanceof BundleDefects)) throw error;
    ex.fail(file, `It is no policy: ${error.message.slice(0, 300)}`);
    return { not_checked: '' };
  }
  const { name, version } = opened.bundle.bundle.metadata;
  return `${name}@${version}, digest ${policy.digest}, is the one that the decision is pinned to`;
}

/**
 * The signed repository, from the pinned root down to this site and bundle, as of when it was put in force: whether its
 * metadata has expired since does not matter, whether it had expired then does.
 */
export async function checkAuthorization(
  ex: Examination,
  opened: OpenedEvidence,
  root: Uint8Array,
): Promise<Outcome> {
  const { index, own } = opened;
  if (opened.bundle === null || index.policy === null)
    return own[0]?.entry.data.policy === null
      ? 'no policy was in force, so none was to be authorized'
      : { not_checked: 'the policy itself does not hold' };
  const { digest } = opened.bundle;
  const environment = (own[0]?.entry.data.context as JsonObject | undefined)?.environment;
  const applied = findApplied(opened, String(environment), digest);
  const files = new Map(
    [...ex.members].flatMap(([name, bytes]) =>
      name.startsWith(PREFIX) ? [[name.slice(PREFIX.length), bytes] as const] : [],
    ),
  );
  const update = await verified(ex, files, { root, site: index.site, applied });
  if (update === null) return { not_checked: '' };
  if (update.profile === 'dev')
    ex.unproved.push(
      'That anybody but the site’s own operators stands behind the policy: it is of the dev profile, whose publisher’s keys lie beside the site. Such evidence is for development, and worth nothing elsewhere.',
    );
  for (const name of files.keys())
    if (!update.files.has(name) && !/^metadata\/[1-9]\d*\.root\.json$/.test(name))
      ex.fail(policyMember(name), 'The signed repository does not name it.');
  const pinned = update.siteTarget.environments[String(environment)];
  if (pinned?.digest !== digest)
    ex.fail(
      MEMBER.index,
      `The signed policy does not give ${String(environment)} of ${index.site} this bundle.`,
      { field: '/policy' },
    );
  if (update.updateId !== index.policy.update_id)
    ex.fail(MEMBER.index, 'It names another update than the signed files are of.', {
      field: '/policy/update_id',
    });
  if (applied === null) return unrecorded(ex);
  if (applied.entry.data.update_id !== update.updateId) return republished(ex, applied);
  const serial = update.siteTarget.serial;
  return `headquarters signed it for ${index.site} (serial ${serial}, root version ${update.versions.root}); in force from ${applied.entry.at} on, entry ${applied.index}`;
}

/** The entry that put the bundle in force for the environment; it came before the decision. */
function findApplied(
  { entries, own }: OpenedEvidence,
  environment: string,
  digest: string,
): OpenedEntry | null {
  const found = entries.findLast(({ index, entry: { type, data } }) => {
    if (type !== 'policy.applied' || index > (own[0]?.index ?? 0)) return false;
    const pinned = (data.environments as Record<string, JsonObject> | undefined)?.[environment];
    return pinned?.digest === digest;
  });
  return found ?? null;
}

async function verified(
  ex: Examination,
  files: ReadonlyMap<string, Uint8Array>,
  { root, site, applied }: { root: Uint8Array; site: string; applied: OpenedEntry | null },
): Promise<VerifiedUpdate | null> {
  const now = applied === null ? 0 : Date.parse(applied.entry.at);
  const judge = (expiry: 'enforce' | 'ignore') =>
    verifyUpdate({ files, trustedRoot: root, site, now, expiry });
  try {
    return await judge(applied === null ? 'ignore' : 'enforce');
  } catch (error) {
    if (!(error instanceof BoundaryError)) throw error;
    const wrongRoot = error.code === 'update.root_not_authorized' || error.code === 'update.bad_signature';
    const file =
      error.at === undefined || !files.has(error.at)
        ? policyMember('metadata/timestamp.json')
        : policyMember(error.at);
    ex.fail(file, `The policy is not authorized by the root that is believed here: ${reasonOf(error)}`, {
      code: wrongRoot ? 13 : 10,
    });
    return null;
  }
}

/** The verifier speaks of an import; here nothing is imported. */
function reasonOf({ message }: BoundaryError): string {
  return message
    .replace('The update was not accepted: ', '')
    .replace(' The policy in force stays as it was.', '');
}

function unrecorded(ex: Examination): Outcome {
  ex.unproved.push('When this policy was put in force: the entry that did it is not among the evidence.');
  return { not_checked: 'headquarters signed it; when it was put in force is not among the evidence' };
}

function republished(ex: Examination, { index }: OpenedEntry): Outcome {
  ex.unproved.push(
    `Which publication put this policy in force: ${entryMember(index)} names another one than the signed files here, which authorize the same policy.`,
  );
  return { not_checked: 'headquarters signed it, in another publication than the one that put it in force' };
}
