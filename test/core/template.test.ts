import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Bundle } from '../../daemon/core/bundle.ts';
import { audienceOf, deriveCall, parseTemplate } from '../../daemon/core/template.ts';
import { BoundaryError } from '../../daemon/formats/boundary-error.ts';
import type { Json, JsonObject } from '../../daemon/formats/json.ts';
import { sampleBundle } from './sample.ts';

const DECISION = 'dec_00000000-0000-7000-8000-000000000001';

function bundleWith(tool: Bundle['tools'][string]): Bundle {
  const bundle = sampleBundle();
  bundle.tools.restart = tool;
  return bundle;
}

function argvOf(argv: string[], payload: JsonObject, targetId = 'relay-2'): string[] {
  const call = deriveCall(
    bundleWith({ connector: 'exec', argv: ['/bin/tool', ...argv] }),
    { class: 'restart_service', target: { type: 'service', id: targetId }, payload },
    'staging',
    DECISION,
  );
  if (call.connector !== 'exec') throw new Error('not an exec call');
  return call.argv.slice(1);
}

function pathOf(path: string, payload: JsonObject, targetId = 'relay-2'): string {
  const call = deriveCall(
    bundleWith({ connector: 'http', address: 'unix:/run/a.sock', method: 'POST', path, body: ['note'] }),
    { class: 'restart_service', target: { type: 'service', id: targetId }, payload },
    'staging',
    DECISION,
  );
  if (call.connector !== 'http') throw new Error('not an http call');
  return call.path;
}

function codeOf(act: () => unknown): string | null {
  try {
    act();
    return null;
  } catch (error) {
    if (error instanceof BoundaryError) return error.code;
    throw error;
  }
}

describe('templates', () => {
  it('are literals and placeholders, in order', () => {
    expect(parseTemplate('--to={{target.type}}/{{payload.a_1}}x')).toEqual([
      '--to=',
      { from: 'target.type' },
      '/',
      { from: 'payload', field: 'a_1' },
      'x',
    ]);
    expect(parseTemplate('plain {text}')).toEqual(['plain {text}']);
    expect(parseTemplate('')).toEqual([]);
  });

  it.each([
    '{{',
    '{{target.id',
    '}}',
    'a}}b',
    '{{}}',
    '{{ target.id }}',
    '{{target}}',
    '{{payload}}',
    '{{payload.A}}',
    '{{env.PATH}}',
    '{{{target.id}}}',
  ])('refuse %s', (text) => {
    expect(codeOf(() => parseTemplate(text))).toBe('template.malformed');
  });
});

