import { performance } from 'node:perf_hooks';
import type { Duplex } from 'node:stream';
import type { RawData, WebSocket } from 'ws';
import type { EngineHandle, Problem } from '../engine/protocol.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import type { JsonLimits } from '../formats/strict-json.ts';
import type { Caller } from '../identity/callers.ts';
import type { Admission, ClientBudget } from './admission.ts';
import type { Connection } from './connections.ts';
import { type BoundMethod, type Dispatcher, internalProblem, resultOf } from './dispatch.ts';
import { type Frame, idOfRefused, readFrame, requestOf } from './frame.ts';
import { elsewhere, type SocketKind } from './methods.ts';
import type { Metrics } from './metrics.ts';
import { problem, problemOfBoundary } from './problem.ts';
import { Subscriptions, type Wanted } from './subscription.ts';

/** What the streams of one server share. */
export interface StreamContext {
  socket: SocketKind;
  dispatcher: Dispatcher;
  admission: Admission;
  metrics: Metrics;
  jsonLimits: JsonLimits;
  engine: EngineHandle | null;
  failed: (error: unknown, method: string) => void;
}

/** The other end of a stream. */
export type Client = Pick<Connection, 'budget' | 'caller'>;

const CLOSING_BRACE = 0x7d;
/** What a frame may have around its params: id, method, names and quotes. */
export const FRAME_OVERHEAD_BYTES = 512;
/** Answers that the peer has not read yet; above this nothing more is read from it. */
const UNREAD_MAX_BYTES = 1024 * 1024;
/** Share of its window that a client may have under way when it is read from again. */
const RESUME_AT = 0.75;
/** RFC 6455 section 7.4.1. */
const CLOSE_GOING_AWAY = 1001;
const CLOSE_UNSUPPORTED_DATA = 1003;

/** One frame on its way through. */
interface Exchange {
  id: string;
  method: string;
  started: number;
}

/**
 * One stream: frames in, answers out in any order. Bounded both ways: a peer that has its whole window under way, or
 * does not read its answers, is not read from until that changes.
 */
