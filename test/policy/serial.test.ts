import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { BoundaryError } from '../../daemon/formats/boundary-error.ts';
import { canonicalBytes } from '../../daemon/formats/canonical-json.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { SERIAL_MAX, SERIAL_STEP_MAX } from '../../daemon/formats/site-target.ts';
import { testBundle } from '../engine/bundle.ts';
import { EngineFixture } from '../engine/fixture.ts';
import { CeremonyWorld } from '../sync/ceremony-world.ts';
import { addTarget, forge, newest } from './forge.ts';
import { SITE } from './publisher-world.ts';

/* A region's signer goes rogue: the serial that only grows must not be driven where nothing can follow. */

/** The region of SITE signs its file with another serial. */
function withSerial(serial: number): CeremonyWorld {
  const world = new CeremonyWorld();
  world.delegate('north', [SITE], ['nora']);
  world.propose(1);
  world.ceremony(['alice', 'bob', 'nora']);
  forge(world, newest(world, 'north'), ['nora'], (signed) => {
    const targets = signed.targets as Record<string, JsonObject & { hashes: { sha256: string } }>;
    const name = `sites/${SITE}.json`;
    const digest = targets[name]?.hashes.sha256 ?? '';
    const file = join(world.repository, 'targets/sites', `${digest}.${SITE}.json`);
    const value = JSON.parse(readFileSync(file, 'utf8')) as JsonObject;
    targets[name] = addTarget(world, name, canonicalBytes({ ...value, serial })) as never;
  });
  return world;
}

const codeOf = (verification: Promise<unknown>): Promise<string> =>
  verification.then(
    () => 'accepted',
    (error: unknown) => (error instanceof BoundaryError ? error.code : Promise.reject(error)),
  );

describe('a serial', () => {
  it.each([
    [2, 'accepted'],
    [SERIAL_MAX, 'accepted'],
    [SERIAL_MAX + 1, 'update.serial_too_high'],
    [Number.MAX_SAFE_INTEGER, 'update.serial_too_high'],
    [2 ** 53, 'update.site_target'],
    [-1, 'update.site_target'],
  ])('of %d that a region signed', async (serial, expected) => {
    expect(await codeOf(withSerial(serial).verify())).toBe(expected);
  });

  it('grows by steps that leave room for all that come after', () => {
    const fixture = new EngineFixture(testBundle());
    onTestFinished(() => fixture.close());
    const apply = (version: number, serial: number) => {
      const bundle = testBundle();
      return fixture.apply({ ...bundle, metadata: { ...bundle.metadata, version } }, serial);
    };
    const limit = 1 + SERIAL_STEP_MAX;
    for (const serial of [limit + 1, SERIAL_MAX, Number.MAX_SAFE_INTEGER])
      expect(apply(2, serial)).toMatchObject({ status: 422, body: { code: 'policy.serial_too_high' } });
    expect(apply(3, limit)).toMatchObject({ status: 200 });
    expect(apply(4, 2 * SERIAL_STEP_MAX + 2)).toMatchObject({ body: { code: 'policy.serial_too_high' } });
    expect(apply(5, limit + 1)).toMatchObject({ status: 200 });
  });

  it('that no site accepts is not counted on by the publisher', () => {
    const world = withSerial(SERIAL_MAX);
    expect(() => world.propose(2)).toThrow(expect.objectContaining({ code: 'publish.serial_too_high' }));
  });
});
