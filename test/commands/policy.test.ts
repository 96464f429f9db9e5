import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseBundle } from '../../daemon/core/bundle.ts';
import { PolicyDir } from '../policy/policy-dir.ts';

const MAIN = fileURLToPath(new URL('../../daemon/main.ts', import.meta.url));

let dir: PolicyDir;
beforeEach(() => {
  dir = new PolicyDir();
});
afterEach(() => {
  dir.remove();
});

function policy(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, 'policy', ...args], {
    encoding: 'utf8',
  });
  return { status, stdout, stderr };
}

describe('policy lint', () => {
  it('says that nothing is wrong', () => {
    const people = policy('lint', dir.path);
    expect(people).toMatchObject({ status: 0, stderr: '' });
    expect(people.stdout).toMatch(/NO DEFECTS[\s\S]*field-site@1[\s\S]*9 gates, 7 risk factors, 6 routes/);
    const report = JSON.parse(policy('lint', dir.path, '--json').stdout);
    expect(report).toMatchObject({ ok: true, name: 'field-site', version: 1, defects: [] });
  });

  it('lists every defect and exits 2', () => {
    dir.edit('gates.yaml', 'otherwise: fail', 'otherwise: deny');
    dir.edit('risk.yaml', 'weight: 0.2', 'weight: 20');
    const people = policy('lint', dir.path);
    expect(people.status).toBe(2);
    expect(people.stdout).toMatch(/DEFECTIVE.*2 defects/);
    expect(people.stdout).toContain('gates.yaml:11: found "deny"');
    const { status, stdout } = policy('lint', dir.path, '--json');
    expect(status).toBe(2);
    expect(JSON.parse(stdout)).toMatchObject({
      ok: false,
      defects: [{ file: 'gates.yaml', line: 11 }, { file: 'risk.yaml' }],
    });
  });

  it('tells errors, warnings and notes apart', () => {
    dir.write(
      'tools.yaml',
      `${dir.read('tools.yaml')}\nspare:\n  connector: exec\n  argv: [/usr/bin/true]\n`,
    );
    const people = policy('lint', dir.path);
    expect(people.status).toBe(0);
    expect(people.stdout).toMatch(/NO DEFECTS.*1 warning, 3 notes/);
    expect(people.stdout).toMatch(
      /warning tools.yaml:\d+: found the tool spare, which no class uses; .*\[tool.unused\]/,
    );
    expect(policy('lint', dir.path, '--strict').status).toBe(2);
    dir.edit(
      'principals.yaml',
      'roles: [safety_officer]\n  status: active',
      'roles: [safety_officer]\n  status: revoked',
    );
    const { status, stdout } = policy('lint', dir.path, '--json');
    expect(status).toBe(2);
    expect(JSON.parse(stdout)).toMatchObject({
      ok: false,
      defects: [],
      findings: [{ severity: 'error', check: 'authority.unsatisfiable', file: 'authority.yaml' }, {}, {}, {}],
    });
  });

  it('exits 2 where there is no policy', () => {
    const { status, stderr } = policy('lint', `${dir.path}/nothing`);
    expect(status).toBe(2);
    expect(stderr).toContain('There is no policy directory');
  });
});

describe('policy test', () => {
  it('shows a table and exits 0', () => {
    const { status, stdout } = policy('test', dir.path);
    expect(status).toBe(0);
    expect(stdout).toMatch(/ok +allow +low +an agent reads a sensor at once/);
    expect(stdout).toMatch(/\d+ cases as expected/);
  });

  it('shows what differs and exits 3', () => {
    dir.edit('tests/everyday.yaml', 'result: allow\n      band: low', 'result: deny\n      band: low');
    const people = policy('test', dir.path);
    expect(people.status).toBe(3);
    expect(people.stdout).toContain('tests/everyday.yaml:11  an agent reads a sensor at once');
    expect(people.stdout).toContain('result: expected deny, got allow');
    const { status, stdout } = policy('test', dir.path, '--json');
    expect(status).toBe(3);
    expect(JSON.parse(stdout)).toMatchObject({ ok: false, failed: 1 });
  });

  it('exits 2 when a test file is defective', () => {
    dir.write('tests/everyday.yaml', 'cases: 5\n');
    const { status, stdout } = policy('test', dir.path);
    expect(status).toBe(2);
    expect(stdout).toContain('tests/everyday.yaml:1: found 5; write a list');
  });
});

