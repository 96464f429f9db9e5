import { performance } from 'node:perf_hooks';
import type { Problem } from '../engine/protocol.ts';
import { problem } from './problem.ts';

/** How much is let in at once, and how fast. */
export interface AdmissionLimits {
  /** Calls under way on this socket, over all clients. */
  in_flight: number;
  /** Calls under way of one client. */
  in_flight_per_client: number;
  /** Sustained rate of one client; a second's worth may come at once. */
  requests_per_second_per_client: number;
}

/** What one client (a connection) has under way, and its token bucket. */
export interface ClientBudget {
  inFlight: number;
  tokens: number;
  refilledAt: number;
}

/**
 * Counts calls in and out and turns away what exceeds the limits, so that one client's flood costs the others nothing
 * and memory stays bounded whatever arrives.
 */
export class Admission {
  readonly limits: AdmissionLimits;
  #inFlight = 0;

  constructor(limits: AdmissionLimits) {
    this.limits = limits;
  }

  /** Calls under way. */
  get inFlight(): number {
    return this.#inFlight;
  }

  newClient(): ClientBudget {
    return {
      inFlight: 0,
      tokens: this.limits.requests_per_second_per_client,
      refilledAt: performance.now(),
    };
  }

  /** Lets a call in (null; the caller must `leave` when it is answered), or says why not. */
  enter(client: ClientBudget): Problem | null {
    const { limits } = this;
    if (client.tokens < 1 && this.#refill(client) < 1) {
      return problem(
        'request.rate_limited',
        `this connection sends more than ${limits.requests_per_second_per_client} requests per second; nothing was done, send slower`,
      );
    }
    if (client.inFlight >= limits.in_flight_per_client) {
      return problem(
        'request.too_many',
        `this connection has ${limits.in_flight_per_client} requests under way; nothing was done, wait for answers first`,
      );
    }
    if (this.#inFlight >= limits.in_flight) {
      return problem('server.busy', 'too many requests are under way; nothing was done, try again shortly');
    }
    client.tokens -= 1;
    client.inFlight += 1;
    this.#inFlight += 1;
    return null;
  }

  leave(client: ClientBudget): void {
    client.inFlight -= 1;
    this.#inFlight -= 1;
  }

  #refill(client: ClientBudget): number {
    const rate = this.limits.requests_per_second_per_client;
    const now = performance.now();
    client.tokens = Math.min(rate, client.tokens + ((now - client.refilledAt) / 1_000) * rate);
    client.refilledAt = now;
    return client.tokens;
  }
}
