import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import type { Bundle } from '../../daemon/core/bundle.ts';
import { compileBundle, openCheckedBundle } from '../../daemon/core/compile.ts';
import { canonicalBytes } from '../../daemon/formats/canonical-json.ts';
import { sha256, sha256Hex } from '../../daemon/formats/digest.ts';
import { publicKeyOf } from '../../daemon/formats/ed25519.ts';
import type { Json, JsonObject } from '../../daemon/formats/json.ts';
import { ed25519Blob } from '../../daemon/formats/ssh-public-key.ts';
import { FACTS, sampleBundle, sampleRequest } from '../core/sample.ts';
import { ask, testBundle } from './bundle.ts';
import { EngineFixture, SITE, START } from './fixture.ts';

const open: EngineFixture[] = [];

function site(): EngineFixture {
  const fixture = new EngineFixture(testBundle());
  open.push(fixture);
  return fixture;
}

afterEach(() => {
  for (const fixture of open.splice(0)) fixture.close();
});

/** Puts the bundle's file into the store, as an import does before it tells the engine. */
function stored(fixture: EngineFixture, bundle: Bundle): string {
  const bytes = canonicalBytes(bundle as unknown as Json);
  const digest = sha256Hex(bytes);
  writeFileSync(join(fixture.paths.policy, 'bundles', `${digest}.json`), bytes);
  return digest;
}

const prepare = (fixture: EngineFixture, digest: string) =>
  fixture.call('policy.prepare', { args: { digest } });
function steps(fixture: EngineFixture, digest: string): number {
  for (let step = 1; step < 1_000; step++) {
    const { status, body } = prepare(fixture, digest);
    expect(status).toBe(200);
    if (body.readiness === 'ready') return step;
  }
  throw new Error('it is never ready');
}

const digestInForce = (fixture: EngineFixture): unknown =>
  (fixture.call('policy.get').body.environments as JsonObject[])[0]?.digest;
const create = (fixture: EngineFixture) =>
  fixture.call('decisions.create', { json: ask('read_telemetry', 'sensor:t-1') }).body;

function next(changes: Partial<Bundle> = {}, version = 2): Bundle {
  const { metadata, ...rest } = testBundle(changes);
  return { metadata: { ...metadata, version }, ...rest };
}
/** It has the shape of a bundle, and a condition that nobody can read. */
const defective = (): Bundle =>
  next({ gates: [{ id: 'g', condition: 'actor.id ==', otherwise: 'fail', reason: 'Half.' }] });

/** More people than one step of preparation indexes. */
function crowded(): Bundle {
  const { principals } = testBundle();
  const crew = Array.from({ length: 400 }, (_, n) => {
    const key = Buffer.from(ed25519Blob(publicKeyOf(sha256(`crew ${n}`)))).toString('base64');
    const person = { ...principals.alice, keys: [{ public_key: `ssh-ed25519 ${key}` }] };
    return [`crew-${n}`, { ...person, uid: undefined, spiffe_id: undefined }] as const;
  });
  const plain = JSON.parse(JSON.stringify(Object.fromEntries(crew)));
  return next({ principals: { ...principals, ...plain } });
}