describe('policy build', () => {
  it('writes the canonical bundle', () => {
    const file = dir.file('bundle.out');
    const { status, stdout } = policy('build', dir.path, '-o', file, '--json');
    expect(status).toBe(0);
    const { bundle, digest } = parseBundle(readFileSync(file));
    expect(JSON.parse(stdout)).toMatchObject({ ok: true, digest, output: file });
    expect(bundle.metadata.name).toBe('field-site');
  });

  it('writes nothing from a defective policy', () => {
    dir.edit('gates.yaml', 'otherwise: fail', 'otherwise: deny');
    const file = dir.file('bundle.out');
    expect(policy('build', dir.path, '-o', file).status).toBe(2);
    expect(() => readFileSync(file)).toThrow(/ENOENT/);
  });

  it('demands a file to write to', () => {
    const { status, stderr } = policy('build', dir.path);
    expect(status).toBe(2);
    expect(stderr).toContain('--output');
  });
});

describe('policy new', () => {
  it('writes a starter that has no defects and passes its own tests', () => {
    const to = `${dir.path}/mine`;
    const { status, stdout } = policy('new', to, '--site', 'hut-1.example', '--name', 'hut');
    expect(status).toBe(0);
    expect(stdout).toMatch(/WRITTEN[\s\S]*hut@1[\s\S]*hut-1.example/);
    expect(JSON.parse(policy('lint', to, '--json').stdout)).toMatchObject({ ok: true, name: 'hut' });
    expect(policy('test', to).status).toBe(0);
  });

  it('leaves what is there alone', () => {
    const { status, stderr } = policy('new', dir.path, '--site', 'hut-1.example');
    expect(status).toBe(2);
    expect(stderr).toContain('The directory is not empty; nothing was written.');
  });

  it.each([
    [['--site', 'https://hut-1.example/'], /--site: .*schema-less URL.* Nothing was written/],
    [['--site', 'hut-1.example', '--name', 'Hut 1'], /--name .* Nothing was written/],
  ])('writes nothing for what no site or bundle is called: %j', (options, words) => {
    const { status, stderr } = policy('new', `${dir.path}/mine`, ...options);
    expect([status, stderr]).toEqual([2, expect.stringMatching(words)]);
    expect(existsSync(`${dir.path}/mine`)).toBe(false);
  });

  it('is for any site that there can be', () => {
    const { status, stdout } = policy('new', `${dir.path}/mine`, '--site', 'hut.example/a_1');
    expect(status).toBe(0);
    expect(stdout).toContain('sites    hut.example/a_1');
  });
});

describe('policy diff', () => {
  it('compares a directory with a built bundle', () => {
    policy('build', dir.path, '-o', `${dir.path}/old.bundle`);
    expect(policy('diff', `${dir.path}/old.bundle`, dir.path).stdout).toContain('NO CHANGE');
    dir.edit('risk.yaml', 'weight: 0.05', 'weight: 0.06');
    const { status, stdout } = policy('diff', `${dir.path}/old.bundle`, dir.path, '--json');
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      before: { policy: 'field-site@1' },
      changes: ['The risk factor doubtful-clock now counts +0.06 (was +0.05).'],
    });
  });

  it('exits 2 for what is not there or no policy', () => {
    expect(policy('diff', dir.path, `${dir.path}/nothing`)).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('There is no '),
    });
    dir.edit('gates.yaml', 'otherwise: fail', 'otherwise: deny');
    expect(policy('diff', dir.path, dir.path).status).toBe(2);
  });
});
