import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WebSocketServer } from 'ws';
import { runHttpLoad } from '../bench/load/http.ts';
import type { HttpLoad, PacedLoad, StreamLoad } from '../bench/load/job.ts';
import { runPacedLoad } from '../bench/load/paced.ts';
import { runStreamLoad } from '../bench/load/stream.ts';

let place: string;
let server: Server;
/** Long enough for several answers on a busy machine. */
const common = { bodies: ['{"a":1}'], expect: '"permit":{', warmupMs: 0, durationMs: 1_500, samples: 3 };

beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), 'load-'));
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise((closed) => server.close(closed));
  rmSync(place, { recursive: true });
});

async function listen(made: Server): Promise<string> {
  server = made;
  const socket = join(place, 's.sock');
  await new Promise<void>((ready) => made.listen(socket, ready));
  return socket;
}

function httpServer(answer: string, status = 200): Server {
  return createServer((request, response) => {
    request.resume();
    request.on('end', () => {
      response.writeHead(status, { 'content-length': Buffer.byteLength(answer) });
      // In two pieces, as a long answer comes.
      response.write(answer.slice(0, 7));
      setImmediate(() => response.end(answer.slice(7)));
    });
  });
}

describe('the HTTP load', () => {
  const job = (socket: string): HttpLoad => ({ ...common, kind: 'http', socket, path: '/x', connections: 3 });

  it('counts answers and hands some back whole', async () => {
    const body = '{"permit":{"id":"prm_1"},"name":"Grüße"}';
    const result = await runHttpLoad(job(await listen(httpServer(body))));
    expect(result.answers).toBeGreaterThan(0);
    expect(result.samples.length).toBeGreaterThan(0);
    expect(new Set(result.samples)).toEqual(new Set([body]));
    expect(result.p50).toBeLessThanOrEqual(result.p99);
  });

  it('ends at an answer without permit, and at another status', async () => {
    const socket = await listen(httpServer('{"permit":null}'));
    await expect(runHttpLoad(job(socket))).rejects.toThrow('unexpected answer');
    server.close();
    rmSync(socket, { force: true });
    const refusing = await listen(httpServer('{"permit":{}}', 503));
    await expect(runHttpLoad(job(refusing))).rejects.toThrow('unexpected answer');
  });
});

describe('the paced load', () => {
  const job = (socket: string): PacedLoad => ({
    kind: 'paced',
    socket,
    path: '/x',
    bodies: ['{"a":1}'],
    expect: '"permit":{',
    durationMs: 200,
    connections: 2,
    perSecond: 500,
  });

  it('charges a standstill to everyone who came meanwhile', async () => {
    let resumed = 0;
    // From the first request on, which comes after the load began: longer than it lasts.
    const standstill = async () => {
      await pause(150);
      resumed = performance.timeOrigin + performance.now();
    };
    let again: Promise<void> | null = null;
    const server = createServer(async (request, response) => {
      request.resume();
      again ??= standstill();
      await again;
      response.writeHead(200, { 'content-length': 13 });
      response.end('{"permit":{}}');
    });
    const { answers } = await runPacedLoad({ ...job(await listen(server)), durationMs: 100 });
    // Two connections only, and nobody is forgotten: neither those who were held nor those who could not even ask.
    expect(answers.length).toBeGreaterThanOrEqual(50);
    expect(answers.every(([at, ms]) => at + ms >= resumed && at < resumed)).toBe(true);
  });

  it('ends at an answer without permit', async () => {
    const socket = await listen(httpServer('{"permit":null}'));
    await expect(runPacedLoad(job(socket))).rejects.toThrow('unexpected answer');
  });
});

describe('the stream load', () => {
  const job = (socket: string): StreamLoad => ({
    ...common,
    kind: 'stream',
    socket,
    path: '/v1/stream',
    method: 'decisions.create',
    window: 12,
  });

  function streamServer(result: string): Server {
    const http = createServer();
    new WebSocketServer({ server: http, path: '/v1/stream' }).on('connection', (socket) => {
      socket.on('message', (frame: Buffer) => {
        const { id, params } = JSON.parse(frame.toString()) as { id: number; params: { a: number } };
        socket.send(params.a === 1 ? `{"id":${id},"result":${result}}` : '{"id":0,"problem":{}}');
      });
    });
    return http;
  }

  it.each([10, 300, 70_000])('reads answers of %i bytes and keeps the window full', async (size) => {
    const result = await runStreamLoad(
      job(await listen(streamServer(`{"permit":{"x":"${'y'.repeat(size)}"}}`))),
    );
    expect(result.answers).toBeGreaterThanOrEqual(12);
    expect(JSON.parse(result.samples[0] ?? '')).toEqual({ permit: { x: 'y'.repeat(size) } });
  });

  it('ends at an answer without permit', async () => {
    await expect(runStreamLoad(job(await listen(streamServer('{"permit":null}'))))).rejects.toThrow(
      'unexpected answer',
    );
  });
});
