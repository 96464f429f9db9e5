import { type SpawnSyncReturns, spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { readCosigned } from '../../daemon/commands/cosigned-files.ts';
import { anchorName } from '../../daemon/formats/anchor.ts';
import { openCosigned } from '../../daemon/formats/cosignature.ts';
import { firstLineage, rotated } from '../../daemon/formats/log-keys.ts';
import { parseVkey } from '../../daemon/formats/signed-note.ts';
import { framesOf } from '../../daemon/host/qr-code.ts';
import { FakeLog } from '../fake-log.ts';
import { ROOT } from '../structure/sources.ts';

/* The offline witness as its operator runs it: a laptop without a site, a key, a state file, and sticks. */

const MAIN = join(ROOT, 'daemon/main.ts');
const NAME = 'witness.example/w1';

let dir: string;
let log: FakeLog;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'hf-cosign-'));
  log = new FakeLog();
  mkdirSync(join(dir, 'stick'));
  expect(run('anchor', 'witness-key', 'w1.key', '--name', NAME, '--unprotected').status).toBe(0);
  return () => rmSync(dir, { recursive: true, force: true });
});

function run(...args: string[]): SpawnSyncReturns<string> {
  const env = { ...process.env, NO_COLOR: '1', HOLDFAST_DIR: join(dir, 'no-site') };
  return spawnSync(process.execPath, [MAIN, ...args], { cwd: dir, encoding: 'utf8', env });
}

const ARGS = ['--key', 'w1.key', '--state', 'w1.sqlite'];

function cosign(...more: string[]): { code: number | null; words: string; answer: Answered } {
  const { status, stdout, stderr } = run('anchor', 'cosign', 'stick', ...ARGS, '--json', ...more);
  const document =
    stdout === '' ? { logs: [] } : (JSON.parse(stdout) as { logs?: Answered[]; error?: Answered });
  return {
    code: status,
    words: stderr + stdout,
    answer: document.logs?.[0] ?? document.error ?? ({} as Answered),
  };
}

interface Answered {
  cosigned?: boolean;
  code?: string;
  size?: number;
  from?: number;
  gap?: number | null;
  note?: string;
}

const first = () => cosign('--first-seen', '--vkey', log.signer.vkey);

function stick(...links: [number, number, FakeLog?][]): void {
  for (const [old, size, of = log] of links)
    writeFileSync(join(dir, 'stick', anchorName({ old, size })), of.grow(size).anchorText(old, size));
}

function emptyStick(): void {
  for (const name of readdirSync(join(dir, 'stick'))) rmSync(join(dir, 'stick', name));
}

const vkey = () => readFileSync(join(dir, 'w1.key.pub'), 'utf8').trim();