describe('an exec call', () => {
  it('fills in every placeholder', () => {
    const argv = [
      '{{target.type}}:{{target.id}}',
      '{{environment}}',
      '{{decision_id}}',
      '{{payload.a}}',
      '{{payload.b}}',
      '{{payload.c}}',
    ];
    expect(argvOf(argv, { a: 'text', b: 1.5, c: true })).toEqual([
      'service:relay-2',
      'staging',
      DECISION,
      'text',
      '1.5',
      'true',
    ]);
  });

  it('drops an element whole when its value is absent', () => {
    expect(argvOf(['a', '{{payload.x}}', '--flag={{payload.y}}', 'b'], {})).toEqual(['a', 'b']);
  });

  it('gives each item of a list its own argument', () => {
    expect(argvOf(['--', '{{payload.x}}', 'end'], { x: ['a', 'b c', ''] })).toEqual([
      '--',
      'a',
      'b c',
      '',
      'end',
    ]);
    expect(argvOf(['{{payload.x}}'], { x: [] })).toEqual([]);
  });

  it('keeps what looks like shell or template as text', () => {
    expect(argvOf(['{{payload.x}}'], { x: '$(reboot); `id` && {{target.id}} "q"' })).toEqual([
      '$(reboot); `id` && {{target.id}} "q"',
    ]);
  });

  const refused: [string, string[], Json, string][] = [
    ['an option', ['{{payload.x}}'], '--force', 'call.option_injection'],
    ['an option in a list', ['{{payload.x}}'], ['a', '-f'], 'call.option_injection'],
    ['an option by an empty value before it', ['{{payload.e}}{{payload.x}}'], '-f', 'call.option_injection'],
    ['a way up', ['/var/{{payload.x}}'], '../etc', 'call.path_escape'],
    ['a way up, put together', ['/var/{{payload.x}}{{payload.x}}/etc'], '.', 'call.path_escape'],
    ['a way up, with the text before', ['/var/.{{payload.x}}'], '.', 'call.path_escape'],
    ['a way up in the middle', ['/var/{{payload.x}}'], 'a/../../etc', 'call.path_escape'],
    ['NUL', ['{{payload.x}}'], 'a\u0000b', 'call.control_character'],
    ['a line feed', ['{{payload.x}}'], 'a\nb', 'call.control_character'],
    ['an object', ['{{payload.x}}'], { a: 1 }, 'call.wrong_value'],
    ['null', ['{{payload.x}}'], null, 'call.wrong_value'],
    ['a commitment', ['{{payload.x}}'], { $commitment: 'a'.repeat(64) }, 'call.sensitive_argument'],
  ];
  it.each(refused)('refuses a value that is %s', (_, argv, x, code) => {
    expect(codeOf(() => argvOf(argv, { x, e: '' }))).toBe(code);
  });

  it('lets a value follow a dash that policy wrote', () => {
    expect(argvOf(['--delta={{payload.x}}'], { x: -5 })).toEqual(['--delta=-5']);
    expect(argvOf(['-{{payload.x}}'], { x: 'v' })).toEqual(['-v']);
  });

  it('never makes more or other arguments than the template has, whatever the value', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 40 }), (x) => {
        let argv: string[];
        try {
          argv = argvOf(['first', '{{payload.x}}', '--flag={{payload.x}}', 'last'], { x });
        } catch (error) {
          expect(error).toBeInstanceOf(BoundaryError);
          return;
        }
        expect(argv).toEqual(['first', x, `--flag=${x}`, 'last']);
        expect(x.startsWith('-')).toBe(false);
      }),
    );
  });

  it('does not read members of the prototype', () => {
    expect(argvOf(['a', '{{payload.constructor}}'], {})).toEqual(['a']);
  });

  it('hands over listed fields on stdin, with commitments as they are', () => {
    const bundle = bundleWith({ connector: 'exec', argv: ['/bin/cat'], stdin: ['note', 'mode', 'load'] });
    const payload = { note: { $commitment: 'a'.repeat(64) }, load: 1, force: true };
    const call = deriveCall(
      bundle,
      { class: 'restart_service', target: { type: 'service', id: 'a' }, payload },
      'staging',
      DECISION,
    );
    expect(call).toMatchObject({ stdin: { note: { $commitment: 'a'.repeat(64) }, load: 1 } });
  });
});

describe('an http call', () => {
  it('makes one path segment of each value', () => {
    expect(pathOf('/a/{{target.id}}/b', {}, 'x/y?z#é %')).toBe('/a/x%2Fy%3Fz%23%C3%A9%20%25/b');
    expect(pathOf('/a/{{payload.v}}', { v: '4.1' })).toBe('/a/4%2E1');
    expect(pathOf('/a/{{payload.v}}', { v: '.' })).toBe('/a/%2E');
  });

  it.each([
    ['an absent value', {}, 'call.missing_value'],
    ['an empty value', { v: '' }, 'call.missing_value'],
    ['a way up', { v: '..' }, 'call.path_escape'],
    ['a commitment', { v: { $commitment: 'a'.repeat(64) } }, 'call.sensitive_argument'],
    ['a list', { v: ['a'] }, 'call.wrong_value'],
  ] as [string, JsonObject, string][])('refuses %s', (_, payload, code) => {
    expect(codeOf(() => pathOf('/a/{{payload.v}}', payload))).toBe(code);
  });

  it('carries address, method, body and limits of the tool', () => {
    const bundle = sampleBundle();
    const call = deriveCall(
      bundle,
      { class: 'read', target: { type: 'sensor', id: 'pump-1' }, payload: {} },
      'staging',
      DECISION,
    );
    expect(call).toEqual({
      connector: 'http',
      address: 'unix:/run/sensors.sock',
      method: 'GET',
      path: '/sensors/pump-1/staging',
      body: null,
      timeout_ms: 5_000,
      output_limit_bytes: 65_536,
    });
  });
});

describe('what is missing', () => {
  const target = { type: 'service', id: 'a' };
  it.each([
    ['class', { class: null, target, payload: {} }, 'call.no_class'],
    ['known class', { class: 'constructor', target, payload: {} }, 'call.no_class'],
    ['target', { class: 'read', target: null, payload: {} }, 'call.no_target'],
  ])('is refused: no %s', (_, action, code) => {
    expect(codeOf(() => deriveCall(sampleBundle(), action, 'staging', DECISION))).toBe(code);
  });

  it('is for the audience of its tool, else for the gateway', () => {
    const { actions, tools } = sampleBundle();
    const audienceFor = (name: string) => audienceOf(tools[actions[name]?.tool ?? '']);
    expect(audienceFor('restart_service')).toBe('gateway');
    expect(audienceFor('read')).toBe('sensors');
    expect(audienceFor('unheard_of')).toBe('gateway');
  });
});
