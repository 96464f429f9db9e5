import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sha256Hex } from '../../daemon/formats/digest.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { checkLedger } from '../oracle.ts';
import { ask, type Role, World } from '../world.ts';
import { publish } from './publishing.ts';

/*
 * What somebody can do who may write to the inbox, or hands over a medium, to a site at work: a real daemon, its sockets,
 * and the command. What is written on a medium is tried in hostile-*.test.ts, row by row.
 */

let world: World;
let daemon: Role;
/** Published and not imported when the tests begin; each good. */
let second: string;
let third: string;
beforeAll(async () => {
  world = await World.make();
  second = await publish(world, 2);
  third = await publish(world, 3);
  daemon = await world.daemon();
});
afterAll(async () => {
  await daemon?.kill('SIGTERM');
  await world?.close();
});

/** Every file below a directory with its digest; sockets and what the ledger writes left out. */
function filesIn(dir: string): Record<string, string> {
  const found = readdirSync(dir, { recursive: true, withFileTypes: true }).filter((file) => file.isFile());
  return Object.fromEntries(
    found.map((file) => {
      const path = join(file.parentPath, file.name);
      return [path.slice(dir.length + 1), sha256Hex(readFileSync(path))];
    }),
  );
}

/** What nobody but the daemon, headquarters and whoever made the site may change. */
const guarded = () => [
  filesIn(world.paths.policy),
  filesIn(world.paths.trust),
  filesIn(world.paths.keys),
  readFileSync(world.paths.config, 'utf8'),
];

const serial = async (): Promise<number> => {
  const status = (await world.client('operator').status()) as unknown as { policy: { serial: number } };
  return status.policy.serial;
};
const policyEntries = () =>
  checkLedger(world.paths, world.trust()).entries.filter(({ type }) => type.startsWith('policy.'));

/** An import by command that is refused with this code, recorded once, and changes nothing; the site goes on deciding. */
async function refuses(code: string, path: string): Promise<void> {
  const before = { guarded: guarded(), entries: policyEntries().length };
  const result = await world.json('import', path, '--actor', 'person:eve');
  expect(result).toMatchObject({ code: 3, applied: false });
  expect((result as { reason?: string }).reason).toMatch(/not accepted/);
  const entries = policyEntries();
  expect(entries.slice(before.entries).map(({ type, data }) => [type, data.code, data.who])).toEqual([
    ['policy.refused', code, 'person:eve'],
  ]);
  // Receipts of refusals lie beside the store.
  const withoutReceipts = ([policy, ...rest]: ReturnType<typeof guarded>) => [
    Object.entries(policy as object).filter(([name]) => !name.startsWith('receipts/')),
    ...rest,
  ];
  expect(withoutReceipts(guarded())).toEqual(withoutReceipts(before.guarded));
  const decision = await world.client('request').createDecision(ask('mark', `n-${entries.length}`));
  expect(decision.status).toBe('authorized');
}

/** A copy of a good medium, spoiled. */
function spoiled(spoil: (stick: string) => void): string {
  const stick = join(world.root, 'spoiled');
  rmSync(stick, { recursive: true, force: true });
  cpSync(second, stick, { recursive: true });
  spoil(stick);
  return stick;
}

type Row = [string, string, (stick: string) => void];
const MEDIA: Row[] = [
  [
    'update.bad_signature',
    'changed metadata',
    (stick) => {
      const file = join(stick, 'metadata/timestamp.json');
      writeFileSync(file, readFileSync(file, 'utf8').replace(/20\d\d-/, '2099-'));
    },
  ],
  [
    'update.file_not_regular',
    'a link to /etc/shadow',
    (stick) => symlinkSync('/etc/shadow', join(stick, 'metadata/9.root.json')),
  ],
  ['update.file_not_regular', 'a pipe', (stick) => void spawnSync('mkfifo', [join(stick, 'targets/pipe')])],
  [
    'update.file_too_large',
    'a sparse file of 4 GB',
    (stick) => {
      writeFileSync(join(stick, 'targets/sparse'), '');
      truncateSync(join(stick, 'targets/sparse'), 4 * 2 ** 30);
    },
  ],
  [
    'update.damaged',
    'a bundle that was changed',
    (stick) => {
      const dir = join(stick, 'targets/bundles/fault-tests');
      for (const name of readdirSync(dir)) writeFileSync(join(dir, name), '{}');
    },
  ],
  [
    'update.endless_metadata',
    'a root without end',
    (stick) => {
      const keys = Object.fromEntries(Array.from({ length: 9_000 }, (_, n) => [n, {}]));
      writeFileSync(join(stick, 'metadata/2.root.json'), JSON.stringify({ signed: { keys } }));
    },
  ],
];

