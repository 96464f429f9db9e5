/** One closed-loop load: as many requests in flight as it says, a new one for every answer. */
interface Load {
  /** Path of the Unix socket. */
  socket: string;
  /** Path in the URL. */
  path: string;
  /** Request bodies (HTTP) or `params` texts (stream), used in turn. */
  bodies: string[];
  /** An answer counts only with status 200 and this text in it; anything else ends the load with an error. */
  expect: string;
  warmupMs: number;
  durationMs: number;
  /** How many whole answers to hand back, spread over the measured time. */
  samples: number;
}

export interface HttpLoad extends Load {
  kind: 'http';
  /** Keep-alive connections, one request in flight on each. */
  connections: number;
}

export interface StreamLoad extends Load {
  kind: 'stream';
  method: string;
  /** Requests in flight on the one WebSocket connection. */
  window: number;
}

/** Requests that arrive at a steady rate, whether or not those before them were answered. */
export interface PacedLoad extends Pick<Load, 'socket' | 'path' | 'bodies' | 'expect' | 'durationMs'> {
  kind: 'paced';
  connections: number;
  perSecond: number;
}

export type LoadJob = HttpLoad | StreamLoad | PacedLoad;

export interface PacedResult {
  /** When each request arrived (milliseconds since 1970) and how many milliseconds its answer took from then on. */
  answers: [arrivedAt: number, ms: number][];
}

export interface LoadResult {
  answers: number;
  perSecond: number;
  /** Milliseconds from handing the request to the kernel to reading the last byte of its answer. */
  p50: number;
  p95: number;
  p99: number;
  /** Bodies of sampled answers, to be verified in full by whoever ran the load. */
  samples: string[];
}

/** What the load process answers to a job. */
export type LoadReply = { result: LoadResult | PacedResult } | { error: string };
