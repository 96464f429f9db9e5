import { connect, type Socket } from 'node:net';
import { completeBody, serialize } from './http.ts';
import type { PacedLoad, PacedResult } from './job.ts';

/*
 * Callers who do not wait for each other: requests arrive at a steady rate whatever becomes of those before them, and
 * wait for a connection if none is free. So a server that stands still for a while is charged for everyone who came
 * meanwhile, not only for those whom it held.
 */

const TICK_MS = 1;

/** Runs the load to its end. Rejects at the first answer that is not the expected one. */
export async function runPacedLoad(job: PacedLoad): Promise<PacedResult> {
  const callers = new Callers(job);
  try {
    return await callers.run();
  } finally {
    callers.close();
  }
}

class Callers {
  readonly #job: PacedLoad;
  readonly #requests: Buffer[];
  readonly #expect: Buffer;
  readonly #sockets: Socket[] = [];
  readonly #free: Socket[] = [];
  /** Arrival times of those who wait for a connection. */
  readonly #waiting: number[] = [];
  readonly #answers: PacedResult['answers'] = [];
  readonly #ended = Promise.withResolvers<void>();
  #arrived = 0;
  #all = false;

  constructor(job: PacedLoad) {
    this.#job = job;
    this.#requests = job.bodies.map((body) => serialize(job.path, body));
    this.#expect = Buffer.from(job.expect);
  }

  async run(): Promise<PacedResult> {
    for (let n = 0; n < this.#job.connections; n++) this.#open();
    const { perSecond, durationMs } = this.#job;
    const start = performance.now();
    const timer = setInterval(() => {
      const now = performance.now();
      const due = Math.floor(((now - start) / 1_000) * perSecond);
      for (; this.#arrived < due; this.#arrived++) this.#waiting.push(now);
      this.#serve();
      if (now - start < durationMs) return;
      clearInterval(timer);
      this.#all = true;
      this.#endIfOver();
    }, TICK_MS);
    try {
      await this.#ended.promise;
    } finally {
      clearInterval(timer);
    }
    return { answers: this.#answers };
  }

  close(): void {
    for (const socket of this.#sockets) {
      socket.removeAllListeners();
      socket.on('error', () => {});
      socket.destroy();
    }
  }

  #open(): void {
    const socket = connect(this.#job.socket);
    const { reject } = this.#ended;
    socket.on('connect', () => {
      this.#free.push(socket);
      this.#serve();
    });
    socket.on('error', reject);
    socket.on('close', () => reject(new Error(`${this.#job.socket} closed the connection`)));
    this.#sockets.push(socket);
  }

  #serve(): void {
    while (this.#waiting.length > 0 && this.#free.length > 0)
      this.#ask(this.#free.shift() as Socket, this.#waiting.shift() as number);
  }

  #ask(socket: Socket, arrivedAt: number): void {
    let received: Buffer = Buffer.alloc(0);
    const read = (chunk: Buffer): void => {
      received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
      const body = completeBody(received);
      if (body === null) return;
      socket.removeListener('data', read);
      if (received.toString('latin1', 9, 12) !== '200' || received.indexOf(this.#expect, body) === -1) {
        this.#ended.reject(new Error(`unexpected answer: ${received.toString('utf8').slice(0, 600)}`));
        return;
      }
      this.#answers.push([performance.timeOrigin + arrivedAt, performance.now() - arrivedAt]);
      this.#free.push(socket);
      this.#serve();
      this.#endIfOver();
    };
    socket.on('data', read);
    socket.write(this.#requests[this.#answers.length % this.#requests.length] as Buffer);
  }

  #endIfOver(): void {
    if (this.#all && this.#answers.length === this.#arrived) this.#ended.resolve();
  }
}
