import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { EngineCall, EngineHandle, EngineReply } from '../../daemon/engine/protocol.ts';
import { BoundaryError } from '../../daemon/formats/boundary-error.ts';
import { fromBase64, sha256Hex } from '../../daemon/formats/digest.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { makeDir } from '../../daemon/host/durable-file.ts';
import { type SitePaths, sitePaths } from '../../daemon/host/site.ts';
import { importUpdate } from '../../daemon/policy/import.ts';
import { type GoodUpdate, type JudgeJob, type Judgement, judgeUpdate } from '../../daemon/policy/judge.ts';
import { realMedium } from '../../daemon/policy/medium.ts';
import { PolicyStore } from '../../daemon/policy/store.ts';
import { ManualClock } from '../host/manual-clock.ts';
import { temporaryDir } from '../host/temporary.ts';
import { bundleBytes, DAY, NOW, PublisherWorld, SITE } from './publisher-world.ts';

/** An engine that records what it is asked and, for `policy.apply`, looks at the store first. */
class RecordingEngine implements EngineHandle {
  readonly calls: { method: string; body: JsonObject }[] = [];
  updateId: string | null = null;
  /** Whether the ledger can be read. */
  available = true;
  floor = '1970-01-01T00:00:00.000Z';
  /** What `policy.apply` answers; null accepts. */
  refusal: { status: number; code: string } | null = null;
  beforeApply: (body: JsonObject) => void = () => {};

  async call(call: EngineCall): Promise<EngineReply> {
    const body = JSON.parse(call.body ?? '{}') as JsonObject;
    this.calls.push({ method: call.method, body });
    switch (call.method) {
      case 'policy.get':
        return this.available
          ? answer(200, { update_id: this.updateId })
          : answer(503, { code: 'ledger.unavailable' });
      case 'policy.prepare':
        return answer(200, { readiness: 'ready' });
      case 'status.get':
        return answer(200, { time: { floor: this.floor } });
      case 'policy.apply':
        return this.#apply(body);
      case 'policy.refuse':
        return answer(200, { recorded: true, record_id: 7 });
      default:
        throw new Error(`unexpected ${call.method}`);
    }
  }

  #apply(body: JsonObject): EngineReply {
    if (this.refusal !== null) return answer(this.refusal.status, { code: this.refusal.code, detail: 'No.' });
    if (body.update_id === this.updateId) return answer(200, { applied: true, unchanged: true });
    this.beforeApply(body);
    this.updateId = String(body.update_id);
    return answer(200, { applied: true, record_id: 6 });
  }

  onEvents(): () => void {
    return () => {};
  }

  async stop(): Promise<void> {}
}

function answer(status: number, body: JsonObject): EngineReply {
  return { status, body: JSON.stringify(body) };
}

/** A site without policy and a publisher that it trusts. */
function world(): {
  publisher: PublisherWorld;
  paths: SitePaths;
  engine: RecordingEngine;
  store: PolicyStore;
  clock: ManualClock;
  run: (path?: string) => ReturnType<typeof importUpdate>;
} {
  const base = temporaryDir();
  const publisher = new PublisherWorld(join(base));
  const paths = sitePaths(join(base, 'site'));
  for (const dir of [paths.root, paths.trust, paths.inbox, paths.state, paths.policy]) makeDir(dir, 0o700);
  writeFileSync(join(paths.trust, 'root.json'), publisher.root);
  const engine = new RecordingEngine();
  const store = new PolicyStore(paths.policy);
  const clock = new ManualClock(NOW);
  publisher.publish(1);
  return {
    publisher,
    paths,
    engine,
    store,
    clock,
    run: (path = publisher.dir) =>
      importUpdate({ path, source: 'medium', paths, site: SITE, engine, store, clock, who: 'operator' }),
  };
}

const updatesIn = (paths: SitePaths) => readdirSync(join(paths.policy, 'updates'));

