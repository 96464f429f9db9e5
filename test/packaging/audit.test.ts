import { describe, expect, it } from 'vitest';
import { auditDirectory, LOCKED } from '../../packaging/audit.ts';
import { auditLock, type LockedPackage } from '../../packaging/lock-audit.ts';
import { ROOT } from '../structure/sources.ts';

const SHA512 = `sha512-${'A'.repeat(86)}==`;
const GOOD: LockedPackage = { version: '1.2.3', integrity: SHA512, license: 'MIT' };
const NPMRC = 'ignore-scripts=true\n';

function audit(changes: Record<string, unknown>, path = 'node_modules/a'): string[] {
  const root = { dependencies: { a: '1.2.3' } };
  const packages = { '': root, 'node_modules/a': GOOD, [path]: { ...GOOD, ...changes } };
  return auditLock({ lockfileVersion: 3, packages }, NPMRC);
}

describe('our lock files', () => {
  it.each(LOCKED)('%s/package-lock.json is as it should be', (dir) => {
    expect(auditDirectory(ROOT, dir)).toEqual([]);
  });
});

describe('a lock file', () => {
  it('is accepted as npm writes it here', () => {
    expect(audit({})).toEqual([]);
    expect(audit({ license: '(MIT OR WTFPL)' })).toEqual([]);
    expect(audit({ license: 'MPL-2.0', dev: true }, 'node_modules/tool')).toEqual([]);
  });

  it.each([
    [{ integrity: undefined }, 'no SHA-512'],
    [{ integrity: 'sha1-AAAA' }, 'no SHA-512'],
    [{ integrity: `${SHA512} sha1-AAAA` }, 'no SHA-512'],
    [{ resolved: 'https://registry.example/a/-/a-1.2.3.tgz' }, 'names a host'],
    [{ version: 'git+ssh://git@example.org/a.git#abc' }, 'no exact version'],
    [{ version: 'file:../a' }, 'no exact version'],
    [{ link: true }, 'is a link'],
    [{ inBundle: true }, 'came inside another package'],
    [{ hasInstallScript: true }, 'runs a script'],
    [{ name: 'b' }, 'is really b'],
    [{ dependencies: { b: 'https://example.org/b.tgz' } }, 'outside the registry'],
    [{ dependencies: { b: 'npm:c@1.0.0' } }, 'outside the registry'],
    [{ optionalDependencies: { b: 'github:somebody/b' } }, 'outside the registry'],
    [{ license: 'GPL-3.0-only' }, 'licence GPL-3.0-only'],
    [{ license: 'MPL-2.0' }, 'licence MPL-2.0'],
    [{ license: undefined }, 'nobody knows'],
    [{ license: 'MIT AND GPL-2.0' }, 'licence MIT AND'],
  ])('is refused with %j', (changes, words) => {
    expect(audit(changes).join()).toContain(words);
  });

  it('is refused for what lies elsewhere', () => {
    expect(audit({}, 'vendor/b').join()).toContain('outside node_modules');
  });

  it('is refused when what is wanted is a range, or not what is locked', () => {
    const packages = { '': { dependencies: { a: '^1.2.3', b: '1.0.0' } }, 'node_modules/a': GOOD };
    expect(auditLock({ lockfileVersion: 3, packages }, NPMRC)).toEqual([
      'a is wanted as "^1.2.3", which is no exact version',
      'b is wanted as 1.0.0, and locked as nothing',
    ]);
  });

  it('is refused in another form, or where scripts would run', () => {
    expect(auditLock({ lockfileVersion: 1 }, '')).toHaveLength(3);
  });
});
