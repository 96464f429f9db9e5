import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import type { Bundle } from '../../daemon/core/bundle.ts';
import { compileBundle } from '../../daemon/core/compile.ts';
import type { DecisionEntry } from '../../daemon/core/replay.ts';
import type { CandidateRuling, RecordedShadow } from '../../daemon/core/shadow.ts';
import { candidateDifferences } from '../../daemon/core/shadow-candidate.ts';
import { canonicalBytes } from '../../daemon/formats/canonical-json.ts';
import { sha256Hex } from '../../daemon/formats/digest.ts';
import type { Json, JsonObject } from '../../daemon/formats/json.ts';
import { ask, testBundle } from './bundle.ts';
import { EngineFixture, SITE } from './fixture.ts';

const open: EngineFixture[] = [];
afterEach(() => {
  for (const fixture of open.splice(0)) fixture.close();
});

function site(bundle = testBundle()): EngineFixture {
  const fixture = new EngineFixture(bundle);
  open.push(fixture);
  return fixture;
}

/** The policy of the engine tests with stricter rules: telemetry is a risk, and service restarts are forbidden. */
function stricter(changes: Partial<Bundle> = {}): Bundle {
  const base = testBundle();
  const { read_telemetry } = base.actions;
  if (read_telemetry === undefined) throw new Error('no such class');
  return testBundle({
    metadata: { ...base.metadata, name: 'candidate', version: 7 },
    actions: { ...base.actions, read_telemetry: { ...read_telemetry, base_risk: 0.5 } },
    gates: [
      ...base.gates,
      {
        id: 'no-restarts',
        classes: ['restart_service'],
        condition: 'false',
        otherwise: 'fail',
        reason: 'Services are not restarted.',
      },
    ],
    ...changes,
  });
}

function store(fixture: EngineFixture, bundle: Bundle) {
  const bytes = canonicalBytes(bundle as unknown as Json);
  const digest = sha256Hex(bytes);
  const file = join(fixture.paths.policy, 'bundles', `${digest}.json`);
  writeFileSync(file, bytes);
  const { name, version } = bundle.metadata;
  return { file, pin: { name, version, digest, path: `bundles/${name}/${version}.json` } };
}

/** Puts a candidate beside the policy that is in force in production. */
function shade(fixture: EngineFixture, candidate: Bundle, classes?: string[]) {
  const inForce = store(fixture, testBundle()).pin;
  const { file, pin } = store(fixture, candidate);
  const shadow = { ...pin, ...(classes === undefined ? {} : { classes }) };
  const { status } = fixture.call('policy.apply', {
    json: {
      update_id: 'f'.repeat(64),
      source: 'test',
      who: 'test',
      repository: { root: 1, timestamp: 9, snapshot: 9, targets: 9 },
      site_target: {
        site: SITE,
        serial: 9,
        issued_at: '2031-01-01T00:00:00Z',
        environments: { production: { ...inForce, shadow }, staging: inForce },
      },
    },
  });
  expect(status).toBe(200);
  return { file, digest: pin.digest };
}

function decide(fixture: EngineFixture, request: unknown): JsonObject & { decision_id: string } {
  return fixture.call('decisions.create', { json: request as never }).body as never;
}

function shadowIn(fixture: EngineFixture, request: unknown): RecordedShadow {
  return decide(fixture, request).shadow as unknown as RecordedShadow;
}

const requests: [string, unknown][] = [
  ['allowed', ask('read_telemetry', 'sensor:t-1')],
  ['waiting', ask('restart_service', 'service:relay', { payload: { grace_seconds: 5 } })],
  ['denied', ask('wipe_storage', 'disk:a')],
  ['with a sensitive value', ask('set_pin', 'door:d-1', { payload: { pin: '1234' } })],
  ['of no class', ask('launch_rocket', 'rocket:r', { payload: { code: '1' } })],
];

