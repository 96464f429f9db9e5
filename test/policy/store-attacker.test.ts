import { spawnSync } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ApiProblem } from '../../daemon/api/client.ts';
import { sha256Hex } from '../../daemon/formats/digest.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { checkLedger } from '../oracle.ts';
import { ask, type Role, until, World } from '../world.ts';
import { publish } from './publishing.ts';

/* Somebody may write to the policy store of a site: real daemon, gateway and sockets. Version 2 is in force, version 1 was. */

let world: World;
let first: string;
let second: string;
let pristine: string;
beforeAll(async () => {
  world = await World.make();
  const { publisher, policy } = world.paths;
  first = join(world.root, 'medium-1');
  cpSync(join(publisher, 'repository'), first, { recursive: true });
  second = await publish(world, 2);
  expect(await world.json('import', second)).toMatchObject({ code: 0, applied: true });
  pristine = join(world.root, 'pristine');
  cpSync(policy, pristine, { recursive: true });
});
afterAll(() => world?.close());

const roles: Role[] = [];
beforeEach(() => {
  rmSync(world.paths.policy, { recursive: true });
  cpSync(pristine, world.paths.policy, { recursive: true });
});
afterEach(async () => {
  for (const role of roles.splice(0).reverse()) await role.kill('SIGTERM');
});

/** Starts the daemon and waits until it answers, ready or not. */
async function daemon(): Promise<void> {
  roles.push(await world.daemon({ unready: true }));
  await until('the daemon to answer', () =>
    world
      .client('operator')
      .status()
      .then(
        () => true,
        () => false,
      ),
  );
}

interface Status {
  ready: boolean;
  policy: { environments: { environment: string; version: string; digest: string }[] };
  degraded: { component: string; cause: string; effect: string; instruction: string }[];
}
const status = async (): Promise<Status> => (await world.client('operator').status()) as unknown as Status;

const inForce = (): string => {
  const { entries } = checkLedger(world.paths, world.trust());
  const applied = entries.findLast(({ type }) => type === 'policy.applied');
  const environments = applied?.data.environments as Record<string, { digest: string }> | undefined;
  return environments?.production?.digest ?? '';
};
const bundle = (): string => join(world.paths.policy, 'bundles', `${inForce()}.json`);

/** The same rules, but for the one that somebody minds. */
const weakened = (): string =>
  readFileSync(bundle(), 'utf8').replace('"condition":"false"', '"condition":"true"');

type Attack = [string, () => unknown];
const ON_THE_BUNDLE: Attack[] = [
  ['weaker rules under the digest of the signed ones', () => writeFileSync(bundle(), weakened())],
  [
    'the signed rules of before under that digest',
    () => {
      const all = readdirSync(join(world.paths.policy, 'bundles'));
      const other = all.find((name) => !bundle().endsWith(name)) ?? '';
      cpSync(join(world.paths.policy, 'bundles', other), bundle());
    },
  ],
  ['one byte changed', () => writeFileSync(bundle(), `${readFileSync(bundle(), 'utf8').slice(0, -1)} `)],
  ['nothing left of it', () => truncateSync(bundle(), 0)],
  ['the file gone', () => rmSync(bundle())],
  [
    'a link in its place',
    () => {
      const elsewhere = join(world.root, 'weakened.json');
      writeFileSync(elsewhere, weakened());
      rmSync(bundle());
      symlinkSync(elsewhere, bundle());
    },
  ],
  [
    'a pipe in its place',
    () => {
      rmSync(bundle());
      spawnSync('mkfifo', [bundle()]);
    },
  ],
  [
    'a file without end in its place',
    () => {
      truncateSync(bundle(), 0);
      truncateSync(bundle(), 2 ** 40);
    },
  ],
];