describe('preparing a bundle', () => {
  test('takes many small steps, puts nothing in force, and decisions go on between them', () => {
    const fixture = site();
    const before = digestInForce(fixture);
    const digest = stored(fixture, next());
    expect(prepare(fixture, digest).body).toEqual({ readiness: 'read' });
    expect(create(fixture)).toMatchObject({ status: 'authorized', policy_version: 'engine-test@1' });
    expect(steps(fixture, digest)).toBeGreaterThan(2);
    expect(digestInForce(fixture)).toBe(before);
    expect(fixture.apply(next(), 2)).toMatchObject({ status: 200 });
    expect(create(fixture)).toMatchObject({ status: 'authorized', policy_version: 'engine-test@2' });
    expect(steps(fixture, digest)).toBeGreaterThan(0);
  });

  test('far enough to put it in force has the rules for all classes, and those of no class yet', () => {
    const fixture = site();
    const gates = testBundle().gates;
    const general = Array.from({ length: 30 }, (_, n) => ({
      id: `general-${n}`,
      condition: `payload.none != ${n}`,
      otherwise: 'fail' as const,
      reason: 'For all.',
    }));
    const bundle = next({ gates: [...gates, ...general] });
    const digest = stored(fixture, bundle);
    let [taken, { body }] = [1, prepare(fixture, digest)];
    for (; body.readiness === 'read'; taken++) ({ body } = prepare(fixture, digest));
    expect(body).toEqual({ readiness: 'open' });
    expect(taken).toBeGreaterThan(10);
    expect(fixture.apply(bundle, 2, undefined, true)).toMatchObject({ status: 200 });
    expect(steps(fixture, digest)).toBeGreaterThan(0);
    expect(create(fixture)).toMatchObject({ policy_version: 'engine-test@2' });
    expect(fixture.apply(next({}, 3), 3)).toMatchObject({ status: 200 });
    expect(create(fixture)).toMatchObject({ status: 'authorized', policy_version: 'engine-test@3' });
  });

  test('of an update that waits goes on although its roster was read already', () => {
    const fixture = site();
    const bundle = next();
    const digest = stored(fixture, bundle);
    const { name, version, issued_at } = bundle.metadata;
    const production = { name, version, digest, path: `bundles/${name}/${version}.json` };
    const effective_at = `${new Date(START + 60_000).toISOString().slice(0, 19)}Z`;
    const reply = fixture.call('policy.apply', {
      json: {
        update_id: digest,
        source: 'test',
        who: 'test',
        repository: { root: 1, timestamp: 2, snapshot: 2, targets: 2 },
        checked: true,
        site_target: { site: SITE, serial: 2, issued_at, effective_at, environments: { production } },
      },
    });
    expect(reply.body).toMatchObject({ held: true });
    expect(prepare(fixture, digest).body).toEqual({ readiness: 'open' });
    expect(steps(fixture, digest)).toBeGreaterThan(1);
  });

  test.each([
    [1, true],
    [2, true],
    [3, true],
    [3, false],
  ])('is put in force after %i steps as well, checked elsewhere: %s', (taken, checked) => {
    const fixture = site();
    const digest = stored(fixture, crowded());
    for (let n = 0; n < taken; n++) expect(prepare(fixture, digest).body).toEqual({ readiness: 'read' });
    expect(fixture.apply(crowded(), 2, undefined, checked)).toMatchObject({ status: 200 });
    expect(create(fixture)).toMatchObject({ status: 'authorized', policy_version: 'engine-test@2' });
    expect(steps(fixture, digest)).toBeGreaterThan(0);
  });

  test('that is missing or was changed is refused by name', () => {
    const fixture = site();
    expect(prepare(fixture, '0'.repeat(64)).status).toBe(422);
    const digest = stored(fixture, next());
    writeFileSync(join(fixture.paths.policy, 'bundles', `${digest}.json`), '{}');
    expect(prepare(fixture, digest)).toMatchObject({ status: 422, body: { code: 'policy.defective' } });
  });

  test('that is defective puts nothing in force, prepared or not', () => {
    const fixture = site();
    const before = digestInForce(fixture);
    const digest = stored(fixture, defective());
    let reply = prepare(fixture, digest);
    while (reply.status === 200 && reply.body.readiness !== 'ready') reply = prepare(fixture, digest);
    expect(reply).toMatchObject({ status: 422, body: { code: 'policy.defective' } });
    expect(fixture.apply(defective(), 2)).toMatchObject({ status: 422, body: { code: 'policy.defective' } });
    expect(digestInForce(fixture)).toBe(before);
    expect(create(fixture).status).toBe('authorized');
  });

  test('and not applying it leaves no trace', () => {
    const fixture = site();
    const digest = stored(fixture, next());
    steps(fixture, digest);
    rmSync(join(fixture.paths.policy, 'bundles', `${digest}.json`));
    fixture.reopen();
    expect(prepare(fixture, digest).status).toBe(422);
    expect(create(fixture)).toMatchObject({ policy_version: 'engine-test@1' });
  });
});

test('bundles that nobody runs any more are read again when a decision is pinned to them', () => {
  const fixture = site();
  const first = create(fixture);
  for (let version = 2; version < 12; version++)
    expect(fixture.apply(next({}, version), version).status).toBe(200);
  const replay = fixture.call('decisions.replay', { args: { id: String(first.decision_id) } });
  expect(replay).toMatchObject({ status: 200, body: { policy_version: 'engine-test@1', differences: [] } });
});

test('a bundle that is opened rule by rule judges as one that was compiled at once', () => {
  const bundle = sampleBundle();
  const whole = compileBundle(bundle, 'a'.repeat(64));
  const payload = fc.record(
    {
      grace_seconds: fc.integer({ min: -5, max: 700 }),
      load: fc.double({ min: 0, max: 1, noNaN: true }),
      force: fc.boolean(),
    },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(payload, fc.constantFrom('production', 'staging', 'moon'), (fields, environment) => {
      const request = sampleRequest({ payload: fields as JsonObject }, { environment });
      const opened = openCheckedBundle(bundle, 'a'.repeat(64));
      const half = openCheckedBundle(bundle, 'a'.repeat(64));
      const pieces = half.prepare();
      for (let n = 0; n < 5; n++) pieces.next();
      const expected = whole.evaluate(request, FACTS);
      expect(opened.evaluate(request, FACTS)).toEqual(expected);
      expect(half.evaluate(request, FACTS)).toEqual(expected);
    }),
    { numRuns: 60 },
  );
});