describe('a hostile medium, handed to a daemon at work', () => {
  it.each(MEDIA)('is refused with %s: %s', (code, _what, spoil) => refuses(code, spoiled(spoil)));
});

describe('whoever may write to the inbox', () => {
  it('gains nothing by what lies there, nor by links to what is not theirs', async () => {
    const { inbox, state, trust, policy } = world.paths;
    const before = [filesIn(trust), filesIn(policy), filesIn(state)['keys/ledger.key']];
    // Where imports once made their copies, and where the mirror lies.
    symlinkSync(policy, join(inbox, '.staging'));
    symlinkSync('/etc', join(inbox, 'mirror'));
    symlinkSync(trust, join(inbox, 'trust'));
    mkdirSync(join(inbox, 'import-aaaaaa'));
    await expect(world.client('operator').importPolicy(join(inbox, 'mirror'), {})).rejects.toMatchObject({
      code: 'update.not_a_repository',
    });
    const refused = await world.json('import', spoiled(MEDIA[0]?.[2] ?? (() => {})));
    expect(refused).toMatchObject({ code: 3 });
    await daemon.kill('SIGTERM');
    daemon = await world.daemon();
    const after = [filesIn(trust), filesIn(policy), filesIn(state)['keys/ledger.key']];
    const known = (all: unknown[]) =>
      JSON.stringify(
        all.map((files) => Object.entries(files as object).filter(([name]) => !name.startsWith('receipts/'))),
      );
    expect(known(after)).toBe(known(before));
    for (const name of ['.staging', 'mirror', 'trust']) rmSync(join(inbox, name));
    expect(existsSync(join(policy, 'bundles'))).toBe(true);
  });

  it('gains nothing by changing it while it is judged: in force is what headquarters signed, whole', async () => {
    const mirror = join(world.paths.inbox, 'mirror');
    const bad = spoiled((stick) => {
      rmSync(join(stick, 'targets'), { recursive: true });
      cpSync(join(world.paths.publisher, 'repository/targets'), join(stick, 'targets'), { recursive: true });
      for (const file of readdirSync(join(stick, 'metadata')))
        writeFileSync(
          join(stick, 'metadata', file),
          readFileSync(join(stick, 'metadata', file)).subarray(0, 200),
        );
    });
    cpSync(second, mirror, { recursive: true });
    let over = false;
    const swapping = (async () => {
      for (let turn = 0; !over; turn++) {
        const next = join(world.root, 'next');
        cpSync(turn % 2 === 0 ? bad : second, next, { recursive: true });
        renameSync(mirror, join(world.root, 'last'));
        renameSync(next, mirror);
        rmSync(join(world.root, 'last'), { recursive: true });
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    })();
    for (let n = 0; n < 12; n++) {
      await world
        .client('operator')
        .importPolicy(mirror, {})
        .catch(() => {});
      expect([1, 2]).toContain(await serial());
    }
    over = true;
    await swapping;
    const digests = Object.keys(filesIn(join(world.paths.policy, 'bundles')));
    for (const name of digests)
      expect(sha256Hex(readFileSync(join(world.paths.policy, 'bundles', name)))).toBe(name.slice(0, 64));
    rmSync(mirror, { recursive: true });
    expect(await world.json('import', second)).toMatchObject({ code: 0, applied: true });
  });
});

describe('two imports at once', () => {
  it('of one update: it is applied once', async () => {
    expect(await serial()).toBe(2);
    const before = policyEntries().length;
    const both = await Promise.all([world.json('import', third), world.json('import', third)]);
    expect(both.map(({ code, applied }) => [code, applied])).toEqual([
      [0, true],
      [0, true],
    ]);
    expect(both.map(({ unchanged }) => unchanged).sort()).toEqual([false, true]);
    expect(policyEntries().length).toBe(before + 1);
    expect(await serial()).toBe(3);
  });

  it('of an older and a newer update: the newer one is in force at the end, whichever came first', async () => {
    const fourth = await publish(world, 4);
    const fifth = await publish(world, 5);
    const before = policyEntries().length;
    const [older, newer] = await Promise.all([world.json('import', fourth), world.json('import', fifth)]);
    expect(newer).toMatchObject({ code: 0, applied: true, unchanged: false });
    expect(await serial()).toBe(5);
    const made = policyEntries().slice(before);
    expect(made).toHaveLength(2);
    const serials = made.flatMap(({ type, data }) =>
      type === 'policy.applied' ? [(data.site_target as JsonObject).serial as number] : [],
    );
    expect(serials).toEqual([...serials].sort());
    expect([0, 3]).toContain(older.code);
  });
});
