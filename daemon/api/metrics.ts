import { Counter, Gauge, Histogram, Registry } from '@prometheus-io/client';
import type { EngineHandle } from '../engine/protocol.ts';

/** Requests are a few hundred microseconds when idle, a commit a few milliseconds when the disk is slow. */
const LATENCY_BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60];

/** What the process says about itself at `/metrics`; shared by all its sockets. */
export class Metrics {
  readonly registry = new Registry();
  readonly #requests: Counter<'socket' | 'method' | 'status'>;
  readonly #seconds: Histogram<'socket' | 'method'>;
  readonly #inFlight = new Map<string, () => number>();
  #ledgerSize: number | null = null;

  constructor() {
    const registers = [this.registry];
    this.#requests = new Counter({
      name: 'holdfast_requests_total',
      help: 'Answered requests by socket, method and HTTP status.',
      labelNames: ['socket', 'method', 'status'],
      registers,
    });
    this.#seconds = new Histogram({
      name: 'holdfast_request_seconds',
      help: 'Time from the head of a request to its answer, long-polls included.',
      labelNames: ['socket', 'method'],
      buckets: LATENCY_BUCKETS,
      registers,
    });
    const sources = this.#inFlight;
    new Gauge({
      name: 'holdfast_requests_in_flight',
      help: 'Requests under way by socket.',
      labelNames: ['socket'],
      registers,
      collect() {
        for (const [socket, read] of sources) this.set({ socket }, read());
      },
    });
    new Gauge({
      name: 'holdfast_resident_memory_bytes',
      help: 'Resident set size of the process.',
      registers,
      collect() {
        this.set(process.memoryUsage.rss());
      },
    });
  }

  /** One answered request; `method` is the table's name, or `none` where no method was reached. */
  answered(socket: string, method: string, status: number, milliseconds: number): void {
    this.#requests.inc({ socket, method, status });
    this.#seconds.observe({ socket, method }, milliseconds / 1_000);
  }

  /** Where to read a socket's number of requests under way. */
  watchInFlight(socket: string, read: () => number): void {
    this.#inFlight.set(socket, read);
  }

  /** Follows the ledger's growth from the engine's events; returns the unsubscribe function. */
  followLedger(engine: EngineHandle): () => void {
    const size = () => this.#ledgerSize;
    new Gauge({
      name: 'holdfast_ledger_entries',
      help: 'Entries in the ledger, as of the newest committed batch since the start.',
      registers: [this.registry],
      collect() {
        const known = size();
        if (known !== null) this.set(known);
      },
    });
    return engine.onEvents((events) => {
      const last = events.at(-1);
      if (last !== undefined) this.#ledgerSize = last.index + 1;
    });
  }

  /** Prometheus text format. */
  async text(): Promise<{ body: string; mediaType: string }> {
    return { body: await this.registry.metrics(), mediaType: this.registry.contentType };
  }
}
