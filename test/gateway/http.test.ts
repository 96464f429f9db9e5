import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import type { HttpCall } from '../../daemon/formats/permit.ts';
import { runHttp } from '../../daemon/gateway/connectors/http.ts';
import { STREAM_HARD_LIMIT } from '../../daemon/gateway/connectors/run.ts';

const dir = mkdtempSync(join(tmpdir(), 'holdfast-http-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));
const open: Server[] = [];
afterEach(async () => {
  for (const server of open.splice(0)) await new Promise((done) => server.close(done));
});

const call = (address: string, more: Partial<HttpCall> = {}): HttpCall => ({
  connector: 'http',
  address,
  method: 'POST',
  path: '/restart',
  body: { unit: 'relay' },
  timeout_ms: 10_000,
  output_limit_bytes: 65_536,
  ...more,
});

async function listening(server: Server): Promise<string> {
  open.push(server);
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return `tcp:127.0.0.1:${(server.address() as AddressInfo).port}`;
}
const web = (answer: (request: IncomingMessage, response: ServerResponse) => void) =>
  listening(createServer(answer));
/** A server that speaks raw bytes and then hangs up. */
const raw = (bytes: string) =>
  listening(
    createTcpServer((socket) => {
      socket.on('error', () => {});
      socket.once('data', () => socket.end(bytes));
    }),
  );
const hex = (bytes: string) => createHash('sha256').update(bytes).digest('hex');

describe('a complete answer', () => {
  it('succeeds on 2xx, with the body and its digest', async () => {
    let seen = {};
    const address = await web((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk) => chunks.push(chunk));
      request.on('end', () => {
        const body = Buffer.concat(chunks).toString();
        seen = { method: request.method, url: request.url, body, headers: request.headers };
        response.end('done');
      });
    });
    const run = await runHttp(call(address));
    expect(run.result).toBe('succeeded');
    expect(run.detail).toMatchObject({ http_status: 200, stdout_bytes: 4, stdout_digest: hex('done') });
    expect(Buffer.from(run.output?.stdout ?? []).toString()).toBe('done');
    expect(seen).toMatchObject({
      method: 'POST',
      url: '/restart',
      body: '{"unit":"relay"}',
      headers: { 'content-type': 'application/json', connection: 'close' },
    });
  });

  it('talks to a Unix socket', async () => {
    const path = join(dir, 'tool.sock');
    const server = createServer((request, response) => response.end(request.url));
    open.push(server);
    await new Promise<void>((done) => server.listen(path, done));
    const run = await runHttp(call(`unix:${path}`, { method: 'GET', body: null }));
    expect(run.detail.http_status).toBe(200);
    expect(Buffer.from(run.output?.stdout ?? []).toString()).toBe('/restart');
  });

  it.each([404, 500, 302])('fails on %i and follows nothing', async (status) => {
    let requests = 0;
    const address = await web((_request, response) => {
      requests += 1;
      response.writeHead(status, { location: '/elsewhere' }).end();
    });
    const run = await runHttp(call(address));
    expect(run).toMatchObject({ result: 'failed', detail: { http_status: status } });
    expect(requests).toBe(1);
  });

  it('ignores a proxy of the environment', async () => {
    process.env.http_proxy = 'http://127.0.0.1:1';
    const run = await runHttp(call(await web((_request, response) => response.end())));
    delete process.env.http_proxy;
    expect(run.result).toBe('succeeded');
  });

  it('stops reading a flood; the status still counts', async () => {
    const address = await web((_request, response) => {
      response.on('error', () => {});
      const chunk = Buffer.alloc(1024 * 1024);
      for (let sent = 0; sent <= STREAM_HARD_LIMIT; sent += chunk.length) response.write(chunk);
      response.end();
    });
    const run = await runHttp(call(address, { output_limit_bytes: 100 }));
    expect(run).toMatchObject({
      result: 'succeeded',
      detail: { reason: 'output_limit' },
      output: { truncated: true },
    });
    expect(run.output?.stdout.length).toBe(100);
  });
});

describe('no complete answer', () => {
  it('fails when nobody listens: nothing was sent', async () => {
    const server = createTcpServer();
    const address = await listening(server);
    await new Promise((done) => open.splice(open.indexOf(server), 1)[0]?.close(done));
    const run = await runHttp(call(address));
    expect(run).toMatchObject({
      result: 'failed',
      output: null,
      detail: { reason: 'not_started: ECONNREFUSED' },
    });
  });

  it('fails when the socket does not exist or the address is none', async () => {
    expect((await runHttp(call(`unix:${dir}/none.sock`))).detail.reason).toBe('not_started: ENOENT');
    expect((await runHttp(call('ftp:host:1'))).detail.reason).toMatch(/^not_started/);
    expect((await runHttp(call('tcp:host:99999'))).detail.reason).toMatch(/^not_started/);
    expect((await runHttp(call('tcp:127.0.0.1:1', { path: '/a b' }))).detail.reason).toMatch(/^not_started/);
  });

  it.each([
    ['the target hangs up', ''],
    ['the answer is not HTTP', 'SSH-2.0-x\r\n'],
    ['the body is cut off', 'HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc'],
    ['the chunks are cut off', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab'],
    ['the head is endless', `HTTP/1.1 200 OK\r\nx: ${'a'.repeat(70_000)}\r\n\r\n`],
    [
      'the target switches protocols',
      'HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n',
    ],
  ])('is unknown when %s after the request was sent', async (_what, bytes) => {
    const run = await runHttp(call(await raw(bytes)));
    expect(run.result).toBe('unknown');
    expect(run.detail.reason).toBeDefined();
  });

  it('is unknown when the answer does not come in time', async () => {
    const address = await web(() => {});
    const run = await runHttp(call(address, { timeout_ms: 100 }));
    expect(run).toMatchObject({ result: 'unknown', detail: { reason: 'timeout' } });
  });

  it('is unknown when the gateway stops meanwhile, and nothing is sent after', async () => {
    const stopping = new AbortController();
    const address = await web(() => stopping.abort());
    expect(await runHttp(call(address), { signal: stopping.signal })).toMatchObject({
      result: 'unknown',
      detail: { reason: 'gateway_stopping' },
    });
    expect((await runHttp(call(address), { signal: stopping.signal })).detail.reason).toMatch(/^not_started/);
  });
});
