import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Caller } from '../identity/callers.ts';
import type { Admission, ClientBudget } from './admission.ts';
import { problem } from './problem.ts';
import { rawProblem } from './reply.ts';

/** What is known of one connection. */
export interface Connection {
  /** Who is on the other end. */
  readonly caller: Caller;
  readonly budget: ClientBudget;
  /** Admitted requests that are not answered yet. */
  readonly requests: Set<IncomingMessage>;
  /** Nothing more can be read from it: what was asked is answered, then it is closed. */
  closing: boolean;
  /** Bytes that had been written out when last looked at, while more were waiting. */
  stalledAt: number | null;
}

/**
 * The open connections of one server: their budgets, their number, and the ones whose peer has stopped reading.
 */
export class Connections {
  readonly #connections = new Map<Socket, Connection>();
  readonly #admission: Admission;
  readonly #limit: number;
  readonly #sweep: NodeJS.Timeout;

  /** A peer that reads nothing for `stallMs` to twice that, while an answer waits for it, is cut off. */
  constructor(admission: Admission, limit: number, stallMs: number) {
    this.#admission = admission;
    this.#limit = limit;
    this.#sweep = setInterval(() => this.#cutStalled(), stallMs);
    this.#sweep.unref();
  }

  get size(): number {
    return this.#connections.size;
  }

  /** Takes a new connection in, or turns it away when there are too many. */
  add(socket: Socket, caller: Caller): void {
    if (this.#connections.size >= this.#limit) {
      const detail = `${this.#limit} connections are open; nothing was done, try again shortly`;
      socket.end(rawProblem(problem('server.busy', detail)), () => socket.destroy());
      return;
    }
    this.#connections.set(socket, {
      caller,
      budget: this.#admission.newClient(),
      requests: new Set(),
      closing: false,
      stalledAt: null,
    });
    socket.once('close', () => this.#connections.delete(socket));
  }

  /** What is known of a connection; null for one that was turned away. */
  of(socket: Socket): Connection | null {
    return this.#connections.get(socket) ?? null;
  }

  stop(): void {
    clearInterval(this.#sweep);
  }

  destroyAll(): void {
    for (const socket of this.#connections.keys()) socket.destroy();
  }

  #cutStalled(): void {
    for (const [socket, connection] of this.#connections) {
      if (socket.writableLength === 0) connection.stalledAt = null;
      else if (connection.stalledAt === socket.bytesWritten - socket.writableLength) socket.destroy();
      else connection.stalledAt = socket.bytesWritten - socket.writableLength;
    }
  }
}

/** Whether a request was read whole and its answer is still to come. */
export function owesAnswer({ requests }: Connection): boolean {
  for (const request of requests) if (request.complete) return true;
  return false;
}
