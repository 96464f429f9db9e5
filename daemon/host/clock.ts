/** Time as the host tells it. A port, so that tests and the time ladder can stand a clock where they need it. */
export interface Clock {
  /** Wall clock, milliseconds since 1970-01-01 UTC. May jump either way. */
  now(): number;
  /** Milliseconds since some fixed moment of this boot; never goes back. */
  monotonic(): number;
}

/** The machine's own clocks. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
};
