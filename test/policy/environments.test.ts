import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ApiProblem, type DecisionReply } from '../../daemon/api/client.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { checkLedger } from '../oracle.ts';
import { ROOT } from '../structure/sources.ts';
import { ask, type Role, World } from '../world.ts';
import { type PolicyEdits, publish } from './publishing.ts';

/*
 * Updates on a site at work: real daemon, gateway, sockets and signatures. The tests of this file go on from each other,
 * as the versions of a policy do.
 */

let world: World;
let daemon: Role;
let gateway: Role;
beforeAll(async () => {
  const policy = mkdtempSync(join(tmpdir(), 'hf-policy-'));
  try {
    cpSync(join(ROOT, 'test/crash/policy'), policy, { recursive: true });
    for (const [section, edit] of Object.entries(START)) {
      const file = join(policy, `${section}.yaml`);
      writeFileSync(file, edit(readFileSync(file, 'utf8')));
    }
    world = await World.make(policy);
  } finally {
    rmSync(policy, { recursive: true });
  }
  daemon = await world.daemon();
  gateway = await world.gateway();
});
afterAll(async () => {
  await gateway?.kill('SIGTERM');
  await daemon?.kill('SIGTERM');
  await world?.close();
});

const person = (id: string) => `${id}: { kind: human, roles: [L2], status: active }\n`;
/** Two environments, three people beside the agent's owner, and in production two signatures for what is not of low risk. */
const START: PolicyEdits = {
  environments: (text) => `${text}staging:\n  description: The bench.\n`,
  principals: (text) => `${text}${person('guard')}${person('watch')}`,
  authority: (text) =>
    text.replace(
      '  - id: the-rest\n',
      '  - id: two-in-production\n    environments: [production]\n    bands: [medium, high]\n    require:\n      - { group: operators, roles: [L2], min_signatures: 2 }\n  - id: the-rest\n    environments: [staging]\n',
    ),
};

const request = (actionClass: string, mark: string, environment = 'production') => {
  const body = ask(actionClass, mark);
  return { ...body, context: { ...body.context, environment } };
};
const create = (actionClass: string, mark: string, environment?: string): Promise<DecisionReply> =>
  world.client('request').createDecision(request(actionClass, mark, environment));
const current = (decision: DecisionReply): Promise<DecisionReply> =>
  world.client('operator').getDecision(decision.decision_id);
/** What the gateway says; a refusal is an answer. */
async function execute({ decision_id }: DecisionReply): Promise<JsonObject> {
  const body = { decision_id, context: { actor: { id: 'agent:ops-1', role: 'agent' } } };
  return world
    .client('gateway')
    .action(body)
    .catch((error: unknown) => (error instanceof ApiProblem ? error.body : Promise.reject(error)));
}
const SUCCEEDED = { outcome: { result: 'succeeded' } };
const REVOKED = { code: 'gateway.redemption_refused', because: 'permit.revoked' };
const approve = async (decision: DecisionReply, ...people: string[]): Promise<string> => {
  for (const name of people) await world.sign(decision, 'approve', name);
  return (await current(decision)).status;
};

async function update(
  version: number,
  options: { environment?: string; edits?: PolicyEdits },
): Promise<JsonObject> {
  const result = await world.json('import', await publish(world, version, options));
  expect(result).toMatchObject({ code: 0, applied: true, unchanged: false });
  return result.environments as JsonObject;
}

/** What is in force: `name@version` by environment. */
async function inForce(): Promise<Record<string, string>> {
  const status = (await world.client('operator').status()) as unknown as {
    policy: { environments: { environment: string; version: string }[] };
  };
  return Object.fromEntries(
    status.policy.environments.map(({ environment, version }) => [environment, version]),
  );
}

/** Has everybody's key but those of `people` count no more. */
const revoke =
  (person: string) =>
  (text: string): string =>
    text.replace(new RegExp(`(\\n${person}:[^]*?public_key: [^\\n]*\\n)`), '$1      status: revoked\n');

