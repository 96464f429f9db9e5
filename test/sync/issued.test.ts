import { describe, expect, it } from 'vitest';
import { canonicalBytes } from '../../daemon/formats/canonical-json.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { assertStagedIssued } from '../../sync/repository/issued.ts';
import { proposePublication } from '../../sync/repository/propose.ts';
import { readStaging, stagedFiles } from '../../sync/repository/staging.ts';
import { describeStaged } from '../../sync/repository/words.ts';
import { codeOf, codeOfLater } from '../codes.ts';
import { bundleBytes, DAY, NOW, SITE } from '../policy/publisher-world.ts';
import { CeremonyWorld } from './ceremony-world.ts';

/** A bundle that says it was issued so many days after `NOW`. */
function issued(days: number): Uint8Array {
  const bundle = JSON.parse(Buffer.from(bundleBytes(1)).toString('utf8')) as { metadata: JsonObject };
  bundle.metadata.issued_at = `${new Date(NOW + days * DAY).toISOString().slice(0, 19)}Z`;
  return canonicalBytes(bundle as unknown as JsonObject);
}

function staged(bytes: Uint8Array, now = NOW): CeremonyWorld {
  const world = new CeremonyWorld();
  const bundle = { name: 'base', version: 1, bytes };
  proposePublication(world.dir, { bundle, site: SITE, environments: ['production', 'staging'], now });
  return world;
}

function judged(world: CeremonyWorld, now: number): string {
  const staging = readStaging(world.staging);
  return codeOf(() => {
    for (const file of stagedFiles(staging)) assertStagedIssued(staging, file, now);
  });
}

describe('a date that has not come yet', () => {
  it('is not signed by whoever has the right time: of the bundle, or of the site’s file', () => {
    expect(judged(staged(issued(400)), NOW)).toBe('sign.issued_in_future');
    // The clock of the machine that made it is a year ahead.
    expect(judged(staged(issued(0), NOW + 365 * DAY), NOW)).toBe('sign.issued_in_future');
  });

  it('is signed when it has come, or is as far off as two clocks may be', () => {
    expect(judged(staged(issued(0.9)), NOW)).toBe('accepted');
    const minutes = DAY / 24 / 60;
    expect(judged(staged(issued(0), NOW + 20 * minutes), NOW)).toBe('accepted');
    // The machine that made the site's file takes local time for UTC.
    expect(judged(staged(issued(0), NOW + 60 * minutes), NOW)).toBe('sign.issued_in_future');
  });

  it('is refused by every site, whoever signed it, so that no site believes it', async () => {
    const world = staged(issued(400));
    world.ceremony(['alice', 'bob']);
    expect(await codeOfLater(world.verify())).toBe('update.bundle_issued');
  });
});

describe('the words before a signature', () => {
  it('say when a bundle was issued, and a change of several environments once', () => {
    const world = staged(issued(0));
    const staging = readStaging(world.staging);
    const words = stagedFiles(staging).flatMap((file) => describeStaged(staging, file, () => ['CHANGE']));
    expect(words).toContain(`    for ${SITE}, issued ${new Date(NOW).toISOString().slice(0, 19)}Z`);
    expect(words.filter((line) => line === '      CHANGE')).toHaveLength(1);
    expect(words).toContain('      The same change as in production.');
  });
});
