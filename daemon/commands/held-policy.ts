import type { ApiClient } from '../api/client.ts';
import { parseBundle } from '../core/bundle.ts';
import { siteTargetDigest } from '../core/hold.ts';
import type { HeldSummary } from '../engine/methods/hold.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import { describeChanges } from '../policy/diff.ts';
import { storedBundle } from './bundle-reference.ts';
import type { PolicyEnvironment } from './principals.ts';

/** An update that waits, with what it would change. */
export interface ShownHeld {
  held: HeldSummary;
  changes: EnvironmentChange[];
}

/** What becomes of one environment. */
export interface EnvironmentChange {
  environment: string;
  /** `name@version`; null where there is none. */
  from: string | null;
  to: string | null;
  /** In sentences; empty where the rules stay the same. */
  changes: string[];
}

/** The update that waits, or null. What it is called and what would be signed about it are checked against each other. */
export async function readHeld(client: ApiClient): Promise<HeldSummary | null> {
  const { held } = (await client.heldPolicy()) as unknown as { held: HeldSummary | null };
  if (held === null) return null;
  const pinned = Object.entries(held.site_target.environments);
  const agrees =
    siteTargetDigest(held.site_target) === held.site_target_digest &&
    pinned.length === Object.keys(held.environments).length &&
    pinned.every(([name, { digest }]) => held.environments[name]?.digest === digest);
  if (agrees) return held;
  throw new BoundaryError(
    'sign.not_as_shown',
    'What is shown of the update does not match its digest. Nothing was signed; find out who made it up.',
  );
}

/**
 * What it would change, environment by environment, in terms of behaviour. Every bundle is checked against the digest that
 * is signed.
 */
export async function describeHeld(client: ApiClient, held: HeldSummary): Promise<ShownHeld> {
  const { environments } = (await client.policy()) as unknown as { environments: PolicyEnvironment[] };
  const current = new Map(environments.map((pinned) => [pinned.environment, pinned]));
  const names = [...new Set([...current.keys(), ...Object.keys(held.environments)])].sort();
  const changes: EnvironmentChange[] = [];
  for (const environment of names)
    changes.push(
      await changeOf(client, environment, current.get(environment), held.environments[environment]),
    );
  return { held, changes };
}

type Pinned = { name: string; version: number; digest: string };

async function changeOf(
  client: ApiClient,
  environment: string,
  before: Pinned | undefined,
  after: Pinned | undefined,
): Promise<EnvironmentChange> {
  const title = (pinned: Pinned | undefined) =>
    pinned === undefined ? null : `${pinned.name}@${pinned.version}`;
  const named = { environment, from: title(before), to: title(after) };
  if (after === undefined)
    return { ...named, changes: ['It gets no policy any more: every request for it is denied.'] };
  if (before?.digest === after.digest) return { ...named, changes: [] };
  const bundle = async ({ digest }: Pinned) =>
    parseBundle(await storedBundle(client, { digest, environment })).bundle;
  const was = before === undefined ? null : await bundle(before);
  return { ...named, changes: describeChanges(was, await bundle(after)) };
}