describe('the offline witness', () => {
  it('gives its word on paper, too', async () => {
    stick([0, 5]);
    const { answer } = cosign('--first-seen', '--vkey', log.signer.vkey);
    expect(run('anchor', 'cosign', 'stick', ...ARGS, '--png', 'word.png').status).toBe(0);
    const pictures = readdirSync(dir).filter((name) => name.endsWith('.png'));
    const read = await readCosigned(pictures.map((name) => join(dir, name)));
    expect(read).toHaveLength(1);
    const trust = { log: { origin: log.origin, vkeys: [log.signer.vkey] }, witnesses: [parseVkey(vkey())] };
    const [word] = read;
    const note = word !== undefined && 'note' in word ? word.note : '';
    expect(openCosigned(note, trust)).toMatchObject({ size: 5, cosignatures: [{ witness: NAME }] });
    expect(openCosigned(answer.note ?? '', trust).size).toBe(5);
    // The same as a scanner types it, in any order; and nothing else in its place.
    const frames = framesOf('C', new TextEncoder().encode(note), 'terminal');
    writeFileSync(join(dir, 'typed.txt'), `${frames.toReversed().join('\r\n')}\n`);
    expect(await readCosigned([join(dir, 'typed.txt')])).toMatchObject([{ note }]);
    writeFileSync(join(dir, 'part.txt'), framesOf('A', new TextEncoder().encode(note), 'paper').join('\n'));
    writeFileSync(join(dir, 'blank.png'), Buffer.from('89504e470d0a1a0a', 'hex'));
    expect(await readCosigned([join(dir, 'part.txt'), join(dir, 'blank.png')])).toMatchObject([
      { error: { code: expect.stringMatching(/^picture\./) } },
      { error: { code: 'cosignature.other_kind' } },
    ]);
    expect(run('anchor', 'cosign', 'stick', ...ARGS, '--png', 'word.jpg')).toMatchObject({ status: 2 });
  });

  it('cosigns what it sees first, then only what continues it', () => {
    stick([0, 5]);
    const begun = first();
    expect(begun).toMatchObject({ code: 0, answer: { cosigned: true, size: 5, from: 0, gap: null } });
    const trust = { log: { origin: log.origin, vkeys: [log.signer.vkey] }, witnesses: [parseVkey(vkey())] };
    expect(openCosigned(begun.answer.note ?? '', trust).cosignatures).toMatchObject([{ witness: NAME }]);
    stick([5, 12], [12, 40]);
    expect(cosign('-o', 'back')).toMatchObject({ code: 0, answer: { size: 40, from: 5 } });
    expect(readdirSync(join(dir, 'back'))).toEqual(['40-witness.example_w1.note']);
    const note = readFileSync(join(dir, 'back/40-witness.example_w1.note'));
    expect(openCosigned(note, trust).cosignatures).toMatchObject([{ vkey: vkey() }]);
    expect(cosign()).toMatchObject({ code: 0, answer: { size: 40, from: 40 } });
  });

  it('begins nothing without being asked to', () => {
    stick([0, 5]);
    expect(cosign('--vkey', log.signer.vkey)).toMatchObject({
      code: 2,
      answer: { code: 'witness.no_state' },
    });
    expect(readdirSync(dir)).not.toContain('w1.sqlite');
    expect(cosign('--first-seen')).toMatchObject({ code: 13, answer: { code: 'witness.unknown_log' } });
    expect(cosign('--vkey', log.signer.vkey)).toMatchObject({
      code: 13,
      answer: { code: 'witness.unknown_log' },
    });
    expect(first().code).toBe(0);
    // A witness without its memory is not one: it does not go on as if nothing had been.
    rmSync(join(dir, 'w1.sqlite'));
    expect(cosign()).toMatchObject({ code: 2, answer: { code: 'witness.no_state' } });
  });

  it('takes the keys from a trust file, with the sizes that each may sign', () => {
    stick([0, 5]);
    const other = new FakeLog(log.origin, 9);
    const next = { vkey: other.signer.vkey, size: 6, rotation: 'a signed statement' };
    const logs = [rotated(firstLineage(log.origin, log.signer.vkey), next)];
    const root = Buffer.from('{}').toString('base64');
    const site = {
      v: 1,
      site: 'outpost-7.example',
      origin: log.origin,
      profile: 'dev',
      vkeys: [other.signer.vkey],
      root,
    };
    writeFileSync(join(dir, 'site.trust'), JSON.stringify({ ...site, logs }));
    expect(cosign('--first-seen', '--trust', 'site.trust')).toMatchObject({ code: 0, answer: { size: 5 } });
    // The old key signs on: stolen, or never retired.
    stick([5, 9]);
    expect(cosign()).toMatchObject({ code: 13, answer: { code: 'checkpoint.key_retired' } });
  });

  it('refuses what is older, another history, and what nothing proves', () => {
    stick([0, 5], [5, 12]);
    expect(first()).toMatchObject({ code: 0, answer: { size: 12 } });
    emptyStick();
    stick([0, 5]);
    expect(cosign()).toMatchObject({ code: 14, answer: { code: 'witness.behind' } });
    emptyStick();
    const fork = log.copy(3).grow(12, 'forged');
    stick([0, 12, fork]);
    expect(cosign()).toMatchObject({ code: 10, answer: { code: 'witness.split' } });
    emptyStick();
    fork.grow(20, 'forged');
    stick([12, 20, fork]);
    expect(cosign()).toMatchObject({ code: 10, answer: { code: 'witness.inconsistent' } });
    emptyStick();
    stick([14, 20]);
    expect(cosign()).toMatchObject({ code: 3, answer: { code: 'witness.unproven' } });
    // Nothing of it moved what it remembers.
    stick([12, 20]);
    expect(cosign()).toMatchObject({ code: 0, answer: { size: 20, from: 12 } });
  });

  it('refuses what the log did not sign, also among what it did', () => {
    stick([0, 5]);
    expect(first().code).toBe(0);
    const stranger = new FakeLog(log.origin, 9).grow(9);
    stick([5, 9, stranger]);
    expect(cosign()).toMatchObject({ code: 13, answer: { code: 'note.no_known_signature' } });
    emptyStick();
    const text = log.grow(9).anchorText(5, 9);
    writeFileSync(join(dir, 'stick', anchorName({ old: 5, size: 9 })), text.replace(/.{6}=\n$/, 'AAAAAA=\n'));
    expect(cosign()).toMatchObject({ code: 10, answer: { code: 'note.bad_signature' } });
    writeFileSync(join(dir, 'stick', anchorName({ old: 5, size: 9 })), 'old 5\nnonsense');
    const { code, words } = cosign();
    expect([code, words.includes('nothing was cosigned')]).toEqual([2, true]);
  });

  it('of two runs at once, both end well and neither goes back', async () => {
    stick([0, 5]);
    expect(first().code).toBe(0);
    const sizes = [
      [5, 12],
      [5, 20],
      [12, 20],
    ] as const;
    for (const [old, size] of sizes)
      writeFileSync(join(dir, anchorName({ old, size })), log.grow(20).anchorText(old, size));
    const start = (...files: string[]) =>
      new Promise<number | null>((done) => {
        const args = [MAIN, 'anchor', 'cosign', ...files, ...ARGS, '-o', 'back'];
        spawn(process.execPath, args, { cwd: dir, stdio: 'ignore' }).once('exit', done);
      });
    const [short, long] = await Promise.all([
      start(anchorName({ old: 5, size: 12 })),
      start(anchorName({ old: 5, size: 20 })),
    ]);
    // Whoever came second either follows, or is told that it is behind, or that nothing proves the step from there.
    expect(long === 0 || short === 0).toBe(true);
    expect([0, 3]).toContain(long);
    expect([0, 14]).toContain(short);
    stick([5, 12], [5, 20], [12, 20]);
    expect(cosign()).toMatchObject({ code: 0, answer: { size: 20 } });
  });

  it('keeps its key to itself', () => {
    stick([0, 5]);
    chmodSync(join(dir, 'w1.key'), 0o644);
    expect(first()).toMatchObject({ code: 2, answer: { code: 'secret.exposed' } });
    chmodSync(join(dir, 'w1.key'), 0o600);
    const again = run('anchor', 'witness-key', 'w1.key', '--name', NAME, '--unprotected', '--json');
    expect(JSON.parse(again.stdout)).toMatchObject({ error: { code: 'secret.exists' } });
    expect(parseVkey(vkey())).toMatchObject({ name: NAME, type: 4 });
    copyFileSync(join(dir, 'w1.key.pub'), join(dir, 'w1.copy'));
    expect(readFileSync(join(dir, 'w1.key'), 'utf8')).not.toContain(vkey().split('+').slice(2).join('+'));
  });

  it('opens a key under a passphrase', () => {
    stick([0, 5]);
    writeFileSync(join(dir, 'pass'), 'correct horse battery\n');
    const input = readFileSync(join(dir, 'pass'));
    const env = { ...process.env, NO_COLOR: '1' };
    const secret = (...args: string[]) =>
      spawnSync(process.execPath, [MAIN, ...args, '--passphrase-fd', '0'], {
        cwd: dir,
        input,
        encoding: 'utf8',
        env,
      });
    expect(secret('anchor', 'witness-key', 'w2.key', '--name', 'witness.example/w2').status).toBe(0);
    expect(readFileSync(join(dir, 'w2.key'), 'utf8')).toContain('BEGIN AGE ENCRYPTED FILE');
    const args = ['--key', 'w2.key', '--state', 'w2.sqlite', '--first-seen', '--vkey', log.signer.vkey];
    const cosigned = secret('anchor', 'cosign', 'stick', ...args);
    expect(cosigned.status).toBe(0);
    const witnesses = [parseVkey(readFileSync(join(dir, 'w2.key.pub'), 'utf8').trim())];
    const opened = openCosigned(cosigned.stdout, { log: { vkeys: [log.signer.vkey] }, witnesses });
    expect(opened.cosignatures).toMatchObject([{ witness: 'witness.example/w2' }]);
  });
});
