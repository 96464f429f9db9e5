import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { kernelSynchronized } from './kernel-clock.ts';

/** Time as the host tells it. A port, so that tests and the time ladder can stand a clock where they need it. */
export interface Clock {
  /** Wall clock, milliseconds since 1970-01-01 UTC. May jump either way. */
  now(): number;
  /** Milliseconds since this boot, sleep included as far as it was noticed; never goes back, and nobody can set it. */
  monotonic(): number;
}

/** The clocks of a machine, as whoever judges them needs them. */
export interface MachineClock extends Clock {
  /** Names this boot of the machine: monotonic times of two boots have nothing to do with each other. */
  readonly boot: string;
  /** Takes the time that the machine slept into `monotonic`. True when it slept since this was last asked. */
  noticeSleep(): boolean;
  /** Whether the kernel holds the wall clock to be synchronized to an outside source; null when it does not say. */
  synchronized(): boolean | null;
}

/** CLOCK_MONOTONIC stands still while the machine sleeps; less than this is rounding. */
const SLEEP_MS = 1_000;

/** The machine's own clocks. */
class SystemClock implements MachineClock {
  readonly boot = bootId();
  readonly #fromProcess = Number(process.hrtime.bigint()) / 1e6 - performance.now();
  #slept = sleptMs();

  now(): number {
    return Date.now();
  }

  monotonic(): number {
    return performance.now() + this.#fromProcess + this.#slept;
  }

  noticeSleep(): boolean {
    const slept = sleptMs();
    if (slept < this.#slept + SLEEP_MS) return false;
    this.#slept = slept;
    return true;
  }

  synchronized(): boolean | null {
    return kernelSynchronized();
  }
}

/** Milliseconds that the machine slept in this boot: `/proc/uptime` goes on counting, CLOCK_MONOTONIC does not. */
function sleptMs(): number {
  const uptime = Number.parseFloat(readProc('/proc/uptime') ?? '') * 1_000;
  const slept = uptime - Number(process.hrtime.bigint()) / 1e6;
  // A container may be shown an uptime of its own, which is shorter.
  return Number.isFinite(slept) && slept > SLEEP_MS ? slept : 0;
}

/** Where the kernel does not name its boots, every run counts as one. */
function bootId(): string {
  const id = readProc('/proc/sys/kernel/random/boot_id')?.trim() ?? '';
  return /^[0-9a-f-]{36}$/.test(id) ? id : randomUUID();
}

function readProc(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}

/** The machine's own clocks. */
export const systemClock: MachineClock = new SystemClock();
