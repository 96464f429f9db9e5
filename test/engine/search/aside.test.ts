import { existsSync, rmSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type LedgerSearch, startSearch } from '../../../daemon/engine/search/aside.ts';
import type { SearchPage } from '../../../daemon/engine/search/searcher.ts';
import { createLogger } from '../../../daemon/host/log.ts';
import { until } from '../../world.ts';
import { testBundle } from '../bundle.ts';
import { EngineFixture } from '../fixture.ts';

const PATIENCE = 120_000;
const TIMES = { look: 20, first: 0, few: 100, quiet: 200 };
const NEWEST: SearchPage = { newestFirst: true, limit: 10, after: null };

let site: EngineFixture;
let search: LedgerSearch;
beforeEach(() => {
  site = new EngineFixture(testBundle());
  const { ledger, search: index } = site.paths;
  const job = { ledger, origin: site.vkey.split('+')[0] ?? '', index, low_bytes: 0 };
  search = startSearch(job, createLogger('test', 'error'), TIMES);
});
afterEach(async () => {
  await search.stop();
  site.close();
  rmSync(site.paths.root, { recursive: true, force: true });
});

/** SQLite removes the log of the index with its last connection. */
const rests = async () => search.progress() !== null && !existsSync(`${site.paths.search}-wal`);
const total = async () => (await search.search({ words: [] }, NEWEST)).size;

describe('the thread of the search', () => {
  it(
    'ends when nobody needs it, and answers who asks then',
    async () => {
      await until('the thread to end', rests);
      const size = await total();
      expect(size).toBeGreaterThan(0);
      expect(search.progress()).toMatchObject({ indexed: size, size, trouble: null, paused: false });
      await until('the thread to end again', rests);
    },
    PATIENCE,
  );

  it(
    'answers every search, whenever it comes',
    async () => {
      await until('the thread to end', rests);
      for (let round = 0; round < 6; round++) {
        // Around the time at which it ends: before, while and after.
        await new Promise((resolve) => setTimeout(resolve, TIMES.quiet - 60 + round * 20));
        const answers = await Promise.all([total(), total(), total()]);
        expect(Math.min(...answers)).toBeGreaterThan(0);
      }
    },
    PATIENCE,
  );

  it(
    'files by itself what was recorded while it rested',
    async () => {
      await until('the thread to end', rests);
      const before = search.progress()?.indexed ?? 0;
      site.reopen();
      // No thread says so: the daemon hears it from the engine.
      search.recorded(before + 1);
      expect(search.progress()).toMatchObject({ indexed: before, size: before + 1 });
      await until('the index to follow', async () => (search.progress()?.indexed ?? 0) > before);
      expect(search.progress()?.indexed).toBe(search.progress()?.size);
    },
    PATIENCE,
  );
});
