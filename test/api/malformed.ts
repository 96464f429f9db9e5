import { Agent } from 'node:http';
import fc from 'fast-check';
import { METHODS, type Method, methodsOf, type SocketKind } from '../../daemon/api/methods.ts';
import { exchange, exchangeRaw, openStream } from './exchange.ts';
import { decisionId } from './fake-engine.ts';

/*
 * A generator of malformed requests, and floods of them at a socket. Everything that it makes is malformed by
 * construction: a server that answers any of it with anything but 4xx, or lets any of it through to its engine, is wrong.
 */

export interface MalformedRequest {
  verb: string;
  path: string;
  headers: Record<string, string>;
  body: Buffer | null;
}

/** What came of a flood. `offenders` are those that were answered with anything but 4xx (or hanging up). */
export interface Tally {
  sent: number;
  answers: Record<string, number>;
  offenders: { sent: string; answer: string }[];
}

export interface FloodOptions {
  count: number;
  seed: number;
}

const ACTOR = { id: 'agent:ops-1', role: 'agent' };
const ACT = { act: '{"type":"holdfast/act/v1"}', signature: 'x' };
const ACTION = {
  class: 'restart_service',
  intent: 'i',
  target: { type: 'service', id: 'relay-2' },
  payload: {},
};

/** A body that is well-formed, for every method that takes one; the corruptions start from it. */
const BODIES: Record<string, Record<string, unknown>> = {
  'decisions.create': { action: ACTION, context: { actor: ACTOR, environment: 'production' } },
  'decisions.approve': ACT,
  'decisions.cancel': { actor: ACTOR, reason: 'r' },
  'decisions.review': { actor: ACTOR, note: 'n' },
  'decisions.reconcile': ACT,
  'permits.redeem': { audience: 'gateway', action_digest: 'ab'.repeat(32) },
  'permits.outcome': { audience: 'gateway', result: 'succeeded', detail: {} },
  'breakglass.activate': { scope: '{}', ...ACT },
  'breakglass.end': ACT,
  'breakglass.review': ACT,
  'grants.issue': { grant: '{}', ...ACT },
  'grants.redeem': { code: 'x', actor: { id: 'olga' }, reason: 'r' },
  'grants.revoke': ACT,
  'incidents.open': { actor: { id: 'alice' }, target: null, detail: 'd' },
  'incidents.resume': ACT,
  'keys.suspend': ACT,
  'envelopes.change': { ...ACT, fields: ['pin'] },
  'envelopes.disclose': { fields: ['pin'], reason: 'r' },
  'envelopes.rotate': { reason: 'r' },
  'ledger.rotate_key': { reason: 'r' },
  'evidence.export': { decision_id: 'dec_01890a5d-ac96-774b-bcce-b302099a8057', reason: 'r' },
  'anchors.carry': { path: '/media/stick' },
  'anchors.carried': { size: 1 },
  'anchors.cosignatures': { note: 'n' },
  'anchors.export': { reason: 'demand' },
  'backups.record': {
    file: 'f',
    digest: 'ab'.repeat(32),
    size: 1,
    recipients: [],
    keys: true,
    ledger: { size: 1 },
  },
  'ledger.disclose': { right: 'raw', subject: {}, reason: 'r' },
  'retention.prune': { dry_run: true },
  'retention.carry': { first: 0, sha256: 'ab'.repeat(32), to: 'shelf' },
  'retention.hold': { decision: 'dec_01890a5d-ac96-774b-bcce-b302099a8057', reason: 'r' },
  'retention.release': { decision: 'dec_01890a5d-ac96-774b-bcce-b302099a8057', reason: 'r' },
  'policy.release': ACT,
  'time.state': ACT,
  'policy.import': { path: '/media/stick' },
  'outbox.acknowledgements': { path: '/media/stick' },
  'peers.identify': { uid: 1_000, method: 'actions.execute', actor: 'agent:ops-1' },
  'tls.renew': { csr: 'x' },
  'actions.execute': { action: ACTION, context: { actor: ACTOR } },
  subscribe: { from: 0 },
  unsubscribe: { subscription: 1 },
};

const unknownName = fc.string({ maxLength: 12 }).map((tail) => `x_${tail}`);
const plainName = fc.stringMatching(/^[a-z_]{1,12}$/).map((tail) => `x_${tail}`);
const json = fc.jsonValue({ maxDepth: 2 });