describe('environments of one site', () => {
  it('run different bundles; an update of staging leaves production as it was', async () => {
    const before = await create('mark', 'e-1');
    const forbid: PolicyEdits = {
      gates: (text) => text.replace('[forbidden_mark]', '[forbidden_mark, mark]'),
    };
    const pinned = await update(2, { environment: 'staging', edits: forbid });
    expect(await inForce()).toEqual({ production: 'fault-tests@1', staging: 'fault-tests@2' });
    const production = await create('mark', 'e-2');
    const staging = await create('mark', 'e-3', 'staging');
    expect(production).toMatchObject({ status: 'authorized', policy_version: 'fault-tests@1' });
    expect(staging).toMatchObject({ status: 'denied', policy_version: 'fault-tests@2' });
    expect(production.policy_digest).toBe(before.policy_digest);
    expect([production.policy_digest, staging.policy_digest]).toEqual(
      ['production', 'staging'].map((name) => (pinned[name] as JsonObject).digest),
    );
    for (const decision of [before, production]) expect(await execute(decision)).toMatchObject(SUCCEEDED);
    expect(world.marks()).toEqual(['ran e-1', 'ran e-2']);
  });

  it('are updated one by one: production goes on alone, and staging stays', async () => {
    const allow: PolicyEdits = {
      gates: (text) => text.replace('[forbidden_mark, mark]', '[forbidden_mark]'),
    };
    await update(3, { environment: 'production', edits: allow });
    expect(await inForce()).toEqual({ production: 'fault-tests@3', staging: 'fault-tests@2' });
    expect((await create('mark', 'e-4', 'staging')).status).toBe('denied');
    expect(await create('mark', 'e-5')).toMatchObject({ policy_version: 'fault-tests@3' });
  });

  it('each keep their own roster: who is revoked in staging still counts in production', async () => {
    const staging = await create('careful_mark', 'e-6', 'staging');
    expect(await approve(staging, 'warden')).toBe('authorized');
    const production = await create('careful_mark', 'e-7');
    expect(await approve(production, 'warden', 'guard')).toBe('authorized');
    await update(4, { environment: 'staging', edits: { principals: revoke('warden') } });
    expect(await execute(staging)).toMatchObject(REVOKED);
    expect(await execute(production)).toMatchObject(SUCCEEDED);
    expect(world.marks()).not.toContain('ran e-6');
    expect(world.marks()).toContain('ran e-7');
  });
});

describe('decisions in flight', () => {
  it('keep the rules that they were evaluated under, and stop at keys that were revoked since', async () => {
    const waiting = await create('careful_mark', 'f-1');
    expect(await approve(waiting, 'warden')).toBe('pending_authority');
    const granted = await create('careful_mark', 'f-2');
    expect(await approve(granted, 'warden', 'guard')).toBe('authorized');
    const unconcerned = await create('mark', 'f-3');
    await update(5, {
      environment: 'production',
      edits: {
        // Three signatures from now on, no marks, and no warden, whom the update of staging took out of the policy.
        authority: (text) => text.replace('min_signatures: 2', 'min_signatures: 3'),
        gates: (text) => text.replace('[forbidden_mark]', '[forbidden_mark, mark]'),
      },
    });
    // A permit that a revoked key helped to grant is worth nothing any more; others run under their old rules.
    expect(await execute(granted)).toMatchObject(REVOKED);
    expect(await execute(unconcerned)).toMatchObject(SUCCEEDED);
    // What the warden approved in time counts no more, so that it takes two others; as many as its own rules ask for.
    expect(await approve(waiting, 'guard')).toBe('pending_authority');
    expect((await world.sign(waiting, 'approve', 'warden')).code).toBe(3);
    expect(await approve(waiting, 'watch')).toBe('authorized');
    expect(await current(waiting)).toMatchObject({ policy_version: 'fault-tests@3' });
    expect(await execute(waiting)).toMatchObject(SUCCEEDED);
    expect(world.marks().filter((line) => line.includes(' f-'))).toEqual(['ran f-3', 'ran f-1']);
    const fresh = await create('careful_mark', 'f-4');
    const three = { required: [{ min_signatures: 3 }] };
    expect(fresh).toMatchObject({ policy_version: 'fault-tests@5', authority: three });
    expect(await create('mark', 'f-5')).toMatchObject({ status: 'denied' });
  });

  it('leave a whole ledger behind, in which each is pinned to its own rules', async () => {
    await daemon.kill('SIGTERM');
    daemon = await world.daemon();
    const { entries } = checkLedger(world.paths, world.trust());
    const versions = new Map<string, Set<string>>();
    for (const { stream, seq, data } of entries) {
      if (!stream.startsWith('dec_') || seq !== 0) continue;
      const { environment } = data.context as { environment: string };
      const { version } = data.policy as { version: string };
      versions.set(environment, (versions.get(environment) ?? new Set()).add(version));
      const replay = await world.holdfast('decision', 'replay', stream);
      expect([stream, replay.code, replay.stderr]).toEqual([stream, 0, '']);
    }
    expect(Object.fromEntries([...versions].map(([name, found]) => [name, [...found].sort()]))).toEqual({
      production: ['fault-tests@1', 'fault-tests@3', 'fault-tests@5'],
      staging: ['fault-tests@2'],
    });
  });
});
