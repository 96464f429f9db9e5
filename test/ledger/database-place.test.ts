import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { isThere } from '../../daemon/ledger/database-place.ts';
import { viewLedger } from '../../daemon/ledger/open.ts';
import { verifyLedger } from '../../daemon/ledger/verify.ts';
import { lockWriter } from '../../daemon/ledger/writer-lock.ts';
import { temporaryDir } from '../host/temporary.ts';
import { create, type Files, filesIn, grow, ORIGIN, storeHead, TRUST } from './fixture.ts';

const SETPRIV = '/usr/bin/setpriv';
const NOBODY = '65534';

function ledgerIn(directory: string): Files {
  const files = filesIn(directory);
  const ledger = create(files);
  grow(ledger, 3, 2);
  storeHead(files, ledger);
  ledger.close();
  return files;
}

const codeOf = (work: () => unknown): string => {
  try {
    work();
    return 'nothing';
  } catch (error) {
    return (error as { code: string }).code;
  }
};

test('a file that is not there is told from a name that leads nowhere', () => {
  const dir = temporaryDir();
  expect(isThere(dir, 'ledger')).toBe(true);
  expect(isThere(join(dir, 'none'), 'ledger')).toBe(false);
  expect(isThere(join(dir, 'none/deeper'), 'ledger')).toBe(false);
});

describe.runIf(process.geteuid?.() === 0 && existsSync(SETPRIV))('an account that may not', () => {
  /** What another account gets when it calls `name(...args)` of one of our modules. */
  function asNobody(module: string, call: string): string {
    const url = join(import.meta.dirname, '../../daemon/ledger', module);
    const script = `import * as it from ${JSON.stringify(url)};
      try { await it.${call}; console.log('nothing'); } catch (error) { console.log(error.code, error.message); }`;
    const node = [process.execPath, '--input-type=module', '-e', script];
    const ran = spawnSync(SETPRIV, ['--reuid', NOBODY, '--regid', NOBODY, '--clear-groups', ...node], {
      encoding: 'utf8',
    });
    return ran.stdout + ran.stderr;
  }

  test('see into the directory is not told that the ledger is gone', () => {
    const dir = temporaryDir();
    const state = join(dir, 'state');
    mkdirSync(state, { mode: 0o700 });
    chmodSync(dir, 0o755);
    const { ledger } = ledgerIn(state);
    const named = JSON.stringify({ ledgerPath: ledger, trust: { origin: ORIGIN, vkeys: [], logs: [] } });
    for (const [module, call] of [
      ['verify.ts', `verifyLedger(${named})`],
      ['open.ts', `viewLedger(${JSON.stringify(ledger)}, { origin: 'x', vkeys: [] })`],
      ['writer-lock.ts', `lockWriter(${JSON.stringify(ledger)})`],
    ] as const) {
      const said = asNobody(module, call);
      expect(said, call).toMatch(/^database\.forbidden This account may not (read|write) the ledger/);
      expect(said).toContain('account');
      expect(said).not.toMatch(/restore|init/i);
    }
  });
});

test('a read-only disk is no damage, and nobody is told to restore over it', async (context) => {
  const disk = temporaryDir();
  const mount = (...words: string[]) => spawnSync('mount', [...words, disk]).status === 0;
  if (!mount('-t', 'tmpfs', '-o', 'size=8m', 'tmpfs')) return context.skip('mounting needs root');
  onTestFinished(() => void spawnSync('umount', [disk]));
  const files = ledgerIn(disk);
  if (!mount('-o', 'remount,ro')) return context.skip('the disk cannot be made read-only');
  const options = { ledgerPath: files.ledger, headPath: files.head, trust: TRUST };
  const refused = { code: 'database.readonly_disk', message: expect.stringMatching(/read-only.*remount/) };
  await expect(verifyLedger({ ...options, inPlace: true })).rejects.toMatchObject(refused);
  await expect(verifyLedger({ ...options, inPlace: true })).rejects.not.toThrow(/restore/);
  expect(codeOf(() => viewLedger(files.ledger, TRUST))).toBe(refused.code);
  expect(codeOf(() => lockWriter(files.ledger))).toBe(refused.code);
  // What the message advises.
  expect(await verifyLedger(options)).toMatchObject({ code: 0 });
});