/** Texts that are not a body of the method: the JSON is broken, I-JSON is broken, or the form is. */
function malformedText(body: Record<string, unknown>): fc.Arbitrary<string> {
  const text = JSON.stringify(body);
  const names = Object.keys(body);
  const name = fc.constantFrom(...names);
  const into = (raw: string) => `{"x":${raw},${text.slice(1)}`;
  return fc.oneof(
    fc.nat(text.length - 2).map((length) => text.slice(0, length + 1)),
    fc.stringMatching(/^[^\s]{1,5}$/).map((tail) => text + tail),
    fc.tuple(unknownName, json).map(([key, value]) => JSON.stringify({ ...body, [key]: value })),
    json
      .filter((value) => typeof value !== 'object' || value === null || Array.isArray(value))
      .map((value) => JSON.stringify(value)),
    name.map((key) => JSON.stringify({ ...body, [key]: [[1]] })),
    name.map((key) => `{${JSON.stringify(key)}:null,${text.slice(1)}`),
    fc.constantFrom('\\ud800', '\\udc00\\ud800').map((half) => into(`"${half}"`)),
    fc.constantFrom('9007199254740993', '-9007199254740993', '1e999', '1e16').map(into),
    fc.constantFrom('NaN', 'Infinity', "'a'", '01', '.5', '0x1', '/* */1', 'undefined').map(into),
    fc.integer({ min: 17, max: 2_000 }).map((depth) => into('['.repeat(depth) + ']'.repeat(depth))),
    fc.constant(`{"__proto__":{},${text.slice(1)}`),
    fc.constant(`\ufeff${text}`),
  );
}

/** Prefixes of the ids that methods take, by the first word of their names. */
const PREFIXES: Record<string, string> = {
  permits: 'prm_',
  breakglass: 'bg_',
  grants: 'grant_',
  incidents: 'inc_',
};

function idFor(name: string): string {
  return decisionId(1).replace('dec_', PREFIXES[name.split('.')[0] ?? ''] ?? 'dec_');
}

function pathOf({ name, http }: Method): string {
  const id = idFor(name);
  return (http?.path ?? '').replace('{path+}', '0/000').replace('{index}', '1').replace('{id}', id);
}

function withBody(method: Method): fc.Arbitrary<MalformedRequest> {
  const body = BODIES[method.name] ?? {};
  const path = pathOf(method);
  const headers = { 'content-type': 'application/json' };
  const good = Buffer.from(JSON.stringify(body));
  const post = (bytes: Buffer, type = headers['content-type']) => ({
    verb: 'POST',
    path,
    headers: { 'content-type': type },
    body: bytes,
  });
  return fc.oneof(
    { weight: 20, arbitrary: malformedText(body).map((text) => post(Buffer.from(text))) },
    {
      weight: 2,
      arbitrary: fc
        .constantFrom(0xff, 0xc0, 0x80, 0xed)
        .map((byte) => post(Buffer.concat([Buffer.from('{"'), Buffer.from([byte]), Buffer.from('":1}')]))),
    },
    {
      weight: 2,
      arbitrary: fc
        .constantFrom('text/plain', 'application/xml', 'application/jsonx', 'x', '')
        .map((type) => post(good, type)),
    },
    {
      weight: 1,
      arbitrary: fc
        .integer({ min: 65_537, max: 70_000 })
        .map((length) => post(Buffer.from(`{"x":"${'x'.repeat(length)}"}`))),
    },
    { weight: 1, arbitrary: fc.constant({ verb: 'POST', path, headers: {}, body: null }) },
  );
}

function elsewhereOrNowhere(socket: SocketKind): fc.Arbitrary<MalformedRequest> {
  const rows = methodsOf(socket).filter((method) => method.http !== null);
  const foreign = METHODS.filter((method) => method.http !== null && !method.sockets.includes(socket));
  const segment = fc.stringMatching(/^[A-Za-z0-9._~%-]{1,12}$/);
  const verbs = fc.constantFrom('GET', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'HEAD', 'TRACE');
  const bare = (verb: string, path: string): MalformedRequest => ({ verb, path, headers: {}, body: null });
  return fc.oneof(
    fc
      .tuple(verbs, fc.array(segment, { maxLength: 5 }))
      .map(([verb, parts]) => bare(verb, `/x/${parts.join('/')}`)),
    fc
      .tuple(fc.constantFrom('PUT', 'DELETE', 'PATCH', 'OPTIONS', 'HEAD'), fc.constantFrom(...rows))
      .map(([verb, row]) => bare(verb, pathOf(row))),
    fc.constantFrom(...foreign).map((row) => bare(row.http?.verb ?? 'GET', pathOf(row))),
    fc
      .tuple(fc.constantFrom(...rows), plainName)
      .map(([row, name]) => bare(row.http?.verb ?? 'GET', `${pathOf(row)}?${name}=1`)),
    fc.constantFrom(...rows).map((row) => ({
      ...bare(row.http?.verb ?? 'GET', pathOf(row)),
      headers: { 'idempotency-key': 'a b' },
    })),
    fc.constantFrom(...rows.filter(({ http }) => http?.verb === 'GET')).map((row) => ({
      ...bare('GET', pathOf(row)),
      headers: { 'content-length': '2' },
      body: Buffer.from('{}'),
    })),
  );
}

