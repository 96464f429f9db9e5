import { mkdirSync, symlinkSync, unlinkSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseBundle } from '../../daemon/core/bundle.ts';
import { BundleDefects, describeDefect } from '../../daemon/core/bundle-defects.ts';
import { BoundaryError } from '../../daemon/formats/boundary-error.ts';
import { readPolicyDirectory } from '../../daemon/policy/source.ts';
import { FIELD_SITE, PolicyDir } from './policy-dir.ts';

let dir: PolicyDir;
beforeEach(() => {
  dir = new PolicyDir();
});
afterEach(() => {
  dir.remove();
});

function defects(): string[] {
  try {
    readPolicyDirectory(dir.path);
  } catch (error) {
    if (error instanceof BundleDefects) return error.defects.map(describeDefect);
    throw error;
  }
  return [];
}

function codeOf(path: string): string | null {
  try {
    readPolicyDirectory(path);
    return null;
  } catch (error) {
    if (error instanceof BoundaryError) return error.code;
    throw error;
  }
}

describe('a policy directory', () => {
  it('builds to bytes that parse to the same bundle under the same digest', () => {
    const { bundle, bytes, digest, compiled } = readPolicyDirectory(FIELD_SITE);
    expect(parseBundle(bytes)).toEqual({ bundle, digest });
    expect(compiled.digest).toBe(digest);
  });

  it('builds the same bytes again, whatever the layout and the comments', () => {
    const before = readPolicyDirectory(dir.path);
    dir.edit('environments.yaml', 'production:\n', '# a comment\n\nproduction:   # another\n');
    dir.edit(
      'limits.yaml',
      'requests_per_second: 200\npending_per_actor: 100',
      'pending_per_actor: 100\nrequests_per_second: 200',
    );
    dir.write('README.md', 'not part of it');
    dir.write('tests/more.yaml', 'not: part of it');
    const after = readPolicyDirectory(dir.path);
    expect(after.digest).toBe(before.digest);
    expect(Buffer.from(after.bytes).equals(before.bytes)).toBe(true);
  });

  it('changes its digest with any rule', () => {
    const before = readPolicyDirectory(dir.path).digest;
    dir.edit('risk.yaml', 'weight: 0.1', 'weight: 0.11');
    expect(readPolicyDirectory(dir.path).digest).not.toBe(before);
  });

  it('may leave the optional sections out', () => {
    for (const name of ['limits.yaml', 'secrets.yaml', 'labels.yaml']) unlinkSync(dir.file(name));
    const { bundle } = readPolicyDirectory(dir.path);
    expect(Object.keys(bundle)).not.toContain('limits');
  });
});

