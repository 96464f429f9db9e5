import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { completeFromCopy } from '../../daemon/backup/complete.ts';
import { type HeadSources, knownHeads } from '../../daemon/backup/known-heads.ts';
import { backupName, backupsIn, rotate } from '../../daemon/backup/rotation.ts';
import { assertAtHead, judgeHeads } from '../../daemon/commands/restore/heads.ts';
import { isOfFormerLog } from '../../daemon/engine/succeed.ts';
import { formatAnchor } from '../../daemon/formats/anchor.ts';
import { toHex } from '../../daemon/formats/digest.ts';
import type { SignedAct } from '../../daemon/formats/signed-act.ts';
import type { LedgerWriter } from '../../daemon/ledger/append.ts';
import { viewLedger } from '../../daemon/ledger/open.ts';
import { extendTileDirectory } from '../../daemon/ledger/tile-directory.ts';
import { verifyLedger } from '../../daemon/ledger/verify.ts';
import { temporaryDir } from '../host/temporary.ts';
import {
  commitBatch,
  copyFiles,
  create,
  filesIn,
  grow,
  nextEntry,
  open,
  signerOf,
  storeHead,
  TRUST,
} from '../ledger/fixture.ts';

/** Writes the ledger's newest head as an anchor into `directory`. */
function anchor(ledger: LedgerWriter, directory: string): void {
  const checkpoint = ledger.checkpoint() ?? '';
  writeFileSync(join(directory, `${ledger.size}.anchor`), formatAnchor({ old: 0, proof: [], checkpoint }));
}

const NOWHERE = { anchors: [], head: null, copy: null };

describe('heads known elsewhere', () => {
  test('agree with what was restored, go beyond it, or contradict it', () => {
    const files = filesIn(temporaryDir());
    const restored = filesIn(temporaryDir());
    const [same, beyond, other] = [temporaryDir(), temporaryDir(), temporaryDir()];
    const ledger = create(files);
    grow(ledger, 100, 10);
    anchor(ledger, same);
    ledger.close();
    copyFiles(files, restored);
    const longer = open(files);
    grow(longer, 30, 10);
    anchor(longer, beyond);
    longer.close();
    const fork = create(filesIn(temporaryDir()));
    grow(fork, 40, 5);
    anchor(fork, other);
    fork.close();

    const view = viewLedger(restored.ledger, TRUST);
    const judge = (...anchors: string[]) =>
      judgeHeads(view, knownHeads({ ...NOWHERE, anchors }, TRUST).heads);
    expect(judge(same)).toMatchObject({ beyond: null, exact: { size: 100 }, checked: 1 });
    expect(judge(same, beyond)).toMatchObject({ beyond: { size: 130 }, exact: { size: 100 } });
    expect(() => judge(same, other)).toThrow(expect.objectContaining({ code: 'restore.other_history' }));
    view.close();
  });

  test('count by signature: those by other keys say nothing', () => {
    const files = filesIn(temporaryDir());
    const directory = temporaryDir();
    const ledger = create(files);
    grow(ledger, 10, 10);
    anchor(ledger, directory);
    ledger.close();
    mkdirSync(join(directory, 'deeper'));
    writeFileSync(join(directory, 'deeper', 'noise.anchor'), 'old 0\n\nnonsense');
    const stranger = { origin: TRUST.origin, vkeys: [signerOf(9).vkey] };
    expect(knownHeads({ ...NOWHERE, anchors: [directory] }, TRUST)).toMatchObject({ others: 1 });
    expect(knownHeads({ ...NOWHERE, anchors: [directory] }, stranger)).toMatchObject({
      heads: [],
      others: 2,
    });
    expect(knownHeads({ ...NOWHERE, anchors: [directory] }, stranger).unbelieved).toBe(1);
    expect(knownHeads({ ...NOWHERE, anchors: [directory] }, TRUST).unbelieved).toBe(0);
    expect(() => knownHeads({ ...NOWHERE, anchors: [temporaryDir()] }, TRUST)).toThrow(/no anchors/);
  });

  test('allow the same log only at an orderly end that somebody else knows too', () => {
    const files = filesIn(temporaryDir());
    const ledger = create(files);
    grow(ledger, 20, 10);
    const head = () => ({ size: ledger.size, root: toHex(ledger.root()), where: 'head' });
    const running = head();
    const at = (exact: ReturnType<typeof head> | null, hasKey = true) =>
      assertAtHead(ledger, { beyond: null, exact, checked: 1 }, hasKey);
    expect(() => at(running)).toThrow(/did not|not that the daemon stopped/);
    ledger.begin();
    ledger.append('system', nextEntry(ledger, 'system', 'end', 'system.stopped'));
    ledger.seal();
    ledger.commit();
    const stopped = head();
    expect(() => at(stopped)).not.toThrow();
    expect(() => at(null)).toThrow(/ends exactly there/);
    expect(() => at(stopped, false)).toThrow(/without keys/);
    const beyond = { ...stopped, size: 99 };
    expect(() => assertAtHead(ledger, { beyond, exact: stopped, checked: 2 }, true)).toThrow(/later head/);
    ledger.close();
  });
});

