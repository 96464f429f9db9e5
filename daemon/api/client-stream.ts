import { connect as connectPlain } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { WebSocket } from 'ws';
import type { Entry } from '../formats/entry.ts';
import { clientTls } from '../identity/tls.ts';
import type { ClientTls } from './client-identity.ts';
import { ApiProblem, ApiUnreachable } from './client-transport.ts';
import { STREAM_PATH } from './methods.ts';

/** What is wanted of the stream: every entry from an index on, or those of some types or of one stream. */
export interface FollowOptions {
  socketPath: string;
  tls: ClientTls | null;
  from: number;
  kinds?: string[];
  stream?: string;
  signal: AbortSignal;
}

/** An entry as the stream sent it. */
export interface FollowedEntry {
  index: number;
  entry: Entry;
}

/** Frames that may wait for the reader; then the connection is not read from. */
const QUEUE_MAX = 256;
const RESUME_AT = 64;
/** The server pings every 30 s; one that is silent for so long is gone. */
const SILENCE_MS = 90_000;
const FRAME_MAX_BYTES = 1_048_576;

/**
 * Entries in ledger order from an index on, without gaps, as they are committed. Ends when `signal` aborts. Throws
 * `ApiUnreachable` when the connection cannot be had or is lost (go on with the index after the last one that came), and
 * `ApiProblem` when the server says no.
 */
export async function* followEntries(options: FollowOptions): AsyncGenerator<FollowedEntry> {
  const frames = new Frames(open(options), options);
  try {
    for (let frame = await frames.next(); frame !== null; frame = await frames.next()) {
      const { problem, index, entry } = frame;
      if (problem !== undefined) throw new ApiProblem(Number(problem.status), problem as never);
      if (index !== undefined && entry !== undefined) yield { index, entry };
    }
  } finally {
    frames.close();
  }
}

interface Frame {
  problem?: { status?: unknown };
  index?: number;
  entry?: Entry;
}

function open({ socketPath, tls }: FollowOptions): WebSocket {
  const settings = { perMessageDeflate: false, maxPayload: FRAME_MAX_BYTES, handshakeTimeout: 10_000 };
  if (tls === null) {
    const createConnection = (() => connectPlain(socketPath)) as never;
    return new WebSocket(`ws://localhost${STREAM_PATH}`, { ...settings, createConnection });
  }
  const secure = clientTls(tls.identity, tls.server);
  const createConnection = (() => connectTls({ path: socketPath, ...secure })) as never;
  return new WebSocket(`wss://localhost${STREAM_PATH}`, { ...settings, createConnection });
}

/** The frames of one connection, one at a time; what the reader has no time for waits on the other side. */
class Frames {
  readonly #ws: WebSocket;
  readonly #waiting: string[] = [];
  readonly #onAbort: () => void;
  readonly #signal: AbortSignal;
  #silence: NodeJS.Timeout;
  #wake: () => void = () => {};
  #lost: ApiUnreachable | null = null;

  constructor(ws: WebSocket, { signal, socketPath, from, kinds, stream }: FollowOptions) {
    this.#ws = ws;
    this.#signal = signal;
    this.#silence = setTimeout(() => {}, 0);
    this.#heard();
    const wanted = {
      from,
      ...(kinds === undefined ? {} : { kinds }),
      ...(stream === undefined ? {} : { stream }),
    };
    ws.on('open', () => ws.send(JSON.stringify({ id: 1, method: 'subscribe', params: wanted })));
    ws.on('ping', () => this.#heard());
    ws.on('message', (data) => this.#take(String(data)));
    ws.on('error', (cause) => this.#lose(socketPath, cause));
    ws.on('close', () => this.#lose(socketPath, null));
    this.#onAbort = () => {
      ws.terminate();
      this.#wake();
    };
    signal.addEventListener('abort', this.#onAbort);
  }

  /** The next frame; null when the reader wants no more. */
  async next(): Promise<Frame | null> {
    for (;;) {
      if (this.#signal.aborted) return null;
      const text = this.#waiting.shift();
      if (this.#waiting.length === RESUME_AT && this.#ws.isPaused) this.#ws.resume();
      if (text !== undefined) return JSON.parse(text) as Frame;
      if (this.#lost !== null) throw this.#lost;
      if (this.#ws.isPaused) this.#ws.resume();
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  close(): void {
    clearTimeout(this.#silence);
    this.#signal.removeEventListener('abort', this.#onAbort);
    this.#ws.terminate();
  }

  #take(text: string): void {
    this.#heard();
    if (this.#waiting.push(text) >= QUEUE_MAX) this.#ws.pause();
    this.#wake();
  }

  #heard(): void {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => this.#ws.terminate(), SILENCE_MS);
  }

  #lose(socketPath: string, cause: unknown): void {
    const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
    const reason = code === 'ENOENT' ? 'missing' : code === 'ECONNREFUSED' ? 'refused' : 'closed';
    const words = reason === 'closed' ? 'the stream was closed' : 'nothing listens';
    this.#lost ??= new ApiUnreachable(reason, `${words} on ${socketPath}`, { sent: false, cause });
    this.#wake();
  }
}