describe('defects', () => {
  it.each([
    [
      'gates.yaml',
      'otherwise: fail',
      'otherwise: deny',
      /^gates\.yaml:11: found "deny"; write one of "fail", "requires_exception"$/,
    ],
    [
      'gates.yaml',
      'otherwise: fail',
      'othrwise: fail',
      /^gates\.yaml:9: found no "otherwise"; add "otherwise"$/,
    ],
    [
      'gates.yaml',
      'actor.kind != "agent"',
      'actor.kin != "agent"',
      /^gates\.yaml:10: found a condition that does not type-check: .*kin.*; write one of type bool$/,
    ],
    [
      'actions.yaml',
      'tool: read-telemetry',
      'tool: read-telemetri',
      /^actions\.yaml:18: found the unknown tool "read-telemetri"; write a tool of this bundle: .*read-telemetry/,
    ],
    [
      'tools.yaml',
      '/usr/bin/tail',
      'tail',
      /^tools\.yaml:14: found the program "tail"; write the absolute path/,
    ],
    ['metadata.yaml', 'warn_after: 30d', 'warn_after: 300d', /^metadata\.yaml:10: found 300d, 60d, 120d/],
    ['risk.yaml', 'below: 1.01', 'below: 1.0', /^risk\.yaml:\d+: found 1; write more than 1/],
  ])('are told with file and line: %s, %s', (file, from, to, line) => {
    dir.edit(file, from, to);
    const told = defects();
    expect(told[0]).toMatch(line);
  });

  const ambiguous: [string, string, string, RegExp][] = [
    [
      'a duplicate key',
      'limits.yaml',
      'requests_per_second: 1\nrequests_per_second: 2\n',
      /^limits\.yaml:2: found Map keys must be unique/,
    ],
    [
      'an anchor and an alias',
      'limits.yaml',
      'requests_per_second: &n 5\npending_per_actor: *n\n',
      /an anchor/,
    ],
    ['an alias bomb', 'labels.yaml', '- &a [x,x]\n- &b [*a,*a]\n- &c [*b,*b]\n', /an anchor/],
    ['a tag', 'limits.yaml', 'requests_per_second: !!float 5\n', /5|tag/],
    ['a local tag', 'limits.yaml', 'requests_per_second: !n 5\n', /^limits\.yaml:1: found .*tag/],
    ['binary', 'labels.yaml', '- !!binary aGVsbG8=\n', /tag/],
    [
      'an octal look-alike',
      'limits.yaml',
      'requests_per_second: 0777\n',
      /the number 0777; write 777 if it is a number/,
    ],
    ['infinity', 'limits.yaml', 'requests_per_second: .inf\n', /the number \.inf/],
    ['a number beyond JSON', 'limits.yaml', 'requests_per_second: 90071992547409931\n', /the number/],
    ['a merge key', 'limits.yaml', '<<: {requests_per_second: 5}\n', /unknown key "<<"/],
    ['two documents', 'limits.yaml', 'requests_per_second: 5\n---\nrequests_per_second: 6\n', /document/],
    ['a number as key', 'limits.yaml', '5: 5\n', /"5"|key/],
    ['a map as key', 'limits.yaml', '? {a: b}\n: 5\n', /key/i],
    ['a tab', 'limits.yaml', 'requests_per_second:\n\t- 5\n', /^limits\.yaml:/],
    ['nothing', 'gates.yaml', '', /found null; write a list/],
    ['the wrong thing', 'gates.yaml', 'gates: []\n', /found an object; write a list/],
    ['deep nesting', 'limits.yaml', `a: ${'['.repeat(30)}${']'.repeat(30)}\n`, /deeper nesting/],
    ['__proto__', 'limits.yaml', '__proto__: {requests_per_second: 5}\n', /key that is not plain/],
  ];
  it.each(ambiguous)('are what YAML leaves open: %s', (_, file, text, told) => {
    dir.write(file, text);
    expect(defects().join('\n')).toMatch(told);
  });

  it('are a missing section and a misspelt one', () => {
    dir.write('gate.yaml', '[]');
    expect(defects()).toEqual([
      expect.stringMatching(/^gate\.yaml: found a file that is no section; use one of metadata\.yaml/),
    ]);
    unlinkSync(dir.file('gates.yaml'));
    expect(defects()).toEqual(['gate.yaml: found a file that is no section; did you mean gates.yaml?']);
    unlinkSync(dir.file('gate.yaml'));
    unlinkSync(dir.file('risk.yaml'));
    expect(defects()).toEqual([
      expect.stringMatching(/found no gates\.yaml/),
      expect.stringMatching(/found no risk\.yaml/),
    ]);
  });

  it('are reported from all files at once', () => {
    dir.write('limits.yaml', 'requests_per_second: 007\n');
    dir.write('labels.yaml', '- &a x\n');
    expect(defects()).toHaveLength(2);
  });
});

describe('what is no policy directory', () => {
  it('is refused', () => {
    expect(codeOf(`${dir.path}/nothing`)).toBe('policy.not_a_directory');
    expect(codeOf(dir.file('gates.yaml'))).toBe('policy.not_a_directory');
  });

  it('is refused for links, directories and bytes that are no text', () => {
    unlinkSync(dir.file('gates.yaml'));
    symlinkSync('/etc/passwd', dir.file('gates.yaml'));
    expect(codeOf(dir.path)).toBe('file.not_regular');
    unlinkSync(dir.file('gates.yaml'));
    mkdirSync(dir.file('gates.yaml'));
    expect(codeOf(dir.path)).toBe('file.not_regular');
  });

  it('is refused for bytes that are no UTF-8, and for a huge file', () => {
    dir.write('gates.yaml', `# ${'x'.repeat(1_100_000)}\n`);
    expect(codeOf(dir.path)).toBe('file.too_large');
  });
});
