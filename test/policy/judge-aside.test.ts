import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { GoodUpdate, JudgeJob, Judgement } from '../../daemon/policy/judge.ts';
import { judgeUpdate } from '../../daemon/policy/judge.ts';
import { judgeAside } from '../../daemon/policy/judge-aside.ts';
import { PolicyStore } from '../../daemon/policy/store.ts';
import { temporaryDir } from '../host/temporary.ts';
import { bundleBytes, NOW, PublisherWorld, SITE } from './publisher-world.ts';

function fixture(): { publisher: PublisherWorld; job: () => JudgeJob } {
  const publisher = new PublisherWorld(temporaryDir());
  publisher.publish(1);
  const root = join(temporaryDir(), 'root.json');
  writeFileSync(root, publisher.root);
  const job = (): JudgeJob => ({
    path: publisher.dir,
    area: temporaryDir(),
    site: SITE,
    store: temporaryDir(),
    root,
    inForce: null,
    now: NOW,
    ledger: null,
  });
  return { publisher, job };
}

type Judge = (job: JudgeJob, onGood: (update: GoodUpdate) => void) => Promise<Judgement>;
const WAYS: [string, Judge][] = [
  ['in this thread', judgeUpdate],
  ['on a thread of its own', judgeAside],
  ['by a second thread, the first having no time', (job, onGood) => judgeAside(job, onGood, 0)],
];

describe.each(WAYS)('an update judged %s', (_where, judge) => {
  it('is stored before anybody hears that it is good', async () => {
    const { job } = fixture();
    const work = job();
    const heard: GoodUpdate[] = [];
    const judgement = await judge(work, (update) => {
      expect(readdirSync(join(work.store, 'updates'))).toEqual([update.updateId]);
      heard.push(update);
    });
    expect(heard).toHaveLength(1);
    expect(judgement).toMatchObject({ ...heard[0], flips: null, siteTarget: { serial: 1 } });
    expect(judgement.added.bundles).toHaveLength(1);
    expect(existsSync(join(work.area, '.staging'))).toBe(false);
  });

  it('that is refused is refused by its code, stored nowhere, and heard of by nobody', async () => {
    const { publisher, job } = fixture();
    publisher.edit('metadata/timestamp.json', { version: 9 });
    const work = job();
    const refused = judge(work, () => expect.fail('it is not good'));
    await expect(refused).rejects.toMatchObject({ name: 'BoundaryError', code: 'update.bad_signature' });
    expect(readdirSync(join(work.store, 'updates'))).toEqual([]);
    expect(existsSync(join(work.area, '.staging'))).toBe(false);
  });

  it('whose bundle has the shape of one and defects is refused with what they are', async () => {
    const { publisher, job } = fixture();
    const good = JSON.parse(Buffer.from(bundleBytes(2)).toString('utf8')) as object;
    const text = JSON.stringify({ ...good, gates: [gate('payload.x')] }, sortedKeys);
    publisher.publish(2, { bytes: Buffer.from(text) });
    const refused = judge(job(), () => expect.fail('it is not good'));
    await expect(refused).rejects.toMatchObject({
      code: 'update.bundle_defective',
      message: expect.stringMatching(/not accepted.*gates.*stays as it was/s),
    });
  });

  it('fails loudly when it is a bug: the job names no store', async () => {
    const { job } = fixture();
    await expect(judge({ ...job(), store: undefined as never }, () => {})).rejects.not.toMatchObject({
      name: 'BoundaryError',
    });
  });
});

const gate = (condition: string) => ({
  condition,
  id: 'g',
  otherwise: 'fail',
  reason: 'So.',
  classes: ['nobody'],
});

/** For `JSON.stringify`: members in RFC 8785 order. */
function sortedKeys(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}

it('an update of which a bundle was there before takes away only what it brought, when it is dropped', async () => {
  const { publisher, job } = fixture();
  const work = job();
  const first = await judgeUpdate(work, () => {});
  publisher.publish(1, { environments: ['staging'] });
  const second = await judgeUpdate(work, () => {});
  expect(second.added).toEqual({ update: second.updateId, bundles: [] });
  const store = new PolicyStore(work.store);
  store.drop(second.added);
  expect(readdirSync(join(work.store, 'updates'))).toEqual([first.updateId]);
  expect(readdirSync(join(work.store, 'bundles'))).toHaveLength(1);
  store.drop(first.added);
  expect(readdirSync(join(work.store, 'bundles'))).toEqual([]);
});
