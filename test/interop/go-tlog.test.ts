import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { toHex } from '../../daemon/formats/digest.ts';
import { extendTileDirectory } from '../../daemon/ledger/tile-directory.ts';
import { temporaryDir } from '../host/temporary.ts';
import { create, filesIn, grow, SIGNER, TRUST } from '../ledger/fixture.ts';

/*
 * Our tile directories under Go's own golang.org/x/mod/sumdb (note and tlog): signature, every entry's inclusion, consistency.
 * Run where Go is, and where it can get that module (from its cache, or its proxy).
 */

const MODULE = 'golang.org/x/mod';
const VERSION = 'v0.31.0';
const SOURCE = fileURLToPath(new URL('./go/tiles.go', import.meta.url));

/** The checker, built; null where that cannot be done here. */
function build(): string | null {
  const directory = mkdtempSync(join(tmpdir(), 'hf-go-'));
  copyFileSync(SOURCE, join(directory, 'tiles.go'));
  writeFileSync(join(directory, 'go.mod'), `module tiles\n\ngo 1.24\n\nrequire ${MODULE} ${VERSION}\n`);
  const go = (...args: string[]) =>
    spawnSync('go', args, { cwd: directory, env: { ...process.env, GOFLAGS: '-mod=mod' }, stdio: 'pipe' });
  const built = go('build', '-o', 'tiles', '.');
  if (built.error === undefined && built.status === 0) return directory;
  rmSync(directory, { recursive: true, force: true });
  return null;
}

const isHere = spawnSync('go', ['version'], { stdio: 'pipe' }).status === 0;

describe.skipIf(!isHere)('golang.org/x/mod/sumdb (Go)', () => {
  let built: string | null = null;

  beforeAll(() => {
    built = build();
  }, 240_000);

  afterAll(() => {
    if (built !== null) rmSync(built, { recursive: true, force: true });
  });

  function check(directory: string): { status: number | null; stdout: string; stderr: string } {
    return spawnSync(join(built ?? '', 'tiles'), [directory, SIGNER.vkey], { encoding: 'utf8' });
  }

  it('accepts every entry of our directories, written at once or by pieces', {
    timeout: 180_000,
  }, (context) => {
    if (built === null) return context.skip(`${MODULE} cannot be had here`);
    for (const pieces of [[1], [255], [256], [300, 1, 400], [512, 200]]) {
      const ledger = create(filesIn(temporaryDir()));
      const directory = join(temporaryDir(), 'tiles');
      for (const piece of pieces) {
        grow(ledger, piece, 100);
        extendTileDirectory(ledger, directory, { trust: TRUST });
      }
      const checked = check(directory);
      expect(checked.stderr).toBe('');
      expect(checked.stdout.trim()).toBe(`${ledger.size} entries, ${toHex(ledger.root())}`);
      ledger.close();
    }
  });

  it('refuses one in which a byte of an entry was changed', { timeout: 180_000 }, (context) => {
    if (built === null) return context.skip(`${MODULE} cannot be had here`);
    const ledger = create(filesIn(temporaryDir()));
    const directory = join(temporaryDir(), 'tiles');
    grow(ledger, 300, 100);
    extendTileDirectory(ledger, directory, { trust: TRUST });
    ledger.close();
    const bundle = join(directory, 'tile/entries/000');
    const bytes = readFileSync(bundle);
    bytes[1_000] = (bytes[1_000] ?? 0) ^ 1;
    writeFileSync(bundle, bytes);
    expect(check(directory).status).toBe(1);
  });
});