describe('importUpdate', () => {
  it('stores first, then lets the engine record', async () => {
    const { paths, engine, run } = world();
    const digest = sha256Hex(bundleBytes(1));
    let stored = false;
    engine.beforeApply = (body) => {
      stored =
        existsSync(join(paths.policy, 'bundles', `${digest}.json`)) &&
        existsSync(join(paths.policy, 'updates', String(body.update_id), 'metadata', 'timestamp.json'));
    };
    expect(await run()).toMatchObject({
      applied: true,
      unchanged: false,
      serial: 1,
      record_id: 6,
      environments: { production: { name: 'base', version: 1, digest } },
    });
    expect(stored).toBe(true);
    expect(engine.calls.find(({ method }) => method === 'policy.apply')?.body).toMatchObject({
      source: 'medium',
      who: 'operator',
      repository: { root: 1, timestamp: 2, snapshot: 2, targets: 2 },
      site_target: { site: SITE, serial: 1 },
    });
  });

  it('is harmless to repeat', async () => {
    const { paths, run } = world();
    await run();
    expect(await run()).toMatchObject({ applied: true, unchanged: true, record_id: null });
    expect(updatesIn(paths)).toHaveLength(1);
  });

  it('records a refused update and stores nothing of it', async () => {
    const { publisher, paths, engine, run } = world();
    publisher.edit('metadata/timestamp.json', { version: 9 });
    expect(await run()).toMatchObject({ applied: false, code: 'update.bad_signature', record_id: 7 });
    expect(engine.calls.at(-1)).toMatchObject({
      method: 'policy.refuse',
      body: { source: 'medium', who: 'operator', code: 'update.bad_signature' },
    });
    expect([updatesIn(paths), readdirSync(join(paths.policy, 'bundles'))]).toEqual([[], []]);
  });

  it('forgets an update that the engine refused, and records why', async () => {
    const { paths, engine, run } = world();
    engine.refusal = { status: 409, code: 'policy.not_newer' };
    expect(await run()).toEqual({ applied: false, code: 'policy.not_newer', reason: 'No.', record_id: 7 });
    expect(updatesIn(paths)).toEqual([]);
  });

  it('keeps an update of which the engine cannot say whether it is in force', async () => {
    const { paths, engine, run } = world();
    engine.refusal = { status: 503, code: 'ledger.unavailable' };
    expect(await run()).toMatchObject({ applied: false, code: 'ledger.unavailable' });
    expect(updatesIn(paths)).toHaveLength(1);
  });

  it('imports nothing while the engine cannot say what is in force', async () => {
    const { paths, engine, run } = world();
    engine.available = false;
    expect(await run()).toMatchObject({ applied: false, code: 'ledger.unavailable', record_id: null });
    expect(updatesIn(paths)).toEqual([]);
    expect(engine.calls.map(({ method }) => method)).toEqual(['policy.get']);
  });

  it('keeps an update that was in force before, even if the engine refuses it now', async () => {
    const { paths, engine, run } = world();
    await run();
    engine.refusal = { status: 409, code: 'policy.not_newer' };
    await run();
    expect(updatesIn(paths)).toHaveLength(1);
  });

  it('refuses a rollback against what is in force', async () => {
    const { publisher, run } = world();
    const old = join(temporaryDir(), 'old');
    const { files } = await publisher.verify();
    for (const [name, bytes] of files) {
      mkdirSync(join(old, name, '..'), { recursive: true });
      writeFileSync(join(old, name), bytes);
    }
    publisher.publish(2);
    await run();
    expect(await run(old)).toMatchObject({ applied: false, code: 'update.rolled_back' });
  });

  it('does not let a clock that was set back revive expired metadata', async () => {
    const { engine, clock, run } = world();
    clock.setWall(NOW + 8 * DAY);
    expect(await run()).toMatchObject({ applied: false, code: 'update.expired' });
    clock.setWall(0);
    engine.floor = new Date(NOW + 8 * DAY).toISOString();
    expect(await run()).toMatchObject({ applied: false, code: 'update.expired' });
  });

  it('imports one after the other, and asks those to wait who would queue for long', async () => {
    const { engine, run, paths } = world();
    const results = await Promise.all(Array.from({ length: 6 }, () => run()));
    const outcomes = results.map((result) => (result.applied ? result.unchanged : result.code));
    expect(outcomes).toEqual([false, true, true, true, 'engine.busy', 'engine.busy']);
    expect(engine.calls.filter(({ method }) => method === 'policy.apply')).toHaveLength(4);
    expect(existsSync(join(paths.state, '.staging'))).toBe(false);
  });

  it('records that the medium failed, and keeps nothing', async () => {
    const { paths, engine, clock, publisher, store } = world();
    const list = (): never => {
      throw Object.assign(new Error('gone'), { code: 'EIO' });
    };
    const who = 'operator';
    const medium = { ...realMedium, list };
    const result = await importUpdate({
      path: publisher.dir,
      paths,
      site: SITE,
      engine,
      store,
      clock,
      who,
      judge: (job, onGood) => judgeUpdate(job, onGood, medium),
    });
    expect(result).toMatchObject({ applied: false, code: 'update.medium_failed', record_id: 7 });
    expect([updatesIn(paths), existsSync(join(paths.state, '.staging'))]).toEqual([[], false]);
  });

  it('throws, and records nothing, where there is no repository', async () => {
    const { publisher, paths, engine, run } = world();
    await expect(run(paths.root)).rejects.toThrow(BoundaryError);
    await expect(run(join(publisher.dir, '..'))).rejects.toThrow(/Did you mean .*repository\?/);
    expect(engine.calls).toEqual([]);
  });
});

