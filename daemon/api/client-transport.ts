import { Agent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as TlsAgent, request as tlsRequest } from 'node:https';
import { TLSSocket } from 'node:tls';
import type { Json, JsonObject } from '../formats/json.ts';
import { clientTls } from '../identity/tls.ts';
import type { ClientTls } from './client-identity.ts';

/** Largest reply that is read; a page of 1,000 entries of 64 KiB does not fit, so ask for fewer. */
const REPLY_MAX_BYTES = 32 * 1024 * 1024;

/** The server answered, with a problem document. Nothing else was done than what the problem says. */
export class ApiProblem extends Error {
  override readonly name = 'ApiProblem';
  readonly status: number;
  readonly code: string;
  readonly detail: string;
  /** The whole document, extension members included. */
  readonly body: JsonObject;

  constructor(status: number, body: JsonObject) {
    const detail = typeof body.detail === 'string' ? body.detail : `the server answered ${status}`;
    super(detail);
    this.status = status;
    this.code = typeof body.code === 'string' ? body.code : `http.${status}`;
    this.detail = detail;
    this.body = body;
  }
}

/** Why no answer came. */
export type UnreachableReason =
  | 'missing'
  | 'refused'
  | 'forbidden'
  | 'timeout'
  | 'closed'
  | 'aborted'
  | 'untrusted'
  | 'garbled';

/** No answer came. `sent` tells whether the request may have been acted on all the same. */
export class ApiUnreachable extends Error {
  override readonly name = 'ApiUnreachable';
  readonly reason: UnreachableReason;
  readonly sent: boolean;

  constructor(reason: UnreachableReason, message: string, options: { sent: boolean; cause?: unknown }) {
    super(message, { cause: options.cause });
    this.reason = reason;
    this.sent = options.sent;
  }
}

export interface CallOptions {
  signal?: AbortSignal;
  /** Instead of the client's own. */
  timeoutMs?: number;
}

export interface Call extends CallOptions {
  verb: 'GET' | 'POST';
  path: string;
  query?: Record<string, string | number | undefined>;
  body?: unknown;
  idempotencyKey?: string | undefined;
  /** Milliseconds that the server was asked to wait. */
  waitMs?: number;
}

export interface RawReply {
  status: number;
  mediaType: string;
  bytes: Buffer;
}

/** Sends calls to one socket over kept-alive connections. */
export class Transport {
  readonly #socketPath: string;
  readonly #timeoutMs: number;
  readonly #request: typeof httpRequest;
  #agent: Agent;

  /** `tls` null: the socket is plain. */
  constructor(socketPath: string, timeoutMs: number, tls: ClientTls | null) {
    this.#socketPath = socketPath;
    this.#timeoutMs = timeoutMs;
    this.#request = tls === null ? httpRequest : tlsRequest;
    this.#agent = agentFor(tls);
  }

  /** Shows another certificate from the next connection on. Calls under way go on over the old ones. */
  renew(tls: ClientTls): void {
    const before = this.#agent;
    this.#agent = agentFor(tls);
    for (const sockets of Object.values(before.freeSockets))
      for (const socket of sockets ?? []) socket.destroy();
  }

  /** Drops the idle connections. Calls under way go on. */
  close(): void {
    this.#agent.destroy();
  }

  /** One call and its answer; throws `ApiProblem` or `ApiUnreachable`. */
  async reply(call: Call): Promise<RawReply> {
    const reply = await this.#sendOnceMore(call);
    if (reply.status < 400) return reply;
    const body = jsonOf(reply);
    const isObject = typeof body === 'object' && body !== null && !Array.isArray(body);
    throw new ApiProblem(reply.status, isObject ? body : {});
  }

  /** A kept connection may die under our request; what is safe to repeat is repeated on a fresh one, once. */
  async #sendOnceMore(call: Call): Promise<RawReply> {
    try {
      return await this.#send(call);
    } catch (error) {
      const repeatable = call.verb === 'GET' || call.idempotencyKey !== undefined;
      if (repeatable && error instanceof ApiUnreachable && error.reason === 'closed') return this.#send(call);
      throw error;
    }
  }

  #send(call: Call): Promise<RawReply> {
    const timeoutMs = (call.timeoutMs ?? this.#timeoutMs) + (call.waitMs ?? 0);
    const text = call.body === undefined ? null : JSON.stringify(call.body);
    const headers: Record<string, string | number> = { host: 'localhost', accept: 'application/json' };
    if (text !== null) {
      headers['content-type'] = 'application/json';
      headers['content-length'] = Buffer.byteLength(text);
    }
    if (call.idempotencyKey !== undefined) headers['idempotency-key'] = call.idempotencyKey;
    const deadline = AbortSignal.timeout(timeoutMs);
    const signal = call.signal === undefined ? deadline : AbortSignal.any([call.signal, deadline]);
    return new Promise((resolve, reject) => {
      const fail = (error: unknown, connected: boolean) =>
        reject(
          unreachable(error, {
            socketPath: this.#socketPath,
            timedOut: deadline.aborted,
            timeoutMs,
            connected,
            secure: this.#request === tlsRequest,
          }),
        );
      let connected = false;
      const outgoing = this.#request({
        socketPath: this.#socketPath,
        agent: this.#agent,
        method: call.verb,
        path: pathOf(call),
        headers,
        signal,
      });
      outgoing.on('socket', (socket) => {
        // With TLS nothing is sent before the server is known.
        const ready = socket instanceof TLSSocket ? 'secureConnect' : 'connect';
        if (socket.connecting || (socket instanceof TLSSocket && !socket.authorized))
          socket.once(ready, () => (connected = true));
        else connected = true;
      });
      outgoing.on('error', (error) => fail(error, connected));
      outgoing.on('response', (incoming) =>
        readReply(incoming).then(resolve, (error: unknown) => fail(error, true)),
      );
      outgoing.end(text ?? undefined);
    });
  }
}