export class StreamConnection {
  readonly #ws: WebSocket;
  readonly #socket: Duplex;
  readonly #budget: ClientBudget;
  readonly #caller: Caller;
  readonly #context: StreamContext;
  readonly #limits: JsonLimits;
  readonly #window: number;
  readonly #subscriptions: Subscriptions | null;
  readonly #gone = new AbortController();
  readonly #uncork = () => {
    this.#corked = false;
    this.#socket.uncork();
    this.#hold();
    this.#goOn();
  };
  /** Frames that `ws` had in hand when reading was paused: at most what one read brought. */
  readonly #backlog: string[] = [];
  #alive = true;
  #corked = false;
  #paused = false;
  #draining = false;

  constructor(ws: WebSocket, socket: Duplex, { budget, caller }: Client, context: StreamContext) {
    this.#ws = ws;
    this.#socket = socket;
    this.#budget = budget;
    this.#caller = caller;
    this.#context = context;
    this.#window = context.admission.limits.in_flight_per_client;
    const { maxBytes, maxDepth } = context.jsonLimits;
    this.#limits = { maxBytes: maxBytes + FRAME_OVERHEAD_BYTES, maxDepth: maxDepth + 1 };
    this.#subscriptions =
      context.engine === null
        ? null
        : new Subscriptions(
            context.engine,
            caller,
            (text) => this.#sendAndFlush(text),
            (error) => context.failed(error, 'subscribe'),
          );
    this.#listen();
  }

  /** Cuts off a peer that did not answer the last heartbeat, then sends the next one. */
  beat(): void {
    if (!this.#alive && !this.#paused) {
      this.#ws.terminate();
      return;
    }
    this.#alive = false;
    this.#ws.ping();
  }

  /** Takes no more frames and closes with 1001 once everything under way is answered. */
  drain(): void {
    this.#draining = true;
    this.#subscriptions?.stop();
    this.#closeWhenDrained();
  }

  cut(): void {
    this.#ws.terminate();
  }

  #listen(): void {
    const ws = this.#ws;
    ws.on('message', (data, isBinary) => this.#message(data, isBinary));
    ws.on('pong', () => {
      this.#alive = true;
    });
    // `ws` closes with the right code by itself (too large, not UTF-8, not a frame); there is nothing to add.
    ws.on('error', () => {});
    this.#socket.on('drain', () => this.#goOn());
    ws.once('close', () => {
      this.#gone.abort();
      this.#subscriptions?.stop();
    });
  }

  #message(data: RawData, isBinary: boolean): void {
    if (isBinary) {
      this.#ws.close(CLOSE_UNSUPPORTED_DATA, 'text frames only');
      return;
    }
    const text = data.toString();
    if (this.#paused) this.#backlog.push(text);
    else this.#take(text);
  }

  /** Takes one frame in, unless it is too much. */
  #take(text: string): void {
    const exchange: Exchange = { id: 'null', method: 'none', started: performance.now() };
    const denied = this.#draining
      ? problem('server.stopping', 'the service is stopping; nothing was done')
      : this.#context.admission.enter(this.#budget);
    if (denied !== null) {
      exchange.id = idOfRefused(text);
      this.#reply(exchange, denied.status, 'problem', JSON.stringify(denied));
      return;
    }
    this.#answer(text, exchange);
    this.#hold();
  }

  /** From an admitted frame's text to its answer. Whatever happens, it is answered once and counted out once. */
  #answer(text: string, exchange: Exchange): void {
    try {
      const frame = readFrame(text, this.#limits);
      exchange.id = frame.id;
      const method = this.#context.dispatcher.methods.get(frame.method);
      if (method === undefined) {
        this.#finish(exchange, elsewhere(frame.method, this.#context.socket));
        return;
      }
      exchange.method = frame.method;
      if (method.row.kind === 'stream') this.#subscription(frame, method, exchange);
      else this.#dispatch(frame, method, exchange);
    } catch (error) {
      if (exchange.id === 'null') exchange.id = idOfRefused(text);
      if (!(error instanceof BoundaryError)) this.#context.failed(error, exchange.method);
      this.#finish(exchange, error instanceof BoundaryError ? problemOfBoundary(error) : internalProblem());
    }
  }

  #dispatch(frame: Frame, method: BoundMethod, exchange: Exchange): void {
    const request = { ...requestOf(frame, method), caller: this.#caller, gone: () => this.#gone.signal };
    void this.#context.dispatcher.call(method, request).then((answer) => {
      this.#leave();
      if (answer.status >= 400) this.#reply(exchange, answer.status, 'problem', answer.body);
      else this.#reply(exchange, answer.status, 'result', resultOf(method, answer));
    });
  }

  #subscription(frame: Frame, method: BoundMethod, exchange: Exchange): void {
    method.checkBody?.(frame.params);
    const refusal = this.#caller.refusal();
    if (refusal !== null) {
      this.#finish(exchange, problem('peer.certificate_refused', `${refusal} Nothing was done.`));
      return;
    }
    const subscriptions = this.#subscriptions;
    if (subscriptions === null) throw new Error(`${frame.method} needs an engine`);
    if (frame.method === 'unsubscribe') {
      const id = Number(frame.params.subscription);
      if (subscriptions.close(id)) this.#finish(exchange, { subscription: id });
      else
        this.#finish(exchange, problem('stream.no_subscription', 'this connection has no such subscription'));
      return;
    }
    const id = subscriptions.open(frame.params as unknown as Wanted);
    if (id === null) {
      const detail = 'this connection has as many subscriptions as it may; end one first';
      this.#finish(exchange, problem('stream.too_many_subscriptions', detail));
      return;
    }
    this.#finish(exchange, { subscription: id });
    subscriptions.start(id);
  }

  /** Answers an admitted frame with a problem, or with a result of the stream itself. */
  #finish(exchange: Exchange, outcome: Problem | { subscription: number }): void {
    this.#leave();
    const text = JSON.stringify(outcome);
    if ('code' in outcome) this.#reply(exchange, outcome.status, 'problem', text);
    else this.#reply(exchange, 200, 'result', text);
  }

  #leave(): void {
    this.#context.admission.leave(this.#budget);
    if (this.#draining) this.#closeWhenDrained();
  }

  #reply(exchange: Exchange, status: number, member: 'result' | 'problem', body: string | Buffer): void {
    const { metrics, socket } = this.#context;
    metrics.answered(socket, exchange.method, status, performance.now() - exchange.started);
    this.#send(frameText(`{"id":${exchange.id},"${member}":`, body));
  }

  /** All that is sent in one turn of the event loop goes out in one write. */
  #send(text: string | Buffer, flushed?: (error?: Error) => void): void {
    if (!this.#corked) {
      this.#corked = true;
      this.#socket.cork();
      setImmediate(this.#uncork);
    }
    this.#ws.send(text, { binary: false }, flushed);
  }

  #sendAndFlush(text: string): Promise<boolean> {
    return new Promise((resolve) =>
      this.#send(text, (error) => resolve(error === undefined || error === null)),
    );
  }

  /** Reads no more from a peer whose window is full, or that does not read. */
  #hold(): void {
    if (this.#paused || !this.#isFull(1)) return;
    this.#paused = true;
    this.#ws.pause();
  }

  /** Goes on where `hold` stopped; first with the frames that had been received by then. */
  #goOn(): void {
    if (!this.#paused || this.#isFull(RESUME_AT)) return;
    this.#paused = false;
    while (!this.#paused) {
      const text = this.#backlog.shift();
      if (text === undefined) break;
      this.#take(text);
    }
    if (!this.#paused) this.#ws.resume();
  }

  #isFull(share: number): boolean {
    return this.#budget.inFlight >= this.#window * share || this.#socket.writableLength > UNREAD_MAX_BYTES;
  }

  #closeWhenDrained(): void {
    if (this.#budget.inFlight === 0)
      setImmediate(() => this.#ws.close(CLOSE_GOING_AWAY, 'the service is stopping'));
  }
}

/** A frame around a body. Bytes stay bytes: an answer of the engine is copied once, never decoded and encoded again. */
function frameText(head: string, body: string | Buffer): string | Buffer {
  if (typeof body === 'string') return `${head}${body}}`;
  const start = Buffer.byteLength(head);
  const frame = Buffer.allocUnsafe(start + body.length + 1);
  frame.write(head, 0, 'utf8');
  body.copy(frame, start);
  frame[start + body.length] = CLOSING_BRACE;
  return frame;
}