function badParameters(socket: SocketKind): fc.Arbitrary<MalformedRequest>[] {
  return methodsOf(socket).flatMap((method) => {
    if (method.http === null || method.path === undefined) return [];
    const template = method.http.path;
    const verb = method.http.verb;
    const noise = fc.oneof(
      fc.string({ minLength: 1, maxLength: 40 }),
      fc.constantFrom('..', '0x1', '-1', '1e3', '%00', 'dec_'),
    );
    return noise
      .filter((text) => text.isWellFormed() && !/^(0|[1-9][0-9]*)$/.test(text))
      .map((text) => ({
        verb,
        path: template.replace(/\{[^}]+\}/, encodeURIComponent(text)),
        headers: verb === 'POST' ? { 'content-type': 'application/json' } : ({} as Record<string, string>),
        body: verb === 'POST' ? Buffer.from(JSON.stringify(BODIES[method.name] ?? {})) : null,
      }));
  });
}

/** Requests that are proper HTTP and malformed in what they ask of this kind of socket. */
function malformedRequest(socket: SocketKind): fc.Arbitrary<MalformedRequest> {
  const posts = methodsOf(socket).filter(
    (method) => method.http?.verb === 'POST' && method.body !== undefined,
  );
  return fc.oneof(
    { weight: 6, arbitrary: fc.oneof(...posts.map(withBody)) },
    { weight: 2, arbitrary: elsewhereOrNowhere(socket) },
    ...badParameters(socket).map((arbitrary) => ({ weight: 1, arbitrary })),
  );
}

/** Bytes that are no HTTP request, or not a whole one, or one that two parsers could read differently. */
function malformedBytes(): fc.Arbitrary<Buffer> {
  const head = 'POST /v1/decisions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n';
  const whole = Buffer.from(`${head}Content-Length: 11\r\nConnection: close\r\n\r\n{"acton":1}`);
  const good = Buffer.from(`${head}Content-Length: 2\r\n\r\n{}`);
  const lines = fc.constantFrom(
    'GET /v1/health HTTP/9.9\r\nHost: l\r\n\r\n',
    'GET /v1/health HTTP/1.1\r\n\r\n',
    'GET /v1/health\r\n\r\n',
    'get /v1/health HTTP/1.1\r\nHost: l\r\n\r\n',
    'GET /v1/health HTTP/1.1\r\nHost l\r\n\r\n',
    'GET /v1/health HTTP/1.1\r\nHost: l\r\nX: a\0b\r\n\r\n',
    'GET /v1/health HTTP/1.1\r\nHost: l\r\n X: folded\r\n\r\n',
    `GET /v1/health HTTP/1.1\r\nHost: l\r\nX: ${'a'.repeat(20_000)}\r\n\r\n`,
    `GET /${'a'.repeat(20_000)} HTTP/1.1\r\nHost: l\r\n\r\n`,
    `${head}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}`,
    `${head}Content-Length: -1\r\n\r\n{}`,
    `${head}Content-Length: 2x\r\n\r\n{}`,
    `${head}Content-Length: 99999999999999999999999\r\n\r\n{}`,
    `${head}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n`,
    `${head}Transfer-Encoding: gzip\r\n\r\n{}`,
    `${head}Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n`,
    `${head}Transfer-Encoding: chunked\r\n\r\n2\r\n{}x\r\n0\r\n\r\n`,
    `${head}Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n{}`,
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    'CONNECT localhost:80 HTTP/1.1\r\nHost: l\r\n\r\n',
    'GET /v1/stream HTTP/1.1\r\nHost: l\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 1\r\nSec-WebSocket-Key: x\r\n\r\n',
    'GET /v1/health HTTP/1.1\r\nHost: l\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
  );
  return fc.oneof(
    fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
    fc.nat(good.length - 2).map((length) => good.subarray(0, length + 1)),
    fc.tuple(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 })).map(([at, flip]) => {
      const flipped = Buffer.from(whole);
      flipped[at] = (flipped[at] ?? 0) ^ flip;
      return flipped;
    }),
    lines.map((text) => Buffer.from(text, 'latin1')),
  );
}

