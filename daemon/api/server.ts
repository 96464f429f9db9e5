import { createServer, type Server, type ServerOptions } from 'node:http';
import { createServer as createTlsServer, Server as TlsServer } from 'node:https';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { type FastifyInstance, fastify } from 'fastify';
import type { EngineHandle, Problem } from '../engine/protocol.ts';
import type { SiteLimits } from '../host/config.ts';
import type { Logger } from '../host/log.ts';
import { VERSION } from '../host/version.ts';
import { type CallerSources, callerOf, NO_SOURCES } from '../identity/callers.ts';
import type { TlsIdentity } from '../identity/files.ts';
import { secureContext, serverTls } from '../identity/tls.ts';
import { Admission } from './admission.ts';
import { Connections, owesAnswer } from './connections.ts';
import { type Admit, Dispatcher, type HostServices, type OwnServices } from './dispatch.ts';
import { type ListenTarget, listenOn } from './listen.ts';
import { type SocketKind, STREAM_PATH } from './methods.ts';
import type { Metrics } from './metrics.ts';
import { openApi } from './openapi.ts';
import { problem } from './problem.ts';
import { rawProblem } from './reply.ts';
import { addRoutes } from './routes.ts';
import { Streams } from './stream.ts';
import { Waits } from './waits.ts';

export type { Admit, Answer, HostCall, HostHandler, HostServices } from './dispatch.ts';
export type { ListenTarget } from './listen.ts';
export type { SocketKind } from './methods.ts';

/** How long the server puts up with a silent peer, in milliseconds. */
export interface Patience {
  /** For the head of a request. */
  headers: number;
  /** For a whole request. */
  request: number;
  /** Between requests on a kept connection. */
  keepAlive: number;
  /** For a peer that does not read its answers. */
  stall: number;
  /** Between a stream's heartbeats; a peer that misses one is cut off. */
  heartbeat: number;
}

const DEFAULT_PATIENCE: Patience = {
  headers: 10_000,
  request: 30_000,
  keepAlive: 75_000,
  stall: 30_000,
  heartbeat: 30_000,
};
const HEADER_MAX_BYTES = 8_192;

export interface ApiServerOptions {
  socket: SocketKind;
  listen: ListenTarget;
  /** Null on the gateway, whose table has no engine methods. */
  engine: EngineHandle | null;
  host: HostServices;
  limits: SiteLimits;
  patience?: Partial<Patience>;
  metrics: Metrics;
  log: Logger;
  /** How callers are told apart; without it they are not. */
  callers?: CallerSources;
  /** Judges who may call what the process around the server answers; without it everybody may. */
  admit?: Admit;
  /** What the server shows; without it the socket is plain. */
  tls?: TlsIdentity | null;
}

/** One listening socket with its share of the table. */
export interface ApiServer {
  readonly socket: SocketKind;
  /** Shows another certificate from the next connection on. Only for a server that speaks TLS. */
  renew(tls: TlsIdentity): void;
  /**
   * Stops accepting, finishes what was accepted (long-polls are answered with what there is, streams are closed with
   * 1001 after their answers), and cuts off whoever is left after `graceMs`.
   */
  stop(graceMs: number): Promise<void>;
}

/**
 * Starts serving one socket. Resolves when it listens; throws `BoundaryError` `socket.*` when it cannot.
 * Nothing that a peer sends makes it throw afterwards: malformed requests are answered with 4xx, bugs of ours with 500.
 */
export async function startApiServer(options: ApiServerOptions): Promise<ApiServer> {
  const server = new RunningServer(options);
  await server.start(options.listen);
  return server;
}

class RunningServer implements ApiServer {
  readonly socket: SocketKind;
  readonly #http: Server;
  readonly #app: FastifyInstance;
  readonly #admission: Admission;
  readonly #connections: Connections;
  readonly #waits: Waits | null;
  readonly #streams: Streams;
  readonly #callers: CallerSources;
  readonly #log: Logger;
  #stopping = false;