describe('a bundle in shadow', () => {
  test.each(requests)('changes nothing of a decision that is %s but its member `shadow`', (_, request) => {
    const [plain, shaded] = [site(), site()];
    shade(shaded, stricter());
    const [without, within] = [decide(plain, request), decide(shaded, request)];
    expect(within.shadow).toMatchObject({ candidate: { policy: { version: 'candidate@7' } } });
    expect(without).not.toHaveProperty('shadow');
    const bare = (body: JsonObject): string => {
      const { shadow: _shadow, ledger: _ledger, permit, ...rest } = body;
      const { proof: _proof, ...rights } = (permit ?? {}) as JsonObject;
      const salted = /"\$commitment":"[^"]*"/g;
      return JSON.stringify({ ...rest, rights })
        .replaceAll(String(body.decision_id).slice(4), 'ID')
        .replaceAll(String(body.action_digest), 'ACTION')
        .replaceAll(salted, 'SALTED')
        .replaceAll(/"(hmac|sha256|commitment|digest)":"[^"]*"/g, 'SALTED');
    };
    expect(bare(within)).toBe(bare(without));
    const read = shaded.call('decisions.get', { args: { id: within.decision_id } }).body;
    expect(read.shadow).toEqual(within.shadow);
    const replayed = shaded.call('decisions.replay', { args: { id: within.decision_id } }).body;
    expect(replayed.differences).toEqual([]);
  });

  test('tells result, band, gates and authority where they differ, and only there', () => {
    const fixture = site();
    shade(fixture, stricter());
    const flipped = shadowIn(fixture, ask('read_telemetry', 'sensor:t-1')).candidate as CandidateRuling;
    expect(flipped).toMatchObject({ result: 'escalate', band: 'medium', score: 0.5 });
    expect(flipped.authority?.required).toEqual([{ group: 'peer', roles: ['l3'], min_signatures: 1 }]);
    expect(flipped).not.toHaveProperty('gates');
    const denied = shadowIn(fixture, ask('restart_service', 'service:relay')).candidate as CandidateRuling;
    expect(denied.result).toBe('deny');
    expect(denied.gates).toEqual({ added: ['no-restarts'], gone: [] });
    const same = shadowIn(fixture, ask('wipe_storage', 'disk:a')).candidate as CandidateRuling;
    expect(Object.keys(same).sort()).toEqual(['band', 'policy', 'result', 'score']);
  });

  test('is asked about its classes and its environment alone', () => {
    const fixture = site();
    shade(fixture, stricter(), ['restart_service']);
    expect(shadowIn(fixture, ask('restart_service', 'service:relay'))).toBeDefined();
    expect(shadowIn(fixture, ask('read_telemetry', 'sensor:t-1'))).toBeUndefined();
    const staging = ask('restart_service', 'service:relay', { context: { environment: 'staging' } });
    expect(shadowIn(fixture, staging)).toBeUndefined();
  });

  test('stays in shadow after a restart, and ends with the next update that does not name it', () => {
    const fixture = site();
    shade(fixture, stricter());
    fixture.reopen();
    expect(shadowIn(fixture, ask('read_telemetry', 'sensor:t-1'))).toBeDefined();
    fixture.apply({ ...testBundle(), metadata: { ...testBundle().metadata, version: 2 } }, 10);
    expect(shadowIn(fixture, ask('read_telemetry', 'sensor:t-1'))).toBeUndefined();
  });

  test.each([
    ['is gone', (file: string) => rmSync(file)],
    ['was changed', (file: string) => writeFileSync(file, '{}')],
  ])('that %s on disk is told by each decision and disturbs none', (_, damage) => {
    const fixture = site();
    const { file } = shade(fixture, stricter());
    damage(file);
    fixture.reopen();
    const decision = decide(fixture, ask('read_telemetry', 'sensor:t-1'));
    expect(decision).toMatchObject({
      status: 'authorized',
      shadow: { candidate: { failed: expect.any(String) } },
    });
    const replayed = fixture.call('decisions.replay', { args: { id: decision.decision_id } });
    expect(replayed).toMatchObject({ status: 200, body: { differences: [] } });
    // The same update once more brings it back.
    shade(fixture, stricter());
    expect(shadowIn(fixture, ask('read_telemetry', 'sensor:t-1'))).toMatchObject({
      candidate: { result: 'escalate' },
    });
  });

  test('that says very much is recorded in numbers', () => {
    const many = Array.from({ length: 120 }, (_, index) => ({
      id: `a-gate-with-a-very-long-name-that-never-passes-${index}`,
      condition: 'false',
      otherwise: 'fail' as const,
      reason: 'No.',
    }));
    const fixture = site();
    shade(fixture, stricter({ gates: many }));
    const decision = decide(fixture, ask('restart_service', 'service:relay'));
    const { candidate } = decision.shadow as unknown as RecordedShadow;
    expect(candidate).toMatchObject({ result: 'deny', dropped: { gates: 120 } });
    expect(candidate).not.toHaveProperty('gates');
    const replayed = fixture.call('decisions.replay', { args: { id: decision.decision_id } }).body;
    expect(replayed.differences).toEqual([]);
  });

  test('is held to its record by a replay', () => {
    const fixture = site();
    shade(fixture, stricter());
    const { decision_id: id } = decide(fixture, ask('read_telemetry', 'sensor:t-1'));
    const { entries } = fixture.call('decisions.entries', { args: { id } }).body as unknown as {
      entries: { entry: DecisionEntry }[];
    };
    const entry = entries[0]?.entry;
    if (entry === undefined) throw new Error('no entry');
    const { shadow } = entry.data as unknown as { shadow: { candidate: JsonObject } };
    const compiled = compileBundle(stricter(), String((shadow.candidate.policy as JsonObject).digest));
    expect(candidateDifferences(entry, compiled)).toEqual([]);
    const forged = { ...entry.data, shadow: { candidate: { ...shadow.candidate, result: 'allow' } } };
    expect(candidateDifferences({ ...entry, data: forged }, compiled)).toEqual([
      expect.stringContaining('"result":"escalate"'),
    ]);
  });
});
