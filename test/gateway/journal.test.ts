import { spawn } from 'node:child_process';
import { appendFileSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { BoundaryError } from '../../daemon/formats/boundary-error.ts';
import { Journal } from '../../daemon/gateway/journal.ts';
import { readJournal } from '../../daemon/gateway/journal-format.ts';

const dir = mkdtempSync(join(tmpdir(), 'holdfast-journal-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));
let path = '';
let count = 0;
beforeEach(() => {
  count += 1;
  path = join(dir, `journal-${count}`);
});

const permit = (n: number) => `prm_0199${String(n).padStart(4, '0')}-0000-7000-8000-000000000000`;
const decision = (n: number) => permit(n).replace('prm_', 'dec_');
const at = '2026-11-21T00:00:00.000Z';
const tree = (size: number) => ({ origin: 'site.example/ledger', size });
const started = (journal: Journal, n: number, size = n + 1) => {
  expect(journal.claim(permit(n))).toBe('claimed');
  return journal.started({ permit: permit(n), decision: decision(n), at, tree: tree(size) });
};
const ended = (journal: Journal, n: number) =>
  journal.ended({
    permit: permit(n),
    decision: decision(n),
    at,
    result: 'succeeded',
    detail: { exit_code: 0 },
  });

it('a permit that was closed below the floor does not lower it', async () => {
  for (const [remembered, numbers] of [
    [1, [5, 6, 7]],
    [2, [1]],
  ] as const) {
    const journal = await Journal.open(path, remembered);
    for (const n of numbers) {
      journal.claim(permit(n));
      await ended(journal, n);
      await journal.reported(permit(n), at);
    }
    await journal.close();
    await (await Journal.open(path, 1)).close();
  }
  const journal = await Journal.open(path, 1);
  expect(journal.claim(permit(6))).toBe('too_old');
  await journal.close();
});

it('stays small enough to be opened again, whatever runs, and forgets no permit', async () => {
  const journal = await Journal.open(path, 3, 4_096);
  await started(journal, 1);
  for (let n = 2; n < 60; n++) {
    await started(journal, n);
    await ended(journal, n);
    await journal.reported(permit(n), at);
  }
  expect(statSync(path).size).toBeLessThan(8_192);
  expect(journal.openRuns().map((run) => run.permit_id)).toEqual([permit(1)]);
  for (const n of [1, 59]) expect(journal.claim(permit(n))).toBe('used');
  for (const n of [2, 30]) expect(journal.claim(permit(n))).not.toBe('claimed');
  await journal.close();
  const again = await Journal.open(path, 3);
  expect(again.openRuns().map((run) => run.permit_id)).toEqual([permit(1)]);
  for (const n of [2, 30, 59]) expect(again.claim(permit(n))).not.toBe('claimed');
  expect(again.tree).toEqual(tree(60));
  await again.close();
});

describe('a permit runs once', () => {
  it('is claimed once, and again only after it was given back', async () => {
    const journal = await Journal.open(path);
    expect(journal.claim(permit(1))).toBe('claimed');
    expect(journal.claim(permit(1))).toBe('used');
    journal.release(permit(1));
    expect(journal.claim(permit(1))).toBe('claimed');
    await journal.close();
  });

  it.each(['started', 'ended', 'reported'])('stays used across restarts once it is %s', async (until) => {
    let journal = await Journal.open(path);
    await started(journal, 1);
    if (until !== 'started') await ended(journal, 1);
    if (until === 'reported') await journal.reported(permit(1), at);
    for (let restart = 0; restart < 3; restart++) {
      await journal.close();
      journal = await Journal.open(path);
      expect(journal.claim(permit(1))).toBe('used');
      journal.release(permit(1));
      expect(journal.claim(permit(1))).toBe('used');
      const result = until === 'ended' ? 'succeeded' : null;
      expect(journal.openRuns().map((run) => run.result)).toEqual(until === 'reported' ? [] : [result]);
    }
    await journal.close();
  });

  it('forgets the oldest ids only behind a floor that keeps them used', async () => {
    let journal = await Journal.open(path);
    for (let n = 1; n <= 6; n++) {
      await started(journal, n);
      await ended(journal, n);
      if (n !== 2) await journal.reported(permit(n), at);
    }
    await journal.close();
    const before = statSync(path).size;
    journal = await Journal.open(path, 2);
    expect(statSync(path).size).toBeLessThan(before);
    expect([1, 3, 4].map((n) => journal.claim(permit(n)))).toEqual(['too_old', 'too_old', 'too_old']);
    expect([2, 5, 6].map((n) => journal.claim(permit(n)))).toEqual(['used', 'used', 'used']);
    expect(journal.claim(permit(7))).toBe('claimed');
    expect(journal.openRuns()).toMatchObject([{ permit_id: permit(2), result: 'succeeded' }]);
    await journal.close();
  });

  it('remembers the largest tree of the newest origin', async () => {
    let journal = await Journal.open(path);
    await Promise.all([started(journal, 1, 40), started(journal, 2, 30)]);
    await journal.close();
    journal = await Journal.open(path);
    expect(journal.tree).toEqual(tree(40));
    await journal.close();
  });
});

describe('the file', () => {
  it('is for the gateway alone', async () => {
    await (await Journal.open(path)).close();
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  it('loses a torn last line and nothing else, wherever it is torn', async () => {
    const journal = await Journal.open(path);
    await started(journal, 1);
    await started(journal, 2);
    await journal.close();
    const whole = readFileSync(path);
    const lastLine = whole.lastIndexOf(10, whole.length - 2) + 1;
    for (let cut = lastLine; cut < whole.length; cut++) {
      const state = readJournal(whole.subarray(0, cut));
      expect([...state.open.keys()]).toEqual([permit(1)]);
    }
  });

  it.each([
    ['a line that is not JSON', 'not json\n'],
    ['an unknown event', '{"event":"paused","permit":"x"}\n'],
    ['a member too many', `{"event":"closed","permit":"${permit(9)}","x":1}\n`],
    ['a member too few', '{"event":"closed"}\n'],
    ['a permit id that is none', '{"event":"closed","permit":"prm_1"}\n'],
    [
      'a result that is none',
      `{"at":"","decision":"d","detail":{},"event":"ended","permit":"${permit(9)}","result":"ok"}\n`,
    ],
    [
      'a permit started twice',
      `{"at":"","decision":"d","event":"started","permit":"${permit(1)}","tree":{"origin":"o","size":1}}\n`,
    ],
    ['an outcome of nothing', `{"at":"","event":"reported","permit":"${permit(9)}"}\n`],
    ['NUL bytes', '\0\0\0\n'],
    ['bytes that are not UTF-8', Buffer.from([0xff, 0xfe, 10])],
  ])('is refused with %s', async (_what, line) => {
    const journal = await Journal.open(path);
    await started(journal, 1);
    await journal.close();
    appendFileSync(path, line);
    const before = readFileSync(path);
    await expect(Journal.open(path)).rejects.toMatchObject({ code: 'journal.damaged' });
    expect(readFileSync(path)).toEqual(before);
  });

  it('parses or is refused with a BoundaryError, whatever it holds', () => {
    const line = fc.oneof(fc.string(), fc.json());
    fc.assert(
      fc.property(fc.array(line), (lines) => {
        try {
          readJournal(Buffer.from(lines.map((text) => `${text}\n`).join('')));
        } catch (error) {
          expect(error).toBeInstanceOf(BoundaryError);
        }
      }),
    );
  });

  it('holds every acknowledged line after kill -9', async () => {
    const module = join(import.meta.dirname, '../../daemon/gateway/journal.ts');
    const source = `import { writeSync } from 'node:fs';
      const { Journal } = await import(${JSON.stringify(module)});
      const journal = await Journal.open(${JSON.stringify(path)});
      for (let n = 1; ; n++) {
        const permit = 'prm_0199' + String(n).padStart(4, '0') + '-0000-7000-8000-000000000000';
        journal.claim(permit);
        await journal.started({ permit, decision: 'd', at: '', tree: { origin: 'o', size: n } });
        writeSync(1, permit + '\\n');
      }`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', source], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let acknowledged = '';
    child.stdout.on('data', (chunk) => {
      acknowledged += chunk;
      if (acknowledged.length > 40 * 50) child.kill('SIGKILL');
    });
    await new Promise((done) => child.once('close', done));
    const permits = acknowledged.split('\n').slice(0, -1);
    const journal = await Journal.open(path);
    expect(permits.length).toBeGreaterThan(40);
    expect(permits.map((id) => journal.claim(id)).filter((answer) => answer !== 'used')).toEqual([]);
    await journal.close();
  });

  it('takes no further line once a write has failed', async () => {
    writeFileSync(path, '');
    const journal = await Journal.open(path);
    await journal.close();
    const failure = { code: 'journal.unwritable' };
    await expect(started(journal, 1)).rejects.toMatchObject(failure);
    await expect(ended(journal, 1)).rejects.toMatchObject(failure);
    expect(journal.claim(permit(1))).toBe('used');
  });
});
