import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocketServer } from 'ws';
import {
  type Client,
  FRAME_OVERHEAD_BYTES,
  StreamConnection,
  type StreamContext,
} from './stream-connection.ts';

/** The WebSocket connections of one server (`WS /v1/stream`). */
export class Streams {
  readonly #context: StreamContext;
  readonly #upgrades: WebSocketServer;
  readonly #open = new Set<StreamConnection>();
  readonly #heartbeat: NodeJS.Timeout;

  constructor(context: StreamContext, heartbeatMs: number) {
    this.#context = context;
    this.#upgrades = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: context.jsonLimits.maxBytes + FRAME_OVERHEAD_BYTES,
    });
    this.#heartbeat = setInterval(() => {
      for (const connection of this.#open) connection.beat();
    }, heartbeatMs);
    this.#heartbeat.unref();
  }

  /** Takes over a connection that asks to become a stream; `ws` itself answers a malformed handshake with 400. */
  accept(request: IncomingMessage, socket: Duplex, head: Buffer, { budget, caller }: Client): void {
    this.#upgrades.handleUpgrade(request, socket, head, (ws) => {
      const connection = new StreamConnection(ws, socket, { budget, caller }, this.#context);
      this.#open.add(connection);
      ws.once('close', () => this.#open.delete(connection));
    });
  }

  /** Takes no more frames, lets answers under way go out, says goodbye, and cuts off who is left at the deadline. */
  async stop(deadline: AbortSignal): Promise<void> {
    clearInterval(this.#heartbeat);
    for (const connection of this.#open) connection.drain();
    while (this.#open.size > 0 && !deadline.aborted) await sleep(5);
    for (const connection of this.#open) connection.cut();
  }
}