describe('an engine that is gone', () => {
  it('while the update is being judged is told to whoever waits, and to nobody else', async () => {
    const { paths, engine, store, clock, publisher } = world();
    const gone = new Error('the engine is gone');
    const inner = engine.call.bind(engine);
    engine.call = (call) => (call.method === 'policy.prepare' ? Promise.reject(gone) : inner(call));
    const judge = async (job: JudgeJob, onGood: (update: GoodUpdate) => void): Promise<Judgement> => {
      const judgement = await judgeUpdate(job, onGood);
      await new Promise((resolve) => setTimeout(resolve, 50));
      return judgement;
    };
    const unhandled: unknown[] = [];
    const note = (error: unknown) => unhandled.push(error);
    process.on('unhandledRejection', note);
    const request = { path: publisher.dir, paths, site: SITE, engine, store, clock, who: 'operator', judge };
    await expect(importUpdate(request)).rejects.toBe(gone);
    process.off('unhandledRejection', note);
    expect(unhandled).toEqual([]);
  });
});

describe('PolicyStore', () => {
  it('gives back an update by the digest of a bundle, so that it verifies again', async () => {
    const { publisher, engine, store, run } = world();
    await run();
    const first = engine.updateId;
    publisher.publish(2);
    await run();
    for (const version of [1, 2]) {
      const update = store.readUpdate(sha256Hex(bundleBytes(version)), engine.updateId);
      const files = new Map(
        Object.entries(update?.files ?? {}).map(([name, text]) => [name, fromBase64(text)]),
      );
      const verified = await publisher.verify({ files, expiry: 'ignore', now: 0 });
      expect([verified.updateId, update?.update_id]).toEqual(
        Array(2).fill(version === 1 ? first : engine.updateId),
      );
      expect(verified.bundles.has(sha256Hex(bundleBytes(version)))).toBe(true);
    }
    expect(store.readUpdate(null, engine.updateId)?.update_id).toBe(engine.updateId);
  });

  it('finds the update that gave a bundle to an environment, after a newer one moved that environment on', async () => {
    const { publisher, engine, store, run } = world();
    publisher.publish(1, { environments: ['production', 'staging'] });
    await run();
    const first = engine.updateId;
    publisher.publish(2, { environments: ['production'] });
    await run();
    const digest = sha256Hex(bundleBytes(1));
    const find = (environment: string | null) =>
      store.readUpdate(digest, engine.updateId, environment)?.update_id ?? null;
    expect([find('production'), find('staging'), find(null), find('moon')]).toEqual([
      first,
      engine.updateId,
      engine.updateId,
      null,
    ]);
  });

  it('knows nothing of other digests, and takes no path for one', async () => {
    const { engine, store, run } = world();
    await run();
    expect(store.readUpdate('0'.repeat(64), engine.updateId)).toBeNull();
    expect(store.readUpdate(null, null)).toBeNull();
    expect(store.readUpdate(null, '../../trust')).toBeNull();
    expect(store.trustedMetadataDir('../../trust')).toBeNull();
  });

  it('repairs an update that a crash left half written', async () => {
    const { paths, engine, store, run } = world();
    await run();
    const id = engine.updateId ?? '';
    rmSync(join(paths.policy, 'updates', id, 'targets'), { recursive: true });
    rmSync(join(paths.policy, 'bundles', `${sha256Hex(bundleBytes(1))}.json`));
    await run();
    expect(store.readUpdate(sha256Hex(bundleBytes(1)), id)?.update_id).toBe(id);
    expect(existsSync(join(paths.policy, 'bundles', `${sha256Hex(bundleBytes(1))}.json`))).toBe(true);
  });
});
