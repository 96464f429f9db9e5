import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { exchange, exchangeRaw, until } from './exchange.ts';
import { decisionId, json } from './fake-engine.ts';
import { serve } from './serving.ts';

const run = promisify(execFile);

const REQUEST = {
  action: {
    class: 'restart_service',
    intent: 'recover the telemetry relay',
    target: { type: 'service', id: 'relay-2' },
    payload: { grace_seconds: 5 },
  },
  context: {
    actor: { id: 'agent:ops-1', role: 'agent' },
    environment: 'production',
    request_source: 'cli',
    trace: { correlation_id: 'c-81', parent_id: null },
  },
};

describe('a request', () => {
  test('reaches the engine as it was written, and the answer comes back byte for byte, with curl', async () => {
    await using serving = await serve({ socket: 'request' });
    const answer = '{ "decision_id":"x",  "n":1.0e0 }';
    serving.engine.script = () => ({ status: 202, body: answer });
    const text = ` ${JSON.stringify(REQUEST, null, 1)}\n`;
    const { stdout } = await run('curl', [
      ...['-sS', '--unix-socket', serving.path, '-w', '\n%{http_code} %{content_type}'],
      ...['-H', 'Idempotency-Key: retry-7', '--json', text, 'http://localhost/v1/decisions'],
    ]);
    expect(stdout).toBe(`${answer}\n202 application/json`);
    expect(serving.engine.calls).toEqual([
      {
        method: 'decisions.create',
        args: {},
        body: text,
        key: 'retry-7',
        peer: { socket: 'request', uid: null },
      },
    ]);
  });

  test.each([
    ['no audit field at all', {}],
    [
      'nulls',
      {
        action: { class: null, intent: null, target: null },
        context: { actor: null, environment: null, trace: null },
      },
    ],
    ['an actor without id', { context: { actor: { id: null } } }],
    ['labels', { context: { labels: { mission: 'm-1' } } }],
    ['a link', { linked_to: decisionId(7) }],
    ['a nested payload', { action: { payload: { a: [1, { b: null }], constructor: 'x' } } }],
  ])('with %s is not a matter of form, the engine judges it', async (_what, body) => {
    await using serving = await serve({ socket: 'request' });
    const reply = await exchange(serving.path, '/v1/decisions', { body });
    expect(reply.status).toBe(200);
    expect(serving.engine.methods).toEqual(['decisions.create']);
  });

  const SECRET = 'hunter2-hunter2';
  test.each<[string, string | object, string, string]>([
    ['an unknown envelope field', { ...REQUEST, acton: {} }, 'request.invalid', '/acton'],
    [
      'an unknown context field',
      { context: { enviroment: SECRET } },
      'request.invalid',
      '/context/enviroment',
    ],
    ['an unknown action field', { action: { klass: SECRET } }, 'request.invalid', '/action/klass'],
    ['a string for an object', { action: SECRET }, 'request.invalid', '/action'],
    ['an array for an object', { context: [SECRET] }, 'request.invalid', '/context'],
    ['null for the action', { action: null }, 'request.invalid', '/action'],
    ['a number for a string', { context: { environment: 5 } }, 'request.invalid', '/context/environment'],
    [
      'a number that could be coerced',
      { context: { actor: { id: 5 } } },
      'request.invalid',
      '/context/actor/id',
    ],
    ['a target without id', { action: { target: { type: SECRET } } }, 'request.invalid', '/action/target/id'],
    ['a payload that is a list', { action: { payload: [SECRET] } }, 'request.invalid', '/action/payload'],
    ['a label that is no string', { context: { labels: { m: 1 } } }, 'request.invalid', '/context/labels/m'],
    [
      'a label hidden behind a line feed',
      { context: { labels: { 'a\nb': 1 } } },
      'request.invalid',
      '/context/labels/a\nb',
    ],
    ['an over-long string', { action: { intent: SECRET.repeat(300) } }, 'request.invalid', '/action/intent'],
    ['a link that is no id', { linked_to: SECRET }, 'request.invalid', '/linked_to'],
    ['a list', [SECRET], 'request.invalid', ''],
    [
      'a duplicate key',
      `{"context":{"environment":"${SECRET}","environment":"b"}}`,
      'json.duplicate_key',
      '/context/environment',
    ],
    [
      'a duplicate key in escapes',
      '{"action":{"payload":{"a":1,"\\u0061":2}}}',
      'json.duplicate_key',
      '/action/payload/a',
    ],
    [
      'a prototype',
      '{"action":{"payload":{"__proto__":{"x":1}}}}',
      'json.forbidden_key',
      '/action/payload/__proto__',
    ],
    [
      'an integer beyond 2^53',
      '{"action":{"payload":{"n":9007199254740993}}}',
      'json.unsafe_integer',
      '/action/payload/n',
    ],
    ['half a surrogate pair', '{"action":{"intent":"\\ud800"}}', 'json.lone_surrogate', '/action/intent'],
    [
      'nesting that is too deep',
      `{"action":{"payload":{"a":${'['.repeat(20)}${']'.repeat(20)}}}}`,
      'json.too_deep',
      '',
    ],
  ])('with %s is a 400 that names the field and not the value', async (_what, body, code, at) => {
    await using serving = await serve({ socket: 'request' });
    const reply = await exchange(serving.path, '/v1/decisions', { body });
    expect(reply.json).toMatchObject({ status: 400, code });
    expect(reply.status).toBe(400);
    expect(reply.headers['content-type']).toBe('application/problem+json');
    if (at !== '') expect(reply.json.at).toBe(at);
    expect(reply.text).not.toContain(SECRET);
    expect(serving.engine.calls).toEqual([]);
  });

  test.each<[string, string | Buffer, Record<string, string>, number, string]>([
    ['is not JSON', '{"action":', {}, 400, 'json.syntax'],
    ['is empty', '', {}, 400, ''],
    ['has garbage after it', '{} x', {}, 400, 'json.syntax'],
    ['has a byte order mark', '\ufeff{}', {}, 400, 'json.syntax'],
    ['is not UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]), {}, 400, 'json.not_utf8'],
    [
      'is too large',
      JSON.stringify({ action: { payload: { a: 'x'.repeat(70_000) } } }),
      {},
      413,
      'request.too_large',
    ],
    [
      'is a form',
      'action=x',
      { 'content-type': 'application/x-www-form-urlencoded' },
      415,
      'request.media_type',
    ],
    ['is text', '{}', { 'content-type': 'text/plain' }, 415, 'request.media_type'],
  ])('whose body %s is refused', async (_what, body, headers, status, code) => {
    await using serving = await serve({ socket: 'request' });
    const reply = await exchange(serving.path, '/v1/decisions', { verb: 'POST', body, headers });
    expect(reply.status).toBe(status);
    if (code !== '') expect(reply.json.code).toBe(code);
    expect(serving.engine.calls).toEqual([]);
  });

  test.each<[string, string, string]>([
    ['an unknown parameter', '/v1/decisions?stauts=denied', 'query/stauts'],
    ['a parameter given twice', '/v1/decisions?limit=5&limit=6', 'query/limit'],
    ['a limit beyond the page', '/v1/decisions?limit=201', 'query/limit'],
    ['a limit with a sign', '/v1/decisions?limit=%2B5', 'query/limit'],
    ['an index with leading zeros', '/v1/ledger/entries?from=007', 'query/from'],
    ['a status that does not exist', '/v1/decisions?status=allowed', 'query/status'],
    ['a parameter where there are none', '/v1/policy?x=1', 'query/x'],
    ['an id that is none', '/v1/decisions/..%2f..%2fetc', 'path/id'],
    ['an index that is none', '/v1/ledger/proof/-1', 'path/index'],
    ['a duration that is none', `/v1/decisions/${decisionId(1)}?wait=soon`, 'query/wait'],
  ])('with %s is a 400 that names it', async (_what, path, at) => {
    await using serving = await serve();
    const reply = await exchange(serving.path, path);
    expect(reply.json).toMatchObject({ status: 400, code: 'request.invalid', at });
    expect(serving.engine.calls).toEqual([]);
  });

  test('with a duration over a minute is refused', async () => {
    await using serving = await serve();
    const reply = await exchange(serving.path, `/v1/decisions/${decisionId(1)}?wait=2m`);
    expect(reply.json).toMatchObject({ status: 400, code: 'duration.too_long' });
  });

  test.each(['a b', 'ä', 'x'.repeat(201), ''])('with the idempotency key %j is refused', async (key) => {
    await using serving = await serve();
    const headers = { 'idempotency-key': Buffer.from(key).toString('latin1') };
    const reply = await exchange(serving.path, '/v1/decisions', { body: {}, headers });
    expect(reply.json).toMatchObject({ status: 400, at: 'header/idempotency-key' });
    expect(serving.engine.calls).toEqual([]);
  });

  test('with two idempotency keys is refused', async () => {
    await using serving = await serve();
    const headers = { 'idempotency-key': ['a', 'b'] };
    const reply = await exchange(serving.path, '/v1/decisions', { body: {}, headers });
    expect(reply.status).toBe(400);
  });

  test('to read that carries a body is refused', async () => {
    await using serving = await serve();
    const reply = await exchange(serving.path, '/v1/policy', {
      verb: 'GET',
      body: {},
      headers: { 'content-length': '2' },
    });
    expect(reply.json).toMatchObject({ status: 400, code: 'request.malformed' });
    expect(serving.engine.calls).toEqual([]);
  });
});

describe('an answer', () => {
  test('tells another verb from another path', async () => {
    await using serving = await serve();
    const verb = await exchange(serving.path, '/v1/decisions', { verb: 'DELETE' });
    expect(verb.json).toMatchObject({ status: 405, code: 'method.not_allowed' });
    expect(verb.headers.allow?.split(', ').sort()).toEqual(['GET', 'POST']);
    for (const path of ['/', '/v1/Decisions', '/v2/decisions', '//v1/decisions']) {
      const reply = await exchange(serving.path, path);
      expect(reply.json, path).toMatchObject({ status: 404, code: 'method.unknown' });
    }
  });

  test('of the engine that is a refusal goes out as a problem document, unchanged', async () => {
    await using serving = await serve();
    const body = {
      type: 'about:blank',
      title: 't',
      status: 404,
      code: 'decision.not_found',
      detail: 'd',
      extra: [1],
    };
    serving.engine.script = () => json(404, body);
    const reply = await exchange(serving.path, `/v1/decisions/${decisionId(1)}`);
    expect(reply.status).toBe(404);
    expect(reply.headers['content-type']).toBe('application/problem+json');
    expect(reply.json).toEqual(body);
  });

  test('is 503 when the engine is gone, and asks to try again', async () => {
    await using serving = await serve();
    serving.engine.script = () => Promise.reject(new Error('worker ended: /secret/path'));
    const reply = await exchange(serving.path, '/v1/decisions', { body: {} });
    expect(reply.json).toMatchObject({ status: 503, code: 'unavailable' });
    expect(reply.headers['retry-after']).toBe('1');
    expect(reply.text).not.toContain('secret');
  });

  test('is 500 when our own code fails, says nothing of it, and never a pass', async () => {
    const host = { 'policy.import': () => Promise.reject(new TypeError('cannot read /secret/path')) };
    await using serving = await serve({ host });
    const reply = await exchange(serving.path, '/v1/policy/import', { body: { path: '/media/stick' } });
    expect(reply.json).toMatchObject({ status: 500, code: 'internal' });
    expect(reply.text).not.toContain('secret');
    const next = await exchange(serving.path, '/v1/health');
    expect(next.status).toBe(200);
  });

  test('is bytes for tiles and text for notes', async () => {
    await using serving = await serve();
    const tile = await exchange(serving.path, '/v1/ledger/tile/1/x001/067.p/8');
    expect(tile.headers['content-type']).toBe('application/octet-stream');
    expect(tile.headers['content-length']).toBe('3');
    const bundle = await exchange(serving.path, '/v1/ledger/tile/entries/000');
    expect(bundle.status).toBe(200);
    const args = serving.engine.calls.map((call) => call.args);
    expect(args).toEqual([
      { level: '1', n: '1067', width: '8' },
      { level: 'entries', n: '0', width: '256' },
    ]);
    const note = await exchange(serving.path, '/v1/ledger/checkpoint');
    expect(note.headers['content-type']).toBe('text/plain; charset=utf-8');
    expect(note.text).toBe('ledger.checkpoint\n');
  });

  test.each([
    '0/0',
    '0/00',
    '0/1000',
    '7/000',
    '0/x000/000',
    '0/000.p/0',
    '0/000.p/256',
    '0/000/',
    '../0/000',
    'x',
  ])('is 400 for the tile %s, which has another name or none', async (path) => {
    await using serving = await serve();
    const reply = await exchange(serving.path, `/v1/ledger/tile/${path}`);
    expect([400, 404]).toContain(reply.status);
    expect(serving.engine.calls).toEqual([]);
  });
});

test('many requests on one kept connection are answered in order', async () => {
  await using serving = await serve();
  let n = 0;
  serving.engine.script = () => json(200, { n: n++ });
  const one = 'GET /v1/policy HTTP/1.1\r\nHost: localhost\r\n\r\n';
  const text = await exchangeRaw(serving.path, one.repeat(50));
  const numbers = [...text.matchAll(/\{"n":(\d+)\}/g)].map((match) => Number(match[1]));
  expect(numbers).toEqual(Array.from({ length: 50 }, (_, index) => index));
});

test('garbage after a good request does not overtake its answer', async () => {
  await using serving = await serve();
  const answer = Promise.withResolvers<void>();
  serving.engine.script = async () => {
    await answer.promise;
    return json(200, { recorded: true });
  };
  const good =
    'POST /v1/decisions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}';
  const received = exchangeRaw(serving.path, `${good}\0garbage\r\n\r\n`, true);
  await until(() => serving.engine.calls.length === 1);
  await exchange(serving.path, '/v1/health');
  answer.resolve();
  expect(await received).toMatch(/^HTTP\/1\.1 200 OK[\s\S]*\{"recorded":true\}$/);
});
