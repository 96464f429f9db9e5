import { chownSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Patient } from '../../daemon/commands/doctor/check.ts';
import { checkSecretsAtRest } from '../../daemon/commands/doctor/secrets.ts';
import { parseConfig } from '../../daemon/host/config.ts';
import { readKekFile } from '../../daemon/host/kek.ts';
import { wrapKeyFiles } from '../../daemon/host/key-files.ts';
import { createSealingKey } from '../../daemon/host/sealer.ts';
import { createSigningKey } from '../../daemon/host/signer.ts';
import { type Profile, type SitePaths, sitePaths } from '../../daemon/host/site.ts';

let root: string;
let paths: SitePaths;
let kek: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'hf-doctor-'));
  paths = sitePaths(root);
  mkdirSync(paths.keys, { recursive: true, mode: 0o700 });
  createSigningKey(join(paths.keys, 'ledger.key'), 'x.example/ledger');
  createSealingKey(join(paths.keys, 'sealing.key'));
  kek = join(root, 'kek');
  writeFileSync(kek, Buffer.alloc(32, 3), { mode: 0o600 });
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function examined(profile: Profile, settings: object = {}): Record<string, [result: string, found: string]> {
  const text = JSON.stringify({ version: 1, site: 'x.example', profile, ...settings });
  const config = parseConfig(text, paths.config);
  const patient: Patient = { site: { paths, config }, daemon: null, status: { daemon: null, gateway: null } };
  return Object.fromEntries(
    checkSecretsAtRest(patient).map(({ id, result, found }) => [id, [result, found]]),
  );
}

const kept = () => ({ secrets: { kek_file: kek } });

it.each([
  ['dev', 'pass'],
  ['node', 'warn'],
  ['appliance', 'fail'],
] as const)('finds keys that lie open: at a site of profile %s it is a %s', (profile, result) => {
  const { 'secrets.keys_wrapped': found } = examined(profile);
  expect(found).toEqual([result, expect.stringContaining('ledger.key, sealing.key lie open')]);
});

it.skipIf(process.getuid?.() !== 0)('sees how they lie when root looks at what belongs to a role', () => {
  wrapKeyFiles(paths.keys, readKekFile(kek), null);
  for (const name of readdirSync(paths.keys)) chownSync(join(paths.keys, name), 64_999, 64_999);
  expect(examined('node')['secrets.keys_wrapped']).toEqual(['pass', '2 keys lie wrapped']);
});

it('is content with wrapped keys, and looks whether the key at hand is the one', () => {
  wrapKeyFiles(paths.keys, readKekFile(kek), null);
  const { 'secrets.keys_wrapped': wrapped, 'secrets.kek': under } = examined('appliance', kept());
  expect([wrapped?.[0], under?.[0]]).toEqual(['pass', 'pass']);
  expect(examined('appliance')['secrets.kek']).toEqual([
    'pass',
    expect.stringContaining('only the daemon is given'),
  ]);
  writeFileSync(kek, Buffer.alloc(32, 4));
  expect(examined('appliance', kept())['secrets.kek']).toEqual(['fail', expect.stringContaining('another')]);
  rmSync(kek);
  expect(examined('appliance', kept())['secrets.kek']).toEqual([
    'fail',
    expect.stringContaining('is not there'),
  ]);
});

it('looks at the volumes of the ledger and of its second copy', () => {
  const copy = { copy: { path: join(root, 'copy') } };
  const checks = examined('dev', copy);
  expect(Object.keys(checks)).toEqual([
    'secrets.keys_wrapped',
    'secrets.ledger_volume',
    'secrets.copy_volume',
  ]);
  // It is not there: nobody can say where it would lie.
  expect(checks['secrets.copy_volume']?.[0]).toBe('warn');
});
