import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { runHooks } from '../../daemon/commands/media-hooks.ts';
import {
  forgetOutcomes,
  readOutcome,
  wantExport,
  writeOutcome,
} from '../../daemon/commands/media-outcome.ts';
import { World } from '../world.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'hf-media-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

describe('a stick, step by step, as the units take it', () => {
  let world: World;

  beforeAll(async () => {
    world = await World.make();
    await world.daemon();
  }, 120_000);
  afterAll(async () => world?.close());

  test('brings an update, takes home what waits, and what came of it is said', {
    timeout: 120_000,
  }, async () => {
    const stick = join(dir, 'sdb1');
    const results = join(dir, 'results');
    const hooks = join(dir, 'hooks');
    for (const one of [results, hooks]) mkdirSync(one);
    cpSync(join(world.paths.publisher, 'repository'), stick, { recursive: true });
    mkdirSync(join(stick, 'holdfast-export'));
    writeFileSync(join(hooks, 'lamp'), '#!/bin/sh\necho "lamp: $*"\n', { mode: 0o755 });

    const taken = await world.json('media', 'take', stick, '--results', results);
    expect(taken).toMatchObject({ word: 'unchanged', applied: true, code: 0 });
    expect(existsSync(join(results, 'export-wanted'))).toBe(true);
    // The copy is gone; the medium was only read.
    expect(readdirSync(world.paths.inbox)).toEqual([]);
    expect(readdirSync(stick).sort()).toEqual(['holdfast-export', 'metadata', 'targets']);

    const given = await world.json('media', 'give', stick, '--results', results);
    expect(given).toMatchObject({ word: 'exported', failed: [], code: 0 });
    expect(JSON.stringify(given.written)).toMatch(/anchors\/\d+-\d+\.anchor.*receipt-/);

    const said = await world.holdfast('media', 'result', results, '--hooks', hooks);
    expect(said).toMatchObject({ code: 0, stderr: '' });
    expect(said.stdout).toContain('lamp: unchanged exported');
    expect(said.stdout).toMatch(/UNCHANGED.*Left \d+ files.*You can take the medium out/);
  });

  test('with a broken update is refused, and is asked for its export all the same', {
    timeout: 180_000,
  }, async () => {
    const stick = join(dir, 'sdc1');
    mkdirSync(join(stick, 'holdfast-export'), { recursive: true });
    mkdirSync(join(stick, 'metadata'));
    writeFileSync(join(stick, 'metadata/timestamp.json'), '{}');
    const taken = await world.json('media', 'take', stick, '--results', dir);
    expect(taken).toMatchObject({ word: 'refused', code: 3 });
    expect(readdirSync(dir).sort()).toEqual(['export-wanted', 'sdc1', 'take.json']);
    // The next stick does not ask: nothing of this one counts for it.
    mkdirSync(join(dir, 'sdd1'));
    expect(await world.json('media', 'take', join(dir, 'sdd1'), '--results', dir)).toMatchObject({
      word: 'nothing',
      code: 0,
    });
    expect(existsSync(join(dir, 'export-wanted'))).toBe(false);
  });
});

describe('what one step tells the next', () => {
  test('is a word of a list and one line, whatever was written', () => {
    writeOutcome(dir, 'take', { word: 'applied', text: 'serial 5\u001b[31m\nline two' });
    const { word, text } = readOutcome(dir, 'take') ?? { word: '', text: '' };
    expect(word).toBe('applied');
    expect(text).not.toMatch(/[\u0000-\u001f]/);
    for (const document of ['{"word":"--version; rm","text":5}', '[]', 'null', '7']) {
      writeFileSync(join(dir, 'take.json'), document);
      expect(readOutcome(dir, 'take')).toEqual({ word: 'failed', text: '' });
    }
    wantExport(dir);
    forgetOutcomes(dir);
    expect(readdirSync(dir)).toEqual([]);
    expect(readOutcome(dir, 'give')).toBeNull();
  });
});

describe('hooks', () => {
  const hook = (name: string, mode: number, body = 'exit 0'): void => {
    writeFileSync(join(dir, name), `#!/bin/sh\n${body}\n`);
    chmodSync(join(dir, name), mode);
  };

  test('run in the order of their names, and those that others may change do not run', async () => {
    hook('20-beep', 0o755);
    hook('10-lamp', 0o755, 'test "$1 $2" = "applied exported"');
    hook('30-open', 0o777);
    hook('40-plain', 0o644);
    hook('50-fails', 0o755, 'exit 7');
    mkdirSync(join(dir, '60-folder'));
    expect(await runHooks(dir, ['applied', 'exported'])).toEqual([
      { name: '10-lamp', code: 0, trouble: null },
      { name: '20-beep', code: 0, trouble: null },
      { name: '30-open', code: null, trouble: 'others may change it; chmod go-w it' },
      { name: '40-plain', code: null, trouble: 'it is not executable; chmod +x it' },
      { name: '50-fails', code: 7, trouble: 'exit code 7' },
      { name: '60-folder', code: null, trouble: 'it is not a file' },
    ]);
  });

  test('are none where there is no such directory', async () => {
    expect(await runHooks(join(dir, 'missing'), ['applied'])).toEqual([]);
  });
});
