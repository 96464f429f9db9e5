import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { anchorName } from '../../daemon/formats/anchor.ts';
import { notedHead } from '../../daemon/formats/cosignature.ts';
import { openWitnessStore } from '../../daemon/ledger/witness-store.ts';
import { FakeLog } from '../fake-log.ts';
import { PROGRAM } from '../program.ts';
import { inject, noStrace, withStrace } from './strace.ts';

/*
 * The offline witness dies at one of its writes. Whatever it cosigned it remembers; what it remembers and did not hand out
 * it cosigns again.
 */

const base = mkdtempSync(join(tmpdir(), 'hf-kill-witness-'));
const log = new FakeLog().grow(12);
/** More than it makes in one run. */
const MOST_CALLS = 12;

afterAll(() => rmSync(base, { recursive: true, force: true }));

function run(dir: string, words: readonly string[], ...args: string[]): number | null {
  const [program = '', ...rest] = [...words, ...PROGRAM, ...args];
  return spawnSync(program, rest, { cwd: dir, stdio: 'ignore' }).status;
}

const cosign = (dir: string, fault: string | null): number | null =>
  run(
    dir,
    fault === null ? [] : inject(fault),
    ...['anchor', 'cosign', 'stick', '--key', 'w.key', '--state', 'w.sqlite', '-o', 'back'],
  );

/** A witness that cosigned five entries, and a stick with twelve. */
function begin(): string {
  const dir = join(base, 'begun');
  mkdirSync(join(dir, 'stick'), { recursive: true });
  const put = (old: number, size: number) =>
    writeFileSync(join(dir, 'stick', anchorName({ old, size })), log.anchorText(old, size));
  put(0, 5);
  expect(run(dir, [], 'anchor', 'witness-key', 'w.key', '--name', 'w.example', '--unprotected')).toBe(0);
  const first = ['anchor', 'cosign', 'stick', '--key', 'w.key', '--state', 'w.sqlite', '--first-seen'];
  expect(run(dir, [], ...first, '--vkey', log.signer.vkey)).toBe(0);
  put(5, 12);
  return dir;
}

function remembered(dir: string): number | undefined {
  const store = openWitnessStore(join(dir, 'w.sqlite'));
  try {
    return store.read(log.origin)?.size;
  } finally {
    store.close();
  }
}

/** Sizes that it handed out, whole files only. */
function handedOut(dir: string): number[] {
  const back = join(dir, 'back');
  const names = existsSync(back) ? readdirSync(back).filter((name) => !name.startsWith('.')) : [];
  return names.map((name) => notedHead(readFileSync(join(back, name))).size);
}

describe('a witness that is killed', () => {
  it.skipIf(noStrace !== null)(
    `never hands out what it does not remember${withStrace}`,
    () => {
      const begun = begin();
      const ends: string[] = [];
      for (const calls of ['fsync', 'fdatasync', 'rename'] as const)
        for (let at = 1; at <= MOST_CALLS; at += 1) {
          const dir = join(base, `${calls}-${at}`);
          cpSync(begun, dir, { recursive: true });
          const code = cosign(dir, `${calls}:signal=SIGKILL:when=${at}`);
          const [size, out] = [remembered(dir), handedOut(dir)];
          expect([5, 12]).toContain(size);
          for (const one of out) expect(one).toBeLessThanOrEqual(size ?? 0);
          ends.push(`${size} ${out.length}`);
          expect(cosign(dir, null)).toBe(0);
          expect([remembered(dir), handedOut(dir)]).toEqual([12, [12]]);
          if (code === 0) break;
        }
      // It did die before it remembered, between that and handing it out, and after.
      expect(new Set(ends)).toEqual(new Set(['5 0', '12 0', '12 1']));
    },
    300_000,
  );
});
