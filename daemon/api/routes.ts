import { isUtf8 } from 'node:buffer';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { performance } from 'node:perf_hooks';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Problem } from '../engine/protocol.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import type { Json } from '../formats/json.ts';
import { type JsonLimits, parseStrict } from '../formats/strict-json.ts';
import type { Caller } from '../identity/callers.ts';
import type { Admission } from './admission.ts';
import { type Connections, owesAnswer } from './connections.ts';
import { type BoundMethod, type Dispatcher, internalProblem, payloadOf } from './dispatch.ts';
import { elsewhere, METHODS, type SocketKind, STREAM_PATH } from './methods.ts';
import type { Metrics } from './metrics.ts';
import { problem, problemOf, problemOfBoundary } from './problem.ts';
import { sendProblem, sendReply } from './reply.ts';

/** What the routes of one server share. */
export interface RouteContext {
  socket: SocketKind;
  dispatcher: Dispatcher;
  admission: Admission;
  connections: Connections;
  metrics: Metrics;
  jsonLimits: JsonLimits;
  stopping: () => boolean;
  failed: (error: unknown, method: string) => void;
}

interface ParsedBody {
  value: Json;
  text: string;
}

/** Puts the socket's share of the table, and the answers to everything else, on the HTTP server. */
export function addRoutes(app: FastifyInstance, context: RouteContext): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, bytes, done) => {
    try {
      done(null, parseBody(bytes as Buffer, context.jsonLimits));
    } catch (error) {
      done(error as Error);
    }
  });
  app.addHook('onRequest', (request, reply, next) => {
    if (admit(request.raw, reply.raw, context)) next();
    else reply.hijack();
  });
  app.setErrorHandler((error, request, reply) => {
    reply.hijack();
    const document = problemOfError(error, request, context);
    // The rest of a body that was refused half-way is not worth reading.
    sendProblem(reply.raw, document, context.stopping() || !request.raw.complete);
  });
  app.setNotFoundHandler((request, reply) => {
    reply.hijack();
    const { document, allow } = notHere(request.raw, context.socket);
    if (allow !== null) reply.raw.setHeader('allow', allow);
    sendProblem(reply.raw, document, context.stopping());
  });
  for (const method of context.dispatcher.methods.values()) addRoute(app, method, context);
}

function addRoute(app: FastifyInstance, method: BoundMethod, context: RouteContext): void {
  const { http, name } = method.row;
  if (http === null) return;
  const wildcard = /\{(\w+)\+\}$/.exec(http.path)?.[1];
  const url = http.path.replace(/\{\w+\+\}$/, '*').replaceAll(/\{(\w+)\}/g, ':$1');
  app.route({
    method: http.verb,
    url,
    handler: (request, reply) => {
      reply.hijack();
      const { raw } = reply;
      dispatched.set(raw, name);
      const params = request.params as Record<string, unknown>;
      const call = {
        path: wildcard === undefined ? params : { [wildcard]: params['*'] },
        query: request.query as Record<string, unknown>,
        body: (request.body as ParsedBody | undefined) ?? null,
        key: keyOf(request.raw),
        caller: callerOn(request.raw, context),
        gone: () => goneSignal(raw),
      };
      void context.dispatcher.call(method, call).then((answer) => {
        if (raw.destroyed) return;
        sendReply(raw, answer.status, payloadOf(method, answer), context.stopping());
      });
    },
  });
}

/** Responses to requests that were read whole and given to a method, with its name. */
const dispatched = new WeakMap<ServerResponse, string>();

/** Counts a request in before its body is read, and out when its response is over, whatever became of it. */
function admit(incoming: IncomingMessage, outgoing: ServerResponse, context: RouteContext): boolean {
  const { admission, connections, metrics, socket } = context;
  const connection = connections.of(incoming.socket);
  const started = performance.now();
  const denied =
    connection === null || context.stopping()
      ? problem('server.stopping', 'the service is stopping; nothing was done, try again when it is back')
      : (malformedHead(incoming) ?? admission.enter(connection.budget));
  if (denied !== null || connection === null) {
    if (denied !== null)
      sendProblem(outgoing, denied, denied.code === 'request.malformed' || context.stopping());
    metrics.answered(socket, 'none', outgoing.statusCode, performance.now() - started);
    return false;
  }
  connection.requests.add(incoming);
  outgoing.once('close', () => {
    admission.leave(connection.budget);
    connection.requests.delete(incoming);
    if (connection.closing && !owesAnswer(connection)) incoming.socket.destroySoon();
    metrics.answered(
      socket,
      dispatched.get(outgoing) ?? 'none',
      outgoing.statusCode,
      performance.now() - started,
    );
  });
  return true;
}

