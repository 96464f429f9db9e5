import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CATALOGUE } from '../../../daemon/commands/catalogue.ts';
import { wholeProgram } from '../../../daemon/commands/program.ts';
import { manualPages } from '../../../daemon/commands/reference/man.ts';
import { everyCommand, specOf } from '../../../daemon/commands/reference/spec.ts';
import { writeManual } from '../../../packaging/man.ts';

const out = mkdtempSync(join(tmpdir(), 'holdfast-manual-'));
const man = join(out, 'man');
beforeAll(() => writeManual(out));
afterAll(() => rmSync(out, { recursive: true }));

const has = (program: string): boolean => spawnSync('which', [program]).status === 0;
const files = (): string[] => readdirSync(man).map((name) => join(man, name));

describe('the manual', () => {
  it('has a page for the program and one for each command', () => {
    const expected = ['holdfast.1', ...Object.keys(CATALOGUE).map((name) => `holdfast-${name}.1`)];
    expect(readdirSync(man).sort()).toEqual(expected.sort());
  });

  it('says of every command and option what help says', async () => {
    const root = specOf(await wholeProgram());
    const pages = new Map(
      manualPages(root, { version: '1.2.3', date: '2026-01-02' }).map(({ name, text }) => [
        name,
        text.replaceAll('\\-', '-'),
      ]),
    );
    for (const { path, options, arguments: operands } of everyCommand(root)) {
      const page = pages.get(path.length === 1 ? 'holdfast.1' : `${path.slice(0, 2).join('-')}.1`) ?? '';
      if (path.length > 1 && operands.length > 0) expect(page).toContain(path.join(' '));
      for (const { flags } of options.filter(({ long }) => !['--help', '--dir', '--json'].includes(long)))
        expect(page).toContain(flags);
    }
    expect(pages.get('holdfast.1')).toContain('.TH "HOLDFAST" 1 "2026-01-02" "holdfast 1.2.3"');
    expect(pages.get('holdfast-ledger.1')).toContain('holdfast ledger tail -f --from 4711');
  });

  it('is the same each time it is made', async () => {
    const again = mkdtempSync(join(tmpdir(), 'holdfast-manual-'));
    await writeManual(again);
    for (const name of readdirSync(out, { recursive: true, encoding: 'utf8' }).filter((path) =>
      /\/.*\w/.test(path),
    ))
      if (!['bash', 'zsh', 'fish'].includes(name.split('/').at(-1) ?? ''))
        expect(readFileSync(join(again, name)), name).toEqual(readFileSync(join(out, name)));
    rmSync(again, { recursive: true });
  });

  it.skipIf(!has('mandoc'))('is clean in the eyes of mandoc', () => {
    expect(spawnSync('mandoc', ['-Tlint', '-W', 'warning', ...files()], { encoding: 'utf8' }).stdout).toBe(
      '',
    );
  });

  it.skipIf(!has('groff'))('is clean in the eyes of groff', () => {
    const { stderr, status } = spawnSync('groff', ['-man', '-ww', '-z', '-Tutf8', ...files()], {
      encoding: 'utf8',
    });
    expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
  });

  it.skipIf(!has('mandoc'))('reads as it was written, whatever roff would make of its characters', () => {
    const page = spawnSync('mandoc', ['-Tutf8', join(man, 'holdfast.1')], { encoding: 'utf8' });
    const text = page.stdout.replace(/.\u0008/g, '').replaceAll('‐', '-');
    expect(text).toContain('holdfast daemon & holdfast gateway &');
    expect(text).toContain("--intent 'morning check'");
    expect(text).toContain('$HOLDFAST_DIR, else ./.holdfast');
  });
});
