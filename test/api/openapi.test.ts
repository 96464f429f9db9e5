import { describe, expect, test } from 'vitest';
import { methodsOf, type SocketKind } from '../../daemon/api/methods.ts';
import { exchange } from './exchange.ts';
import { serve } from './serving.ts';

interface Parameter {
  name: string;
  in: string;
  required: boolean;
  schema: object;
}

interface Operation {
  operationId: string;
  summary: string;
  parameters?: Parameter[];
  requestBody?: { required: boolean; content: Record<string, { schema: object }> };
  responses: Record<string, { description: string; content?: object }>;
}

interface Document {
  openapi: string;
  info: { title: string; version: string };
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, object> };
}

async function documentOf(socket: SocketKind): Promise<Document> {
  await using serving = await serve({ socket });
  const reply = await exchange(serving.path, '/v1/openapi.json');
  expect(reply.status).toBe(200);
  return reply.json as unknown as Document;
}

function operations(document: Document): [string, string, Operation][] {
  return Object.entries(document.paths).flatMap(([path, verbs]) =>
    Object.entries(verbs).map(([verb, operation]): [string, string, Operation] => [path, verb, operation]),
  );
}

describe.each<SocketKind>(['request', 'redeem', 'operator', 'gateway'])(
  'the description of the %s socket',
  (socket) => {
    test('has every row of its table, and nothing else', async () => {
      const document = await documentOf(socket);
      const described = operations(document).map(
        ([path, verb, { operationId }]) => `${operationId} ${verb} ${path}`,
      );
      const offered = methodsOf(socket).flatMap(({ name, http }) =>
        http === null ? [] : [`${name} ${http.verb.toLowerCase()} ${http.path.replace('+', '')}`],
      );
      expect(described.sort()).toEqual([...offered, 'stream get /v1/stream'].sort());
      const stream = document.paths['/v1/stream']?.get as unknown as { 'x-stream-methods': object };
      const only = methodsOf(socket).filter(({ http }) => http === null);
      expect(Object.keys(stream['x-stream-methods'])).toEqual(only.map(({ name }) => name));
    });

    test('is OpenAPI 3.1 in its structure', async () => {
      const document = await documentOf(socket);
      expect(document.openapi).toMatch(/^3\.1\.\d+$/);
      expect(document.info).toMatchObject({ title: expect.any(String), version: expect.any(String) });
      for (const [path, verb, operation] of operations(document)) {
        const at = `${verb} ${path}`;
        expect(path, at).toMatch(/^\//);
        expect(Object.keys(operation.responses).length, at).toBeGreaterThan(0);
        for (const [status, response] of Object.entries(operation.responses)) {
          expect(status, at).toMatch(/^([1-5]\d\d|default)$/);
          expect(response.description, at).toEqual(expect.any(String));
        }
        const inPath = (operation.parameters ?? []).filter((parameter) => parameter.in === 'path');
        expect(
          inPath.map(({ name }) => name),
          at,
        ).toEqual([...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]));
        for (const parameter of inPath) expect(parameter.required, at).toBe(true);
        if (verb === 'get') expect(operation.requestBody, at).toBeUndefined();
      }
    });

    test('refers only to what it defines', async () => {
      const document = await documentOf(socket);
      const references = [...JSON.stringify(document).matchAll(/"\$ref":"#\/components\/schemas\/(\w+)"/g)];
      expect(references.length).toBeGreaterThan(0);
      for (const [, name] of references) expect(document.components.schemas).toHaveProperty(String(name));
    });
  },
);

test('the body that is described is the body that is checked', async () => {
  const document = await documentOf('request');
  const create = document.paths['/v1/decisions']?.post;
  const schema = create?.requestBody?.content['application/json']?.schema;
  expect(schema).toMatchObject({ type: 'object', additionalProperties: false });
  expect(Object.keys((schema as { properties: object }).properties)).toEqual([
    'action',
    'context',
    'linked_to',
  ]);
  expect(create?.parameters?.map(({ name, in: where }) => `${where}:${name}`)).toEqual([
    'query:wait',
    'header:Idempotency-Key',
  ]);
  expect(Object.keys(create?.responses ?? {})).toEqual(['200', '202', 'default']);
});
