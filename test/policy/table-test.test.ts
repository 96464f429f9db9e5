import { rmSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BundleDefects, describeDefect } from '../../daemon/core/bundle-defects.ts';
import { readPolicyDirectory } from '../../daemon/policy/source.ts';
import { type CaseResult, runTableTests } from '../../daemon/policy/table-test.ts';
import { PolicyDir } from './policy-dir.ts';

let dir: PolicyDir;
beforeEach(() => {
  dir = new PolicyDir();
  rmSync(dir.file('tests/refused.yaml'));
});
afterEach(() => {
  dir.remove();
});

const READ = `
defaults:
  action: { class: read_telemetry, intent: look, target: { type: sensor, id: pump-1 }, payload: { lines: 5 } }
  context: { actor: { id: "agent:ops-1" }, environment: staging }
cases:
`;

function run(text: string): CaseResult[] {
  dir.write('tests/everyday.yaml', text);
  return runTableTests(dir.path, readPolicyDirectory(dir.path).compiled);
}

function only(results: CaseResult[]): CaseResult {
  const [first] = results;
  if (first === undefined || results.length !== 1) throw new Error('expected one case');
  return first;
}

describe('table tests', () => {
  it('pass when the verdict is as expected, in every respect that is named', () => {
    const result = only(
      run(`${READ}
  - name: read
    request: {}
    expect: { result: allow, band: low, required: [], gates: { agents-have-owners: pass }, argv: [/usr/bin/tail, --lines=5, /var/lib/telemetry/pump-1.log] }
`),
    );
    expect(result).toMatchObject({
      file: 'tests/everyday.yaml',
      line: 7,
      name: 'read',
      result: 'allow',
      differences: [],
    });
  });

  it('fail for each respect that differs, saying how', () => {
    const result = only(
      run(`${READ}
  - name: read
    request: {}
    expect: { result: deny, band: high, required: [peer], gates: { agents-have-owners: fail, nothing: pass }, argv: [] }
`),
    );
    expect(result.differences).toEqual([
      'result: expected deny, got allow',
      'band: expected high, got low',
      'gate agents-have-owners: expected fail, got pass',
      'gate nothing: expected pass, got not listed',
      'required: expected peer, got nobody',
      'argv: expected [], got ["/usr/bin/tail","--lines=5","/var/lib/telemetry/pump-1.log"]',
    ]);
  });

  it('lay the request over the defaults; null takes a member away', () => {
    const [gone, changed] = run(`${READ}
  - name: no actor
    request: { context: { actor: null } }
    expect: { result: deny, gates: { audit.actor: fail } }
  - name: other environment
    request: { context: { environment: production }, action: { payload: { lines: null } } }
    expect: { result: allow, argv: [/usr/bin/tail, /var/lib/telemetry/pump-1.log] }
`);
    expect(gone?.differences).toEqual([]);
    expect(changed?.differences).toEqual([]);
  });

  it('set the facts', () => {
    const result = only(
      run(`${READ}
  - name: doubtful time
    request: { action: { class: restart_service, target: { type: service, id: a }, payload: { lines: null } } }
    facts: { now: "2026-01-01T00:00:00Z", time_trust: uncertain }
    expect: { result: queue }
`),
    );
    expect(result.differences).toEqual([]);
  });

  it('are none when there is no directory for them', () => {
    rmSync(dir.file('tests'), { recursive: true });
    expect(runTableTests(dir.path, readPolicyDirectory(dir.path).compiled)).toEqual([]);
  });

  it.each(['night.yml', 'night.json', 'NIGHT.YAML'])('are not left out by their name: %s', (name) => {
    dir.write(`tests/${name}`, 'cases: []');
    expect(() => runTableTests(dir.path, readPolicyDirectory(dir.path).compiled)).toThrow(
      `tests/${name}: found a file that is not run; call it NAME.yaml`,
    );
  });

  it.each([
    [
      'an unknown respect',
      '  - { name: a, request: { a: { b: 1 } }, expect: { result: allow, bands: low } }',
      /^tests\/everyday\.yaml:6: found the unknown key "bands"; did you mean "band"/,
    ],
    [
      'an unknown result',
      '  - { name: a, request: {}, expect: { result: allowed } }',
      /found "allowed"; write one of "allow"/,
    ],
    ['no expectation', '  - { name: a, request: {} }', /found no "expect"/],
    ['no cases', '  []', /0 items/],
    ['a duplicate key', '  - { name: a, name: b, request: {}, expect: { result: allow } }', /must be unique/],
  ])('are refused with file and line: %s', (_, text, told) => {
    try {
      run(`${READ}${text}\n`);
      expect.unreachable();
    } catch (error) {
      if (!(error instanceof BundleDefects)) throw error;
      expect(error.defects.map(describeDefect).join('\n')).toMatch(told);
    }
  });
});