/** Text frames that no stream of this kind of socket may accept. */
function malformedFrame(socket: SocketKind): fc.Arbitrary<string> {
  const rows = methodsOf(socket);
  const foreign = METHODS.filter((method) => !method.sockets.includes(socket)).map(({ name }) => name);
  const bodies = rows.filter((method) => method.body !== undefined);
  const frame = (name: string, params: string) =>
    `{"id":1,"method":${JSON.stringify(name)},"params":${params}}`;
  const anyName = fc.constantFrom(...rows.map(({ name }) => name));
  return fc.oneof(
    fc.string({ maxLength: 60 }),
    json.map((value) => JSON.stringify(value)),
    fc.tuple(anyName, fc.nat(20)).map(([name, cut]) => frame(name, '{}').slice(0, -1 - cut)),
    fc
      .tuple(anyName, unknownName)
      .map(([name, extra]) => JSON.stringify({ id: 1, method: name, params: {}, [extra]: 1 })),
    anyName.map((name) => `{"id":1,"id":2,"method":"${name}"}`),
    fc
      .tuple(anyName, fc.constantFrom('null', '[]', '1', '"x"', 'true'))
      .map(([name, params]) => frame(name, params)),
    fc
      .tuple(anyName, fc.constantFrom('null', '1.5', '[]', '{}', '1e17', `"${'x'.repeat(65)}"`))
      .map(([name, id]) => `{"id":${id},"method":"${name}"}`),
    fc.tuple(anyName, unknownName).map(([name, extra]) => frame(name, JSON.stringify({ [extra]: 1 }))),
    fc
      .oneof(fc.constantFrom('constructor', '__proto__', 'toString', ...foreign), unknownName)
      .map((name) => frame(name, '{}')),
    ...bodies.map((method) =>
      malformedText(parametersOf(method)).map((params) => frame(method.name, params)),
    ),
  );
}

/** The body of a method with its path parameters beside it, as a frame has them. */
function parametersOf(method: Method): Record<string, unknown> {
  const id = method.path === undefined ? {} : { id: idFor(method.name) };
  return { ...id, ...BODIES[method.name] };
}

function tally(): Tally {
  return { sent: 0, answers: {}, offenders: [] };
}

/** `answer` is a status, or `closed` for a connection that ended without one. */
function count(into: Tally, sent: string, answer: string): void {
  into.sent += 1;
  into.answers[answer] = (into.answers[answer] ?? 0) + 1;
  if (!/^(4\d\d|closed)$/.test(answer) && into.offenders.length < 10)
    into.offenders.push({ sent: sent.slice(0, 2_000), answer });
}

/** Sends malformed requests over a few kept connections. */
export async function floodRequests(path: string, socket: SocketKind, options: FloodOptions): Promise<Tally> {
  const requests = fc.sample(malformedRequest(socket), { numRuns: options.count, seed: options.seed });
  const result = tally();
  const agent = new Agent({ keepAlive: true, maxSockets: 8 });
  const next = requests.values();
  const sender = async () => {
    for (const { verb, path: url, headers, body } of next) {
      const sent = { verb, headers, agent, ...(body === null ? {} : { body }) };
      const answer = await exchange(path, url, sent).then(
        ({ status }) => String(status),
        () => 'closed',
      );
      count(result, `${verb} ${url} ${JSON.stringify(headers)} ${body?.toString('latin1') ?? ''}`, answer);
    }
  };
  await Promise.all(Array.from({ length: 8 }, sender));
  agent.destroy();
  return result;
}

/** Sends malformed bytes, each on a connection of its own. */
export async function floodBytes(path: string, options: FloodOptions): Promise<Tally> {
  const all = fc.sample(malformedBytes(), { numRuns: options.count, seed: options.seed });
  const result = tally();
  const next = all.values();
  const sender = async () => {
    for (const bytes of next) {
      const text = await exchangeRaw(path, bytes);
      const statuses = [...text.matchAll(/^HTTP\/1\.1 (\d{3})/gm)].map((match) => match[1] ?? '');
      const worst = statuses.find((status) => !status.startsWith('4')) ?? statuses[0] ?? 'closed';
      count(result, bytes.toString('latin1'), worst);
    }
  };
  await Promise.all(Array.from({ length: 8 }, sender));
  return result;
}

/** Sends malformed frames on one stream; each must be answered with one problem, and the stream live on. */
export async function floodStream(path: string, socket: SocketKind, options: FloodOptions): Promise<Tally> {
  const frames = fc.sample(malformedFrame(socket), { numRuns: options.count, seed: options.seed });
  const result = tally();
  const stream = await openStream(path);
  for (let start = 0; start < frames.length; start += 100) {
    const batch = frames.slice(start, start + 100);
    for (const frame of batch) stream.send(frame);
    const answers = await stream.take(batch.length);
    // Problems of form are answered at once, so in order.
    for (const [index, answer] of answers.entries()) {
      const problem = answer.problem as { status?: number } | undefined;
      count(result, batch[index] ?? '', String(problem?.status ?? JSON.stringify(answer)));
    }
  }
  stream.ws.terminate();
  return result;
}
