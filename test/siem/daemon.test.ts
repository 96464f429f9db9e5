import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { eventOfLine } from '../../daemon/siem/line.ts';
import { SITE, until, World } from '../world.ts';

let world: World;
beforeAll(async () => {
  world = await World.make();
  const config = JSON.parse(readFileSync(world.paths.config, 'utf8'));
  const siem = {
    file: { path: join(world.root, 'events.log'), format: 'cef', rotate_bytes: 4_000 },
    outbox: { format: 'ocsf', batch_seconds: 1, batch_bytes: 5_000 },
  };
  writeFileSync(world.paths.config, JSON.stringify({ ...config, siem }));
});
afterAll(() => world?.close());

function read(dir: string, matches: RegExp, last: string | null, format: 'cef' | 'ocsf'): number[] {
  if (!existsSync(dir)) return [];
  const names = readdirSync(dir).filter((name) => matches.test(name));
  const sorted = names.sort((a, b) => Number(a === last) - Number(b === last) || (a < b ? -1 : 1));
  const text = sorted.map((name) => readFileSync(join(dir, name), 'utf8')).join('');
  return text.split('\n').flatMap((line) => eventOfLine(format, line)?.index ?? []);
}

const told = {
  file: () => read(world.root, /^events\.log/, 'events.log', 'cef'),
  outbox: () => read(join(world.paths.outbox, 'siem'), /\.jsonl$/, null, 'ocsf'),
};

async function ask(): Promise<void> {
  await world.client('request').createDecision({
    action: { class: 'nothing_known', intent: 'look', target: { type: 'pump', id: 'p-1' }, payload: {} },
    context: { actor: { id: 'agent:ops-1', role: 'agent' }, environment: 'production' },
  });
}

it('feeds a file and the outbox through kills, each event once', { timeout: 180_000 }, async () => {
  for (let round = 0; round < 4; round++) {
    const daemon = await world.daemon();
    for (let n = 0; n < 12; n++) await ask();
    // Into the middle of what the feeds do, as it happens.
    await new Promise((done) => setTimeout(done, round * 300));
    await daemon.kill();
  }
  const daemon = await world.daemon();
  const { size } = await world.client('operator').entries({ limit: 1 });
  const all = Array.from({ length: size }, (_, i) => i);
  await until(
    'both feeds to be there',
    async () => told.file().length >= size && told.outbox().length >= size,
  );
  expect(told.file()).toEqual(all);
  expect(told.outbox()).toEqual(all);
  const status = await world.json('status');
  const { feeds } = (status.daemon as { host: { siem: { feeds: object[] } } }).host.siem;
  expect(feeds).toMatchObject([
    { feed: 'file', trouble: null, state: { behind: 0 } },
    { feed: 'outbox', trouble: null, state: { behind: 0 } },
  ]);
  await daemon.kill('SIGTERM');
});

it('prints the same events on demand', async () => {
  const printed = await world.holdfast('siem', 'print', '--format', 'cef', '--from', '0', '--limit', '5');
  expect(printed.code).toBe(0);
  const [first = ''] = printed.stdout.split('\n');
  expect(first).toMatch(
    new RegExp(`^CEF:0\\|Holdfast\\|Holdfast\\|[^|]+\\|system\\.initialized\\|.*dvchost=${SITE}`),
  );
  expect(printed.stdout.trim().split('\n')).toHaveLength(5);
});