describe('a changed bundle', () => {
  it.each(ON_THE_BUNDLE)(
    'is noticed when it is loaded, denies everything, and is repaired by its medium: %s',
    async (_how, attack) => {
      attack();
      await daemon();
      const { ready, degraded } = await status();
      expect(ready).toBe(false);
      expect(degraded).toMatchObject([
        {
          component: 'policy',
          effect: expect.stringContaining('denied'),
          instruction: expect.stringContaining('import'),
        },
      ]);
      for (const actionClass of ['mark', 'forbidden_mark']) {
        const decision = await world.client('request').createDecision(ask(actionClass, 's-1'));
        expect(decision).toMatchObject({ status: 'denied', policy_version: null });
        expect(decision.permit ?? null).toBeNull();
      }
      expect(await world.json('import', second)).toMatchObject({ code: 0, applied: true, unchanged: true });
      expect((await status()).ready).toBe(true);
      expect(sha256Hex(readFileSync(bundle()))).toBe(inForce());
      expect(await world.client('request').createDecision(ask('mark', 's-2'))).toMatchObject({
        status: 'authorized',
        policy_version: 'fault-tests@2',
      });
      expect((await world.client('request').createDecision(ask('forbidden_mark', 's-3'))).status).toBe(
        'denied',
      );
    },
  );

  it('of a running daemon is not used by it, and is noticed by the next one', async () => {
    await daemon();
    writeFileSync(bundle(), weakened());
    expect((await world.client('request').createDecision(ask('forbidden_mark', 's-4'))).status).toBe(
      'denied',
    );
    expect((await world.client('request').createDecision(ask('mark', 's-5'))).status).toBe('authorized');
    await roles.pop()?.kill('SIGTERM');
    await daemon();
    expect((await status()).ready).toBe(false);
    expect((await world.client('request').createDecision(ask('mark', 's-6'))).status).toBe('denied');
  });
});

describe('a changed update', () => {
  const active = async (): Promise<string> => {
    const { entries } = checkLedger(world.paths, world.trust());
    const applied = entries.findLast(({ type }) => type === 'policy.applied');
    return join(world.paths.policy, 'updates', String(applied?.data.update_id));
  };

  it('makes nothing run: the gateway verifies for itself what the daemon holds', async () => {
    const targets = join(await active(), 'targets/bundles/fault-tests');
    for (const name of readdirSync(targets)) writeFileSync(join(targets, name), weakened());
    await daemon();
    roles.push(await world.gateway());
    const refused = await world
      .client('gateway')
      .action(ask('mark', 's-7'))
      .catch((error: unknown) => (error instanceof ApiProblem ? error.body : Promise.reject(error)));
    expect((refused as JsonObject).code).toBe('gateway.bundle_unverifiable');
    expect(world.marks()).toEqual([]);
  });

  it('does not make the site forget how far it was: what it ran before is refused', async () => {
    // What was trusted last is put back to what was trusted before it, validly signed by everybody.
    const dir = await active();
    rmSync(join(dir, 'metadata'), { recursive: true });
    cpSync(join(first, 'metadata'), join(dir, 'metadata'), { recursive: true });
    await daemon();
    const result = await world.json('import', first);
    expect(result).toMatchObject({ code: 3, applied: false, reason: expect.stringContaining('serial') });
    expect((await status()).policy.environments).toMatchObject([{ version: 'fault-tests@2' }]);
  });

  it('that is gone does not, either', async () => {
    rmSync(join(world.paths.policy, 'updates'), { recursive: true });
    await daemon();
    expect(await world.json('import', first)).toMatchObject({ code: 3, applied: false });
    expect((await status()).policy.environments).toMatchObject([{ version: 'fault-tests@2' }]);
    expect(await world.json('import', second)).toMatchObject({ code: 0, unchanged: true });
  });
});

it('what is added to the store means nothing', async () => {
  const bytes = Buffer.from(weakened());
  writeFileSync(join(world.paths.policy, 'bundles', `${sha256Hex(bytes)}.json`), bytes);
  const forged = join(world.paths.policy, 'updates', 'f'.repeat(64));
  cpSync(second, forged, { recursive: true });
  mkdirSync(join(world.paths.policy, 'updates', '..evil'));
  await daemon();
  roles.push(await world.gateway());
  expect(await status()).toMatchObject({ ready: true, degraded: [] });
  expect((await world.client('request').createDecision(ask('forbidden_mark', 's-8'))).status).toBe('denied');
  const { outcome } = (await world.client('gateway').action(ask('mark', 's-9'))) as unknown as {
    outcome: { result: string };
  };
  expect(outcome.result).toBe('succeeded');
  checkLedger(world.paths, world.trust());
});