const POOL = { keepAlive: true, maxSockets: 64, maxFreeSockets: 8 };

function agentFor(tls: ClientTls | null): Agent {
  return tls === null ? new Agent(POOL) : new TlsAgent({ ...POOL, ...clientTls(tls.identity, tls.server) });
}

function pathOf(call: Call): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(call.query ?? {})) {
    if (value !== undefined) query.set(name, String(value));
  }
  const text = query.toString();
  return text === '' ? call.path : `${call.path}?${text}`;
}

async function readReply(incoming: IncomingMessage): Promise<RawReply> {
  const chunks: Buffer[] = [];
  let total = 0;
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    total += chunk.length;
    if (total > REPLY_MAX_BYTES) throw new ReplyTooLarge();
    chunks.push(chunk);
  }
  return {
    status: incoming.statusCode ?? 0,
    mediaType: incoming.headers['content-type'] ?? '',
    bytes: Buffer.concat(chunks, total),
  };
}

class ReplyTooLarge extends Error {}

/** The JSON of a reply; anything else means that no one of ours answered. */
export function jsonOf(reply: RawReply): Json {
  try {
    return JSON.parse(reply.bytes.toString('utf8')) as Json;
  } catch (cause) {
    const message = `the answer (status ${reply.status}) is not JSON; is this a socket of holdfast?`;
    throw new ApiUnreachable('garbled', message, { sent: true, cause });
  }
}

interface Attempt {
  socketPath: string;
  timedOut: boolean;
  timeoutMs: number;
  connected: boolean;
  /** The socket speaks TLS. */
  secure: boolean;
}

/** Turns what node reports into a reason and a sentence; what was not connected was not sent. */
function unreachable(error: unknown, attempt: Attempt): ApiUnreachable {
  const { reason, message } = reasonOf(error, attempt);
  return new ApiUnreachable(reason, message, { sent: attempt.connected, cause: error });
}

function reasonOf(error: unknown, attempt: Attempt): { reason: UnreachableReason; message: string } {
  const at = attempt.socketPath;
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (attempt.timedOut) {
    return {
      reason: 'timeout',
      message: `no answer on ${at} within ${Math.ceil(attempt.timeoutMs / 1000)} s`,
    };
  }
  if (error instanceof ReplyTooLarge) {
    return {
      reason: 'garbled',
      message: `the answer on ${at} is over ${REPLY_MAX_BYTES} bytes; ask for less`,
    };
  }
  switch (code) {
    case 'ENOENT':
      return {
        reason: 'missing',
        message: `nothing listens on ${at}: the socket does not exist`,
      };
    case 'ECONNREFUSED':
      return {
        reason: 'refused',
        message: `nothing listens on ${at}: the socket was left behind`,
      };
    case 'EAGAIN':
      return { reason: 'refused', message: `too many wait for ${at} already; try again shortly` };
    case 'EACCES':
    case 'EPERM':
      return { reason: 'forbidden', message: `not permitted to use ${at}; join the group that owns it` };
    case 'ABORT_ERR':
      return { reason: 'aborted', message: 'the caller gave up before the answer came' };
    default:
      if (isOfTls(error)) {
        const message = `no TLS connection on ${at} (${code ?? 'the server is another one than expected'}): check that both ends speak it (peers.tls in holdfast.json) and that the certificate is one of this site`;
        return { reason: 'untrusted', message };
      }
      return {
        reason: 'closed',
        message: `the connection on ${at} closed before the answer came${attempt.secure ? '; so does one whose certificate is not accepted' : ''}`,
      };
  }
}

/** OpenSSL's complaints, node's about certificates, and ours about the server's name. */
function isOfTls(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const code = 'code' in error ? String(error.code) : '';
  return (
    /^(ERR_SSL_|ERR_TLS_|EPROTO|.*CERT|UNABLE_TO_)/.test(code) ||
    error.message.startsWith('the server is not')
  );
}
