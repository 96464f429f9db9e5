import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, expect, it } from 'vitest';
import type { EngineEvent, EngineHandle } from '../../daemon/engine/protocol.ts';
import { parseConfig } from '../../daemon/host/config.ts';
import { createLogger } from '../../daemon/host/log.ts';
import { openAnchors } from '../../daemon/roles/daemon-anchors.ts';
import { SITE } from '../engine/fixture.ts';
import { AnchorSite } from '../policy/anchor-site.ts';

const open: AnchorSite[] = [];

afterEach(() => {
  for (const site of open.splice(0)) site.close();
});

async function until(holds: () => boolean): Promise<void> {
  for (let n = 0; n < 4_000 && !holds(); n++) await pause(25);
  expect(holds()).toBe(true);
}

/** The daemon's part of it, over an engine that tells what it recorded. */
function opened(schedule: string | null) {
  const site = new AnchorSite();
  open.push(site);
  const { paths } = site.fixture;
  const listeners = new Set<(events: EngineEvent[]) => void>();
  const engine: EngineHandle = {
    ...site.engine,
    call: async (call) => {
      const answer = await site.engine.call(call);
      const type = call.method === 'anchors.export' ? 'anchor.exported' : 'other';
      for (const listen of listeners) listen([{ index: 0, stream: 'anchor', type, status: null }]);
      return answer;
    },
    onEvents: (listen) => {
      listeners.add(listen);
      return () => listeners.delete(listen);
    },
  };
  const text = JSON.stringify({ version: 1, site: SITE, profile: 'node', anchors: { keep: 5 } });
  const config = parseConfig(text, 'holdfast.json');
  const anchors = openAnchors(
    { ...config, anchors: { ...config.anchors, schedule } },
    paths,
    engine,
    createLogger('daemon', 'silent'),
  );
  const folder = join(paths.outbox, 'anchors');
  return { site, anchors, listeners, folder, files: () => (existsSync(folder) ? readdirSync(folder) : []) };
}

it('exports by schedule, and the file follows the entry', async () => {
  // Six fields: the seconds come first. Settings allow five; here nobody wants to wait.
  const { anchors, files } = opened('* * * * * *');
  const end = await anchors.start();
  await until(() => files().length === 1);
  await end();
});

it('does not grow a site at which nothing happens', async () => {
  const { site, anchors, files } = opened('* * * * * *');
  const end = await anchors.start();
  await until(() => files().length === 1);
  const size = site.fixture.call('anchors.list').body.size;
  await pause(2_500);
  expect(site.fixture.call('anchors.list').body.size).toBe(size);
  await end();
});

it('has what is on record in the outbox from the start, answers sync, and ends', async () => {
  const { site, anchors, files, listeners } = opened(null);
  site.anchor();
  const asked = join(site.fixture.paths.inbox, 'anchors');
  mkdirSync(asked, { recursive: true });
  writeFileSync(join(asked, 'wanted-2'), '');
  const end = await anchors.start();
  await until(() => files().some((name) => name.startsWith('000000000000-')));
  await until(() => files().some((name) => name.startsWith('000000000002-')));
  await end();
  expect(listeners.size).toBe(0);
});