/**
 * What the HTTP parser lets pass and we do not: versions before 1.0, which have no headers, and a body that would be
 * dropped unread, because a GET has none here.
 */
function malformedHead({ method, headers, httpVersionMajor }: IncomingMessage): Problem | null {
  if (httpVersionMajor !== 1) return problem('request.malformed', 'this is not HTTP/1.1; nothing was done');
  if (method !== 'GET') return null;
  const length = headers['content-length'];
  if ((length === undefined || length === '0') && headers['transfer-encoding'] === undefined) return null;
  return problem('request.malformed', 'a GET request has no body here; nothing was done');
}

/** A request that was admitted has a connection that is known. */
function callerOn({ socket }: IncomingMessage, { connections }: RouteContext): Caller {
  const connection = connections.of(socket);
  if (connection === null) throw new Error('routes: a request without a connection');
  return connection.caller;
}

function keyOf(incoming: IncomingMessage): string | null {
  const key = incoming.headers['idempotency-key'];
  return typeof key === 'string' ? key : null;
}

function goneSignal(raw: ServerResponse): AbortSignal {
  const controller = new AbortController();
  if (raw.destroyed) controller.abort();
  else raw.once('close', () => controller.abort());
  return controller.signal;
}

function parseBody(bytes: Buffer, limits: JsonLimits): ParsedBody {
  if (!isUtf8(bytes)) throw new BoundaryError('json.not_utf8', 'The body is not UTF-8; nothing was done.');
  const text = bytes.toString('utf8');
  return { value: parseStrict(text, limits), text };
}

/** Fastify's own complaints, and the parser's, as problem documents. */
function problemOfError(error: unknown, request: FastifyRequest, context: RouteContext): Problem {
  if (error instanceof BoundaryError) return problemOfBoundary(error);
  const { code, statusCode } = error as { code?: string; statusCode?: number };
  switch (code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return problem(
        'request.too_large',
        `the body is over ${context.jsonLimits.maxBytes} bytes; nothing was done`,
      );
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return problem(
        'request.media_type',
        'send the body as Content-Type: application/json; nothing was done',
      );
    default:
  }
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) {
    return problem('request.malformed', 'the request could not be read; nothing was done');
  }
  context.failed(error, `${request.method} (before dispatch)`);
  return internalProblem();
}

interface PathPattern {
  pattern: RegExp;
  row: (typeof METHODS)[number];
  verb: string;
}

const PATHS: readonly PathPattern[] = METHODS.flatMap((row) => {
  if (row.http === null) return [];
  const source = row.http.path
    .replaceAll('.', '\\.')
    .replace(/\{\w+\+\}$/, '.+')
    .replaceAll(/\{\w+\}/g, '[^/]+');
  return [{ pattern: new RegExp(`^${source}$`), row, verb: row.http.verb }];
});

/** Why there is nothing here: another verb, another socket, or no such thing at all. */
function notHere(incoming: IncomingMessage, socket: SocketKind): { document: Problem; allow: string | null } {
  const path = (incoming.url ?? '').split('?', 1)[0] ?? '';
  if (path === STREAM_PATH) {
    const detail = `${STREAM_PATH} is a WebSocket; connect with an Upgrade`;
    return { document: problemOf(426, 'stream.upgrade_required', detail), allow: null };
  }
  const matching = PATHS.filter(({ pattern }) => pattern.test(path));
  const here = matching.filter(({ row }) => row.sockets.includes(socket));
  const allow = [...new Set(here.map(({ verb }) => verb))].join(', ');
  const other = matching.find(({ row, verb }) => verb === incoming.method && !row.sockets.includes(socket));
  if (other !== undefined) return { document: elsewhere(other.row.name, socket), allow: null };
  if (here.length > 0) {
    return { document: problem('method.not_allowed', `this path takes ${allow}; nothing was done`), allow };
  }
  return { document: elsewhere(path, socket), allow: null };
}
