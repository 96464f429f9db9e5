import { type Agent, type IncomingHttpHeaders, request } from 'node:http';
import { connect } from 'node:net';
import WebSocket from 'ws';

export interface Exchanged {
  status: number;
  headers: IncomingHttpHeaders;
  text: string;
  /** The body, where it is JSON. */
  json: Record<string, unknown>;
}

export interface Sent {
  verb?: string;
  headers?: Record<string, string | string[]>;
  /** Objects are sent as JSON with its media type; texts and bytes as they are. */
  body?: object | string | Buffer;
  agent?: Agent;
}

/** One HTTP request over a Unix socket. */
export function exchange(socketPath: string, path: string, sent: Sent = {}): Promise<Exchanged> {
  const { body } = sent;
  const bytes =
    body === undefined || typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body);
  const headers = {
    ...(bytes === undefined ? {} : { 'content-type': 'application/json' }),
    ...sent.headers,
  };
  const method = sent.verb ?? (bytes === undefined ? 'GET' : 'POST');
  return new Promise((resolve, reject) => {
    const agent = sent.agent === undefined ? {} : { agent: sent.agent };
    const outgoing = request({ socketPath, path, method, headers, ...agent }, (incoming) => {
      const chunks: Buffer[] = [];
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
      incoming.on('error', reject);
      incoming.on('end', () => {
        const text = Buffer.concat(chunks).toString('utf8');
        resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, text, json: parsed(text) });
      });
    });
    outgoing.on('error', reject);
    outgoing.end(bytes);
  });
}

function parsed(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return {};
  }
}

/** Sends bytes, ends the sending side (unless `keepOpen`), and resolves with all that came back until the end. */
export function exchangeRaw(socketPath: string, bytes: string | Buffer, keepOpen = false): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(socketPath);
    const chunks: Buffer[] = [];
    const finish = () => resolve(Buffer.concat(chunks).toString('latin1'));
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.on('error', finish);
    socket.on('close', finish);
    if (keepOpen) socket.write(bytes);
    else socket.end(bytes);
  });
}

/** What came back on a stream, frame by frame. */
export interface StreamClient {
  ws: WebSocket;
  frames: Record<string, unknown>[];
  texts: string[];
  send(frame: object | string): void;
  /** Resolves with the next `count` frames from the one after those already taken. */
  take(count: number): Promise<Record<string, unknown>[]>;
  closed: Promise<{ code: number; reason: string }>;
}

/** Opens a stream on a Unix socket. */
export async function openStream(socketPath: string): Promise<StreamClient> {
  const ws = new WebSocket(`ws+unix:${socketPath}:/v1/stream`, { perMessageDeflate: false });
  const frames: Record<string, unknown>[] = [];
  const texts: string[] = [];
  let taken = 0;
  let arrived = () => {};
  ws.on('message', (data) => {
    const text = String(data);
    texts.push(text);
    frames.push(JSON.parse(text) as Record<string, unknown>);
    arrived();
  });
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    ws.once('close', (code, reason) => resolve({ code, reason: reason.toString() }));
  });
  await new Promise<void>((resolve, reject) => {
    ws.once('open', resolve);
    ws.once('error', reject);
  });
  ws.on('error', () => {});
  return {
    ws,
    frames,
    texts,
    closed,
    send: (frame) => ws.send(typeof frame === 'string' ? frame : JSON.stringify(frame)),
    async take(count) {
      while (frames.length < taken + count) {
        await new Promise<void>((resolve) => {
          arrived = resolve;
        });
      }
      taken += count;
      return frames.slice(taken - count, taken);
    },
  };
}

/** Lets the event loop turn until `condition` holds. The test's own timeout is the limit. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2));
}
