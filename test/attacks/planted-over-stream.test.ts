import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { METHODS } from '../../daemon/api/methods.ts';
import type { Json, JsonObject } from '../../daemon/formats/json.ts';
import { openStream, type StreamClient, until } from '../api/exchange.ts';
import { ROOT } from '../structure/sources.ts';
import { type Role, type Socket, World } from '../world.ts';
import { FORMS, filesOf, formsOf, joining, PASSWORD, planted, SECRETS, TOKEN, templates } from './planted.ts';

/*
 * The same as over HTTP, through the WebSocket: secrets in every text of every method's parameters, right ones and made-up
 * ones, in frames that are broken, and in everything else that a frame has. Then every file and log line is searched.
 */

const STREAMS: readonly Socket[] = ['request', 'redeem', 'operator'];

let world: World;
let daemon: Role;
let gateway: Role;
const answers: string[] = [];
const asked = new Set<string>();

beforeAll(async () => {
  world = await World.make(join(ROOT, 'test/attacks/secret-policy'));
  const credentials = join(world.root, 'credentials');
  mkdirSync(credentials, { mode: 0o700 });
  writeFileSync(join(credentials, 'relay-key'), 'x\n', { mode: 0o600 });
  daemon = await world.daemon();
  gateway = await world.gateway({ env: { CREDENTIALS_DIRECTORY: credentials } });
}, 120_000);
afterAll(() => world.close());

/** Sends frames, a few at a time. What a subscription sends meanwhile is no answer. */
async function tell(stream: StreamClient, frames: readonly (string | JsonObject)[]): Promise<void> {
  const AT_ONCE = 16;
  for (let at = 0; at < frames.length; at += AT_ONCE) {
    const some = frames.slice(at, at + AT_ONCE);
    const before = stream.frames.length;
    for (const frame of some) stream.send(frame);
    await until(() => stream.frames.slice(before).filter((one) => 'id' in one).length >= some.length);
  }
}

/** Something of the form that a schema asks for, with a text wherever one may stand. */
function sample(schema: unknown, depth = 0): Json {
  const {
    type,
    properties,
    items,
    anyOf,
    enum: values,
    const: fixed,
    patternProperties,
  } = (schema ?? {}) as {
    [name: string]: never;
  };
  if (fixed !== undefined) return fixed;
  if (values !== undefined) return values[0] ?? null;
  if (anyOf !== undefined)
    return sample(
      (anyOf as unknown[]).find((one) => (one as { type?: string }).type !== 'null'),
      depth,
    );
  if (depth > 6) return null;
  if (properties !== undefined)
    return Object.fromEntries(
      Object.entries(properties).map(([name, inner]) => [name, sample(inner, depth + 1)]),
    );
  if (patternProperties !== undefined) return { x: sample(Object.values(patternProperties)[0], depth + 1) };
  if (type === 'array') return [sample(items, depth + 1)];
  if (type === 'integer' || type === 'number') return 1;
  if (type === 'boolean') return true;
  return type === 'object' ? {} : 'x';
}

/** Parameters of a method as it takes them, with words for all texts. */
function sampled({ path, query, body, keyed }: (typeof METHODS)[number]): JsonObject {
  const parts = [path, query, body].map((schema) => sample(schema) as JsonObject | string);
  const params = Object.assign({}, ...parts.filter((part) => typeof part === 'object')) as JsonObject;
  return keyed === true ? { ...params, idempotency_key: 'k' } : params;
}

/** The method that a path of the HTTP API is of, and what of the path is a parameter. */
function methodAt(socket: Socket, path: string): { name: string; params: JsonObject } | null {
  for (const { http, name, sockets } of METHODS) {
    if (http?.verb !== 'POST' || !sockets.includes(socket as never)) continue;
    const pattern = new RegExp(`^${http.path.replace(/\{(\w+)\+?\}/g, '(?<$1>[^/]+)')}$`);
    const match = pattern.exec(path);
    if (match !== null) return { name, params: { ...match.groups } };
  }
  return null;
}

describe('secrets over the WebSocket', () => {
  it('are planted in every text of every method', { timeout: 600_000 }, async () => {
    for (const socket of STREAMS) {
      const stream = await openStream(world.socket(socket));
      const made = { id: 1, method: 'decisions.create', params: joining('0452') as unknown as Json };
      await tell(stream, [made]);
      const { result } = stream.frames[0] as {
        result?: { decision_id: string; permit?: { id: string } };
      };
      const real = templates(result?.decision_id ?? '', result?.permit?.id ?? '').flatMap(
        ({ socket: on, path, body }) => {
          const method = on === socket ? methodAt(on, path) : null;
          return method === null ? [] : [{ method: method.name, params: { ...method.params, ...body } }];
        },
      );
      const invented = METHODS.filter(({ sockets, kind, name }) => {
        return kind !== 'own' && name !== 'actions.execute' && sockets.includes(socket as never);
      }).map((row) => ({ method: row.name, params: sampled(row) }));
      let id = 1;
      for (const { method, params } of [...real, ...invented]) {
        asked.add(method);
        for (const secret of [TOKEN, PASSWORD]) {
          for (const [, form] of FORMS) {
            const changed = planted(params, form(secret));
            await tell(
              stream,
              changed.map((one) => ({ id: ++id, method, params: one })),
            );
          }
          await tell(stream, [
            { id: ++id, method, params, [secret]: secret },
            { id: ++id, method, params: secret },
          ]);
        }
      }
      for (const secret of [TOKEN, PASSWORD]) {
        await tell(stream, [`{"id":${++id},"method":"${secret}"}`, `{"id":${++id},"x":"${secret}`, secret]);
        // Its own id comes back to who sent it, and stays nowhere.
        await tell(stream, [{ id: secret, method: 'decisions.get', params: { id: secret } }]);
      }
      answers.push(
        ...stream.texts.filter((_, at) => ![TOKEN, PASSWORD].includes(String(stream.frames[at]?.id))),
      );
      stream.ws.close(1000, TOKEN);
      await stream.closed;
    }
    const missing = METHODS.filter(({ name, sockets, kind }) => {
      return kind !== 'own' && sockets.some((one) => STREAMS.includes(one)) && !asked.has(name);
    });
    expect(missing.map(({ name }) => name)).toEqual([]);
    expect(answers.some((text) => text.includes('"result"'))).toBe(true);
    expect(answers.some((text) => text.includes('secret'))).toBe(true);
  });

  it('are in no answer, no file and no log line', { timeout: 120_000 }, async () => {
    const inIt = (text: string | Buffer): string | undefined =>
      SECRETS.flatMap(formsOf).find((form) => text.includes(form));
    for (const answer of answers) expect(inIt(answer), answer.slice(0, 2_000)).toBeUndefined();
    const search = (when: string) => {
      for (const file of filesOf(world.dir))
        expect(inIt(readFileSync(file)), `${file} ${when}`).toBeUndefined();
    };
    search('while it runs');
    const logs = [await gateway.kill('SIGTERM'), await daemon.kill('SIGTERM')];
    search('after it ended');
    for (const { stdout, stderr } of logs) expect(inIt(stdout + stderr)).toBeUndefined();
    expect((await world.json('ledger', 'verify')).code).toBe(0);
  });
});