describe('the second copy', () => {
  test('completes what a backup lacks, entry by entry, at whatever size the backup was made', async () => {
    const sizes = fc.tuple(fc.integer({ min: 1, max: 600 }), fc.integer({ min: 1, max: 400 }));
    await fc.assert(
      fc.asyncProperty(sizes, async ([first, more]) => {
        const files = filesIn(temporaryDir());
        const restored = filesIn(temporaryDir());
        const ledger = create(files);
        grow(ledger, first, 64);
        ledger.close();
        copyFiles(files, restored);
        const longer = open(files);
        grow(longer, more, 64);
        const copy = join(temporaryDir(), 'copy');
        extendTileDirectory(longer, copy, { trust: TRUST });
        longer.close();
        expect(completeFromCopy(restored.ledger, copy, TRUST)).toBe(more);
        const report = await verifyLedger({ ledgerPath: restored.ledger, trust: TRUST, inPlace: true });
        expect(report).toMatchObject({ code: 0, entries: first + more });
      }),
      { numRuns: 8 },
    );
  });

  test('of another history completes nothing', () => {
    const restored = filesIn(temporaryDir());
    const ledger = create(restored);
    grow(ledger, 50, 10);
    storeHead(restored, ledger);
    ledger.close();
    const fork = create(filesIn(temporaryDir()));
    grow(fork, 80, 7);
    const copy = join(temporaryDir(), 'copy');
    extendTileDirectory(fork, copy, { trust: TRUST });
    fork.close();
    expect(() => completeFromCopy(restored.ledger, copy, TRUST)).toThrow(
      expect.objectContaining({ code: 'tiles.other_history' }),
    );
    const view = viewLedger(restored.ledger, TRUST);
    expect(view.size).toBe(50);
    view.close();
  });
});

test('what is given and tells nothing is a mistake that is said, not a comparison', () => {
  const files = filesIn(temporaryDir());
  const ledger = create(files);
  grow(ledger, 10, 10);
  ledger.close();
  const directory = temporaryDir();
  const noise = join(directory, 'noise.anchor');
  writeFileSync(noise, 'old 0\n\nnonsense');
  const codeOf = (sources: Partial<HeadSources>): unknown => {
    try {
      knownHeads({ ...NOWHERE, ...sources }, { ...TRUST, origin: `${TRUST.origin}/7` });
      return null;
    } catch (error) {
      return (error as { code?: unknown }).code;
    }
  };
  expect(codeOf({ anchors: [noise] })).toBe('anchor.none');
  expect(codeOf({ anchors: [directory] })).toBe('anchor.none');
  expect(codeOf({ anchors: [join(directory, 'nowhere')] })).toBe('file.missing');
  // No head store at all, one of another log, none there.
  expect(codeOf({ head: noise })).toBe('restore.no_head');
  expect(codeOf({ head: files.ledger })).toBe('restore.no_head');
  expect(codeOf({ head: files.head })).toBe('restore.no_head');
  // What would be read for ever.
  execFileSync('mkfifo', [join(directory, 'pipe')]);
  expect(codeOf({ head: join(directory, 'pipe') })).toBe('restore.no_head');
  expect(codeOf({ head: join(directory, 'nowhere') })).toBe('file.missing');
  expect(codeOf({ copy: join(directory, 'nowhere') })).toBe('file.missing');
});

test('the head store of the old site is evidence: nothing is written beside it', () => {
  const files = filesIn(temporaryDir());
  const ledger = create(files);
  grow(ledger, 20, 10);
  storeHead(files, ledger);
  ledger.close();
  const alone = temporaryDir();
  const head = join(alone, 'head.sqlite');
  copyFileSync(files.head, head);
  if (existsSync(`${files.head}-wal`)) copyFileSync(`${files.head}-wal`, `${head}-wal`);
  const before = readdirSync(alone);
  const { heads } = knownHeads({ ...NOWHERE, head }, TRUST);
  expect(heads).toMatchObject([{ size: 20, where: head }]);
  expect(readdirSync(alone)).toEqual(before);
});

test('a signed act of before the restore counts no more, unless it names the new log', () => {
  const first = create(filesIn(temporaryDir()));
  commitBatch(first, ['dec_1']);
  const began = '2026-02-03T04:05:06.789Z';
  const entry = (index: number) => first.entry(index);
  const act = (issued_at: string, seen_checkpoint: string | null) =>
    ({ issued_at, seen_checkpoint }) as SignedAct;
  const next = { origin: `${TRUST.origin}/2`, entry };
  expect(isOfFormerLog(act('2026-02-03T04:05:06.000Z', null), next)).toBe(true);
  expect(isOfFormerLog(act('2026-02-03T04:05:06.000Z', `${TRUST.origin}\n7\nx\n`), next)).toBe(true);
  expect(isOfFormerLog(act('2020-01-01T00:00:00.000Z', `${next.origin}\n7\nx\n`), next)).toBe(false);
  expect(isOfFormerLog(act(began, null), next)).toBe(false);
  // A site that was never restored asks nothing of the kind.
  expect(isOfFormerLog(act('2020-01-01T00:00:00.000Z', null), { origin: TRUST.origin, entry })).toBe(false);
  first.close();
});

test('rotation keeps the newest, and touches nothing that is not its own', () => {
  const directory = temporaryDir();
  const day = 86_400_000;
  const names = [0, 1, 2, 3, 4].map((n) => backupName('example.org/site-7', Date.UTC(2026, 0, 1) + n * day));
  const foreign = ['holdfast-other-20260101T000000Z.tar.zst.age', 'notes.txt', `${names[0]}.old`];
  for (const name of [...names, ...foreign]) writeFileSync(join(directory, name), '');
  expect(names[0]).toBe('holdfast-example.org_site-7-20260101T000000Z.tar.zst.age');
  expect(rotate(directory, 'example.org/site-7', 2, Date.now())).toEqual(names.slice(0, 3));
  expect(backupsIn(directory, 'example.org/site-7')).toEqual(names.slice(3));
  expect(backupsIn(directory, 'other')).toEqual([foreign[0]]);
});
