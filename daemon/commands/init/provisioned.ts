import { mkdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { openInlineEngine } from '../../engine/inline.ts';
import { BoundaryError } from '../../formats/boundary-error.ts';
import type { Clock } from '../../host/clock.ts';
import { loadConfig } from '../../host/config.ts';
import { makeDir, writeDurable } from '../../host/durable-file.ts';
import type { SitePaths } from '../../host/site.ts';
import { type ImportResult, importUpdate } from '../../policy/import.ts';
import { PolicyStore } from '../../policy/store.ts';
import { enrolmentOf, enrolmentPath } from '../enrolment.ts';
import type { OpenedProvisioning } from '../provision/read.ts';

/** Where the folder's repository lies while it is imported, under `state`. */
const REPOSITORY = 'provisioning';

/** What headquarters is told about the new site. */
export interface SiteEnrolment {
  /** Its text, as it lies in outbox. */
  text: string;
  /** Of the trust file that headquarters will make of it; to be read to them. */
  fingerprint: string;
}

/**
 * The first policy of a site that is being made, by the way of every later one, and its enrolment in outbox. Throws
 * BoundaryError with the reason when the policy is refused: a site that cannot begin as it was provisioned is not made.
 */
export async function beginAsProvisioned(
  paths: SitePaths,
  provisioned: OpenedProvisioning,
  clock: Clock,
): Promise<{ digest: string; policy: ImportResult; enrolment: SiteEnrolment }> {
  const policy = await importFirst(paths, provisioned, clock);
  const { text, fingerprint } = await enrolmentOf({ paths, config: loadConfig(paths.root) });
  writeDurable(enrolmentPath(paths.outbox), Buffer.from(text, 'utf8'), 0o644);
  return { digest: provisioned.digest, policy, enrolment: { text, fingerprint } };
}

/** From a copy of the bytes whose digests were checked: the medium may change at any moment. */
async function importFirst(
  paths: SitePaths,
  { repository, list }: OpenedProvisioning,
  clock: Clock,
): Promise<ImportResult> {
  const path = join(paths.state, REPOSITORY);
  makeDir(path, 0o700);
  for (const [name, bytes] of repository) {
    mkdirSync(dirname(join(path, name)), { recursive: true, mode: 0o700 });
    writeDurable(join(path, name), bytes, 0o600);
  }
  const engine = await openInlineEngine(paths.root);
  try {
    const store = new PolicyStore(paths.policy);
    const request = { path, source: 'provisioning', paths, site: list.site, engine, store, clock, who: null };
    const policy = await importUpdate(request);
    if (policy.applied) return policy;
    throw new BoundaryError(policy.code, `${policy.reason} No site was made.`);
  } finally {
    await engine.stop('site created');
    rmSync(path, { recursive: true, force: true });
  }
}