  constructor(options: ApiServerOptions) {
    const { socket, limits, metrics, log, engine, host } = options;
    const patience = { ...DEFAULT_PATIENCE, ...options.patience };
    const failed = (error: unknown, method: string) =>
      log.error({ err: error, method, socket }, 'request failed');
    this.socket = socket;
    this.#callers = options.callers ?? NO_SOURCES;
    this.#log = log;
    this.#admission = new Admission(limits);
    this.#connections = new Connections(this.#admission, limits.connections, patience.stall);
    this.#waits = engine === null ? null : new Waits(engine);
    const own = ownServices(socket, metrics);
    const admit = options.admit ?? null;
    const dispatcher = new Dispatcher({ socket, engine, waits: this.#waits, host, own, admit, failed });
    const jsonLimits = { maxBytes: limits.body_bytes, maxDepth: limits.json_depth };
    const stopping = () => this.#stopping;
    const shared = {
      socket,
      dispatcher,
      admission: this.#admission,
      connections: this.#connections,
      metrics,
      jsonLimits,
      stopping,
      failed,
    };
    this.#streams = new Streams({ ...shared, engine }, patience.heartbeat);
    this.#app = fastify({
      serverFactory: (handler) => hardenedServer(handler, patience, options.tls ?? null),
      clientErrorHandler: (error, socket) => this.#unreadable(error, socket),
      bodyLimit: limits.body_bytes,
      exposeHeadRoutes: false,
      schemaController: { compilersFactory: { buildValidator: noSchemas, buildSerializer: noSchemas } },
      routerOptions: { caseSensitive: true, ignoreTrailingSlash: false, maxParamLength: 128 },
      frameworkErrors: (_error, request, reply) => {
        reply.hijack();
        request.raw.socket.end(
          rawProblem(problem('request.malformed', 'the URL cannot be read; nothing was done')),
        );
      },
    });
    addRoutes(this.#app, shared);
    this.#http = this.#app.server as Server;
    this.#accept(limits.connections);
    metrics.watchInFlight(socket, () => this.#admission.inFlight);
  }

  async start(target: ListenTarget): Promise<void> {
    await this.#app.ready();
    await listenOn(this.#http, target);
  }

  renew(tls: TlsIdentity): void {
    if (!(this.#http instanceof TlsServer)) throw new Error(`${this.socket}.sock does not speak TLS`);
    this.#http.setSecureContext(secureContext(tls));
  }

  async stop(graceMs: number): Promise<void> {
    this.#stopping = true;
    const deadline = AbortSignal.timeout(graceMs);
    const closed = new Promise<void>((resolve) => this.#http.close(() => resolve()));
    this.#waits?.stop();
    await this.#streams.stop(deadline);
    while (this.#admission.inFlight > 0 && !deadline.aborted) await sleep(5);
    this.#http.closeIdleConnections();
    if (this.#connections.size > 0) await sleep(5);
    this.#connections.destroyAll();
    this.#connections.stop();
    await closed;
    await this.#app.close();
  }

  /** Garbage must not overtake the answer to a good request before it on the same connection. */
  #unreadable(error: Error & { code?: string }, socket: Socket): void {
    const connection = this.#connections.of(socket);
    // A handshake that failed: there is no common language to say so in.
    if (connection === null && this.#http instanceof TlsServer) this.#notAdmitted(error, socket);
    else if (!socket.writable) socket.destroy();
    else if (connection !== null && owesAnswer(connection)) connection.closing = true;
    else endWith(socket, rawProblem(unreadable(error.code)));
  }

  #notAdmitted(error: Error & { code?: string }, socket: Socket): void {
    this.#log.warn({ socket: this.socket, code: error.code ?? 'unknown' }, 'a handshake failed');
    socket.destroy();
  }

  #accept(limit: number): void {
    // Connections whose handshake is not over are not counted yet, so there is a bound for all of them.
    if (this.#http instanceof TlsServer) this.#http.maxConnections = 2 * limit;
    this.#http.on(this.#http instanceof TlsServer ? 'secureConnection' : 'connection', (socket: Socket) =>
      this.#connections.add(socket, callerOf(socket, this.socket, this.#callers)),
    );
    this.#http.on('upgrade', (request, socket, head) => {
      const connection = this.#connections.of(request.socket);
      const path = (request.url ?? '').split('?', 1)[0];
      if (connection === null || this.#stopping) {
        endWith(socket, rawProblem(problem('server.stopping', 'the service is stopping; nothing was done')));
      } else if (path !== STREAM_PATH) {
        endWith(socket, rawProblem(problem('method.unknown', `the only WebSocket here is ${STREAM_PATH}`)));
      } else {
        this.#streams.accept(request, socket, head, connection);
      }
    });
  }
}

/** Node's HTTP server with every timeout set; only WebSocket upgrades leave the request path. */
function hardenedServer(
  handler: Parameters<typeof createServer>[1],
  patience: Patience,
  tls: TlsIdentity | null,
): Server {
  const options: ServerOptions = {
    headersTimeout: patience.headers,
    requestTimeout: patience.request,
    keepAliveTimeout: patience.keepAlive,
    connectionsCheckingInterval: Math.max(50, Math.min(1_000, patience.headers / 4)),
    maxHeaderSize: HEADER_MAX_BYTES,
    insecureHTTPParser: false,
    shouldUpgradeCallback: (request) => request.headers.upgrade?.toLowerCase() === 'websocket',
  };
  return tls === null
    ? createServer(options, handler)
    : createTlsServer({ ...options, ...serverTls(tls) }, handler);
}

/** Arguments and bodies are checked by the dispatcher; without this fastify loads two schema compilers that nothing uses. */
function noSchemas(): never {
  throw new Error('routes have no schemas of their own');
}

function ownServices(socket: SocketKind, metrics: Metrics): OwnServices {
  const document = JSON.stringify(openApi(socket, VERSION));
  return {
    'health.get': () => Promise.resolve({ status: 200, body: '{"status":"ok"}' }),
    'openapi.get': () => Promise.resolve({ status: 200, body: document }),
    'metrics.get': async () => ({ status: 200, ...(await metrics.text()) }),
  };
}

/** What is said about bytes that the HTTP parser could not read, or waited for in vain. */
function unreadable(code: string | undefined): Problem {
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    return problem('request.timeout', 'the request did not arrive in time; nothing was done');
  }
  if (code === 'HPE_HEADER_OVERFLOW') {
    const detail = `the head of the request is over ${HEADER_MAX_BYTES} bytes; nothing was done`;
    return problem('request.headers_too_large', detail);
  }
  return problem('request.malformed', 'this is not HTTP/1.1; nothing was done');
}

function endWith(socket: Duplex, text: string): void {
  socket.on('error', () => socket.destroy());
  socket.end(text, () => socket.destroy());
}
