import { mkdirSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import { ApiProblem, type DecisionRequestBody } from '../../daemon/api/client.ts';
import type { OutcomeDetail, RunResult } from '../../daemon/gateway/connectors/run.ts';
import type { FakeEngine } from './fake-engine.ts';

type Handler = (id: string, body: Record<string, unknown>) => Promise<unknown>;

/** A fake engine behind real sockets, `request.sock` and `redeem.sock` of a site's run directory. */
export class FakeDaemon {
  readonly engine: FakeEngine;
  #run: string;
  #servers: Server[] = [];

  constructor(engine: FakeEngine, run: string) {
    this.engine = engine;
    this.#run = run;
  }

  async start(): Promise<void> {
    mkdirSync(this.#run, { recursive: true });
    const { engine } = this;
    const ask: [RegExp, Handler][] = [
      [/^POST \/v1\/decisions$/, (_, body) => engine.createDecision(body as DecisionRequestBody)],
      [/^GET \/v1\/decisions\/(dec_[^/]+)$/, (id) => engine.getDecision(id)],
      [/^GET \/v1\/ready$/, async () => ({ ready: true })],
    ];
    const redeem: [RegExp, Handler][] = [
      [/^POST \/v1\/permits\/([^/]+)\/redeem$/, (id, body) => engine.redeem(id, String(body.action_digest))],
      [
        /^POST \/v1\/permits\/([^/]+)\/outcome$/,
        (id, body) => engine.outcome(id, body.result as RunResult, body.detail as OutcomeDetail),
      ],
      [/^GET \/v1\/permits$/, async () => ({ permits: await engine.openPermits() })],
      [/^POST \/v1\/peers\/identify$/, async () => ({ principal: null })],
      [/^GET \/v1\/policy\/update$/, () => engine.policyUpdate()],
    ];
    for (const [name, table] of [
      ['request', ask],
      ['redeem', redeem],
    ] as const) {
      const server = createServer((request, response) => void answer(table, request, response));
      await new Promise<void>((done) => server.listen(join(this.#run, `${name}.sock`), done));
      this.#servers.push(server);
    }
  }

  async stop(): Promise<void> {
    for (const server of this.#servers.splice(0)) {
      const closed = new Promise((done) => server.close(done));
      server.closeAllConnections();
      await closed;
    }
    for (const name of ['request', 'redeem']) rmSync(join(this.#run, `${name}.sock`), { force: true });
  }
}

async function answer(
  table: [RegExp, Handler][],
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = chunks.length === 0 ? {} : JSON.parse(Buffer.concat(chunks).toString());
  const path = (request.url ?? '').split('?')[0];
  const [found, handler] = table.find(([pattern]) => pattern.test(`${request.method} ${path}`)) ?? [];
  const id = found?.exec(`${request.method} ${path}`)?.[1] ?? '';
  try {
    if (handler === undefined) throw new ApiProblem(404, { code: 'method.unknown', detail: String(path) });
    response.setHeader('content-type', 'application/json').end(JSON.stringify(await handler(id, body)));
  } catch (error) {
    if (!(error instanceof ApiProblem)) throw error;
    response
      .writeHead(error.status, { 'content-type': 'application/problem+json' })
      .end(JSON.stringify(error.body));
  }
}
