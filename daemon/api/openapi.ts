import type { TSchema } from 'typebox';
import type { JsonObject } from '../formats/json.ts';
import { type Method, methodsOf, type SocketKind, STREAM_PATH } from './methods.ts';
import * as replies from './replies.ts';
import { IdempotencyKey } from './schemas.ts';

/** Schemas that are worth a name in the document; everything else stands where it is used. */
const NAMED: ReadonlyMap<TSchema, string> = new Map<TSchema, string>([
  [replies.Decision, 'Decision'],
  [replies.ProblemDocument, 'Problem'],
]);

/** The OpenAPI 3.1 document of one kind of socket, from the same schemas that its server checks with. */
export function openApi(socket: SocketKind, version: string): JsonObject {
  const paths: Record<string, JsonObject> = {};
  for (const method of methodsOf(socket)) {
    if (method.http === null) continue;
    const path = method.http.path.replace('+}', '}');
    paths[path] = { ...paths[path], [method.http.verb.toLowerCase()]: operation(method) };
  }
  paths[STREAM_PATH] = { get: streamOperation(socket) };
  return {
    openapi: '3.1.0',
    info: {
      title: `Holdfast API (${socket} socket)`,
      version,
      description:
        'HTTP/1.1 JSON over a Unix socket. Errors are RFC 9457 problem documents with a stable `code`.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: 'http://localhost', description: `run/${socket}.sock of the site directory` }],
    paths,
    components: { schemas: Object.fromEntries([...NAMED].map(([schema, name]) => [name, plain(schema)])) },
  };
}

function operation(method: Method): JsonObject {
  const parameters = [
    ...parametersIn('path', method.path),
    ...parametersIn('query', method.query),
    ...(method.keyed === true
      ? [{ name: 'Idempotency-Key', in: 'header', required: false, schema: plain(IdempotencyKey) }]
      : []),
  ];
  const responses: JsonObject = { 200: { description: 'Done.', content: contentOf(method.reply) } };
  if (method.waits === true || method.name === 'actions.execute') {
    responses['202'] = { description: 'The decision waits for authority.', content: contentOf(method.reply) };
  }
  responses.default = {
    description: 'Not done. `code` says why, `at` names the field.',
    content: { 'application/problem+json': { schema: schemaOf(replies.ProblemDocument) } },
  };
  return {
    operationId: method.name,
    summary: method.summary,
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(method.body === undefined
      ? {}
      : {
          requestBody: { required: true, content: { 'application/json': { schema: schemaOf(method.body) } } },
        }),
    responses,
  };
}

function parametersIn(where: 'path' | 'query', schema: Method['path']): JsonObject[] {
  const required = new Set<string>(schema?.required ?? []);
  return Object.entries(schema?.properties ?? {}).map(([name, value]) => ({
    name,
    in: where,
    required: required.has(name),
    schema: plain(value as TSchema),
  }));
}

function contentOf(reply: Method['reply']): JsonObject {
  if (reply === 'text') return { 'text/plain': { schema: { type: 'string' } } };
  if (reply === 'bytes') return { 'application/octet-stream': {} };
  return { 'application/json': { schema: schemaOf(reply) } };
}

function schemaOf(schema: TSchema): JsonObject {
  const name = NAMED.get(schema);
  return name === undefined ? plain(schema) : { $ref: `#/components/schemas/${name}` };
}

/** A schema as plain JSON, without the library's own marks. */
function plain(schema: TSchema): JsonObject {
  return JSON.parse(JSON.stringify(schema)) as JsonObject;
}

/** OpenAPI has no words for what follows an upgrade; the methods that exist only there are listed as an extension. */
function streamOperation(socket: SocketKind): JsonObject {
  const only = methodsOf(socket).filter((method) => method.http === null);
  return {
    operationId: 'stream',
    summary: 'WebSocket: the same methods, pipelined.',
    description:
      'Text frames {id, method, params} are answered by {id, result} or {id, problem}, in any order. `method` is an operationId of this document; `params` has the members of path, query and body side by side, and `idempotency_key` for the header.',
    responses: { 101: { description: 'Switching to WebSocket.' } },
    'x-stream-methods': Object.fromEntries(
      only.map((method) => [
        method.name,
        { summary: method.summary, params: method.body === undefined ? {} : plain(method.body) },
      ]),
    ),
  };
}
