import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type ApiClient,
  ApiProblem,
  type DecisionReply,
  type SignedActBody,
} from '../../daemon/api/client.ts';
import { METHODS } from '../../daemon/api/methods.ts';
import { buildAct, signAct } from '../../daemon/commands/sign-act.ts';
import { openSigningKey } from '../../daemon/commands/ssh-key.ts';
import { checkLedger } from '../oracle.ts';
import { ask, type Role, SITE, World } from '../world.ts';

/*
 * The rows of the table of attacks that need a real daemon and its real sockets: whoever comes first wins, once, however
 * many come at the same time.
 */

const POLICY = fileURLToPath(new URL('../crash/policy', import.meta.url));
const GUARD = `guard:
  kind: human
  roles: [L2]
  status: active
  keys:
    - public_key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJzXt966VFMx2DMn2pewF89V7dgdmGQsRrPKpy9CJkcT guard@outpost-7.example
`;
/** Rounds of the race for a permit. */
const REDEMPTIONS = 1_000;
const ROUNDS = 25;

let world: World;
let daemon: Role;
const clients: ApiClient[] = [];

beforeAll(async () => {
  const policy = mkdtempSync(join(tmpdir(), 'hf-races-'));
  cpSync(POLICY, policy, { recursive: true });
  const principals = join(policy, 'principals.yaml');
  writeFileSync(principals, `${readFileSync(principals, 'utf8')}${GUARD}`);
  world = await World.make(policy);
  rmSync(policy, { recursive: true, force: true });
  daemon = await world.daemon();
});

afterAll(async () => {
  for (const client of clients) client.close();
  await daemon.kill();
  checkLedger(world.paths, world.trust());
  await world.close();
});

/** Clients with connections of their own, as different processes would have. */
function rivals(socket: 'request' | 'redeem' | 'operator', count: number): ApiClient[] {
  const made = Array.from({ length: count }, () => world.newClient(socket));
  clients.push(...made);
  return made;
}

/** What became of calls that were made at the same time: their answers, and the codes of those that were refused. */
async function outcomes<T>(calls: readonly Promise<T>[]): Promise<{ won: T[]; lost: string[] }> {
  const settled = await Promise.allSettled(calls);
  const won = settled.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
  const lost = settled.flatMap((each) => {
    if (each.status === 'fulfilled') return [];
    if (!(each.reason instanceof ApiProblem)) throw each.reason;
    return [each.reason.code];
  });
  return { won, lost };
}

async function signed(person: string, decision: DecisionReply): Promise<SignedActBody> {
  const key = await openSigningKey(join(world.paths.publisher, 'people', person));
  const parts = {
    kind: 'approval' as const,
    answer: 'approve',
    reason: 'race',
    site: SITE,
    role: 'L2',
    ttlSeconds: 600,
    seen: null,
    gate: null,
  };
  return signAct(buildAct(decision, parts), key);
}

describe('a race', () => {
  test(`for one permit is won once, in each of ${REDEMPTIONS} rounds`, async () => {
    const [ask1] = rivals('request', 1);
    const four = rivals('redeem', 4);
    for (let round = 0; round < REDEMPTIONS; round += 1) {
      const decision = (await ask1?.createDecision(ask('mark', `race-${round}`))) as DecisionReply;
      const { permit } = decision;
      if (permit === undefined) throw new Error(`round ${round}: ${decision.status}`);
      const body = { audience: 'gateway', action_digest: permit.action_digest };
      const { won, lost } = await outcomes(four.map((rival) => rival.redeem(permit.id, body)));
      expect(won).toHaveLength(1);
      expect(lost).toEqual(Array(3).fill('permit.already_redeemed'));
    }
  }, 120_000);

  test('of two approvals at the threshold makes one permit', async () => {
    const [first, second, asker] = rivals('operator', 3);
    for (let round = 0; round < ROUNDS; round += 1) {
      const decision = (await asker?.createDecision(ask('careful_mark', `both-${round}`))) as DecisionReply;
      const acts = await Promise.all([signed('warden', decision), signed('guard', decision)]);
      const { won, lost } = await outcomes([
        (first as ApiClient).submitAct(decision.decision_id, 'approvals', acts[0]),
        (second as ApiClient).submitAct(decision.decision_id, 'approvals', acts[1]),
      ]);
      expect(won).toHaveLength(1);
      expect(won[0]?.permit).toBeDefined();
      expect(lost).toEqual(['decision.wrong_state']);
      const shown = await (asker as ApiClient).getDecision(decision.decision_id);
      expect(shown.authority.received).toHaveLength(1);
    }
  });

  test('of cancel and redeem has one winner, and both sides are told the same', async () => {
    const [operator] = rivals('operator', 1);
    const [target] = rivals('redeem', 1);
    const seen = new Set<string>();
    for (let round = 0; round < ROUNDS * 4; round += 1) {
      const decision = (await operator?.createDecision(ask('mark', `cancel-${round}`))) as DecisionReply;
      const { permit } = decision;
      if (permit === undefined) throw new Error(decision.status);
      const redeem = () =>
        (target as ApiClient).redeem(permit.id, { audience: 'gateway', action_digest: permit.action_digest });
      const cancel = () =>
        (operator as ApiClient).cancel(decision.decision_id, {
          actor: { id: 'warden', role: 'L2' },
          reason: 'race',
        });
      const calls: Promise<unknown>[] = round % 2 === 0 ? [redeem(), cancel()] : [cancel(), redeem()];
      const { won, lost } = await outcomes(calls);
      expect([won.length, lost.length]).toEqual([1, 1]);
      const shown = await (operator as ApiClient).getDecision(decision.decision_id);
      expect([
        ['cancelled', 'issued', 'decision.terminal'],
        ['authorized', 'redeemed', 'permit.already_redeemed'],
      ]).toContainEqual([shown.status, shown.permit_state, lost[0]]);
      seen.add(shown.status);
    }
    // Both ways it can end did happen, so the race was one.
    expect([...seen].sort()).toEqual(['authorized', 'cancelled']);
  });
});

test('methods of the operator socket do not exist on the request socket', async () => {
  const [request] = rivals('request', 1);
  const calls: [string, () => Promise<unknown>][] = [
    ['decisions.list', () => (request as ApiClient).listDecisions({})],
    ['policy.get', () => (request as ApiClient).policy()],
    ['policy.import', () => (request as ApiClient).importPolicy('/tmp')],
    ['keys.suspended', () => (request as ApiClient).suspendedKeys()],
    ['status.get', () => (request as ApiClient).status()],
  ];
  for (const [name, call] of calls) {
    const row = METHODS.find((method) => method.name === name);
    if (row === undefined || row.sockets.includes('request')) continue;
    await expect(call(), name).rejects.toMatchObject({ status: 404 });
  }
  expect(METHODS.some(({ name, sockets }) => name === 'decisions.list' && !sockets.includes('request'))).toBe(
    true,
  );
});
