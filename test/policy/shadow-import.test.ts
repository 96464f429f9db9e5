import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { checkLedger } from '../oracle.ts';
import { ask, type Role, SITE, World } from '../world.ts';

/* Shadow from end to end: published by commands, imported by a daemon, told by decisions, counted by a command. */

let world: World;
let daemon: Role;
let candidate: string;

beforeAll(async () => {
  world = await World.make();
  candidate = join(world.root, 'candidate');
  const policy = join(world.paths.publisher, 'policy');
  cpSync(policy, candidate, { recursive: true });
  edit(candidate, 'metadata', /^version: \d+$/m, 'version: 100');
  const people = 'require:\n      - { group: operators, roles: [L2], min_signatures: 1 }';
  edit(candidate, 'authority', 'require: []', people);
  edit(policy, 'metadata', /^version: \d+$/m, 'version: 2');
  daemon = await world.daemon();
});
afterAll(() => world?.close());

function edit(dir: string, section: string, from: string | RegExp, to: string): void {
  const file = join(dir, `${section}.yaml`);
  const before = readFileSync(file, 'utf8');
  const after = before.replace(from, to);
  if (after === before) throw new Error(`${section}.yaml has no ${String(from)}`);
  writeFileSync(file, after);
}

/** Publishes version 2 of the policy, with more options, and imports what came of it. */
async function publish(name: string, ...options: string[]): Promise<JsonObject> {
  const { publisher } = world.paths;
  const args = ['repo', 'publish', publisher, join(publisher, 'policy'), '--site', SITE, ...options];
  const published = await world.json(...args);
  expect(published).toMatchObject({ code: 0 });
  const medium = join(world.root, name);
  cpSync(join(publisher, 'repository'), medium, { recursive: true });
  expect(await world.json('import', medium)).toMatchObject({ code: 0, applied: true });
  return published;
}

const decide = (actionClass: string, mark: string) =>
  world.client('request').createDecision(ask(actionClass, mark));

it('puts a bundle into shadow with an update, and enforces nothing of it', async () => {
  const before = await decide('mark', 'm-0');
  expect(before).not.toHaveProperty('shadow');
  await publish('with-shadow', '--shadow', candidate);
  const { stdout } = await world.holdfast('policy', 'status');
  expect(stdout).toMatch(/in shadow\s+\S+@100, not enforced/);
  const decision = await decide('mark', 'm-1');
  expect(decision).toMatchObject({
    status: 'authorized',
    shadow: { candidate: { result: 'escalate', policy: { version: expect.stringMatching(/@100$/) } } },
  });
  const shown = await world.holdfast('decision', 'show', decision.decision_id);
  expect(shown.stdout).toMatch(/in shadow\s+\S+@100: escalate, low 0\.1; needs 1 × L2 \(operators\)/);
  expect(await world.json('decision', 'replay', decision.decision_id)).toMatchObject({ code: 0 });
});

it('runs what was allowed beside a shadow: the gateway takes the update as it is', async () => {
  const gateway = await world.gateway();
  const context = ['--class', 'mark', '--target', 'mark:m-run', '--env', 'production', '--intent', 'try it'];
  const ran = await world.json('exec', ...context, '--actor', 'agent:ops-1', '--role', 'agent');
  expect(ran.code).toBe(0);
  expect(world.marks()).toContain('ran m-run');
  await gateway.kill('SIGTERM');
});

it('authorizes nothing: no update gives the bundle in shadow to anybody', async () => {
  const { decision_id, policy_digest, shadow } = await decide('mark', 'm-none');
  expect(decision_id).toMatch(/^dec_/);
  const client = world.client('redeem');
  const found = await client.policyUpdate(policy_digest ?? '');
  expect(found.files).toHaveProperty(['metadata/timestamp.json']);
  const { digest } = shadow?.candidate?.policy ?? { digest: '' };
  expect(digest).toMatch(/^[0-9a-f]{64}$/);
  await expect(client.policyUpdate(digest)).rejects.toMatchObject({ status: 404 });
});

it('counts from the ledger what would have been', async () => {
  await decide('forbidden_mark', 'm-2');
  const { shadows } = (await world.json('policy', 'shadow')) as unknown as { shadows: JsonObject[] };
  expect(shadows).toMatchObject([{ policy: { version: expect.stringMatching(/@100$/) }, failed: 0 }]);
  expect(shadows[0]).toMatchObject({ decisions: 4, unchanged: 1, counts: { 'allow→escalate': 3 } });
  const { stdout } = await world.holdfast('policy', 'shadow');
  expect(stdout).toMatch(/3 flips {2}\S+@100: of 4 decisions since .*, allow→escalate 3/);
});

it('asks about some classes only, and ends with the next publication', async () => {
  await publish('for-one-class', '--shadow', candidate, '--shadow-class', 'careful_mark');
  expect(await decide('mark', 'm-3')).not.toHaveProperty('shadow');
  expect(await decide('careful_mark', 'm-4')).toHaveProperty('shadow');
  await publish('without-shadow');
  expect(await decide('careful_mark', 'm-5')).not.toHaveProperty('shadow');
});

it.each([
  [['--shadow-class', 'mark'], 'publish.shadow_missing'],
  [['--shadow', 'CANDIDATE', '--shadow-class', 'nothing_like_it'], 'publish.shadow_class'],
  [['--shadow', 'POLICY'], 'publish.shadow_same'],
])('publishes nothing with %j', async (options, code) => {
  const { publisher } = world.paths;
  const policy = join(publisher, 'policy');
  const named = options.map((word) => word.replace('CANDIDATE', candidate).replace('POLICY', policy));
  const refused = await world.json('repo', 'publish', publisher, policy, '--site', SITE, ...named);
  expect(refused).toMatchObject({ code: 2, error: { code } });
});

it('leaves a ledger that holds together', async () => {
  await daemon.kill('SIGTERM');
  const { entries } = checkLedger(world.paths, world.trust());
  const shaded = entries.filter(({ data }) => data.shadow !== undefined);
  expect(shaded).toHaveLength(5);
});
