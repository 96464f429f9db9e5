import { join } from 'node:path';
import type { Bundle } from '../core/bundle.ts';
import { canonicalText } from '../formats/canonical-json.ts';
import { sha256Hex } from '../formats/digest.ts';
import type { JsonObject } from '../formats/json.ts';
import { loadConfig } from '../host/config.ts';
import { readBounded } from '../host/durable-file.ts';
import type { Logger } from '../host/log.ts';
import type { SitePaths } from '../host/site.ts';
import type { Alarm } from './alarm.ts';
import { findingOf, type Programs } from './programs.ts';

const TRUST_MAX_BYTES = 1_048_576;

/** What the gateway was started with, by digest: its part of `holdfast.json`, and the files that it trusts. */
export type Configuration = Readonly<Record<string, string | null>>;

/**
 * The gateway's configuration as it lies on the disk now. A file that cannot be read has no digest. Settings of other
 * roles are left out: changing them is nothing that a gateway has to notice.
 */
export function readConfiguration(paths: SitePaths, ledgerKeys: { digest(): string | null }): Configuration {
  return {
    'holdfast.json': attempt(() => {
      const { site, profile, sockets, gateway, peers } = loadConfig(paths.root);
      return canonicalText({ site, profile, sockets, gateway, peers } as unknown as JsonObject);
    }),
    'trust/root.json': attempt(() => readBounded(join(paths.trust, 'root.json'), TRUST_MAX_BYTES)),
    // The one file that changes by itself: by a rotation, which the keys before it vouch for.
    'trust/ledger.vkey': ledgerKeys.digest(),
  };
}

function attempt(read: () => Uint8Array | string): string | null {
  try {
    return sha256Hex(read());
  } catch {
    return null;
  }
}

/**
 * Looks, round after round, whether configuration and tools are still those that the gateway was started with and that
 * signed policy pins, and raises the alarm when they are not. What is still wrong is told again in each round, so that a
 * resume without a repair does not last.
 */
export class IntegrityWatch {
  readonly #parts: {
    started: Configuration;
    read: () => Configuration;
    programs: Programs;
    /** Bundles in force, verified by this gateway. */
    inForce: () => Promise<readonly Bundle[]>;
    alarm: Alarm;
    log: Logger;
  };
  #running: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | null = null;

  constructor(parts: {
    started: Configuration;
    read: () => Configuration;
    programs: Programs;
    inForce: () => Promise<readonly Bundle[]>;
    alarm: Alarm;
    log: Logger;
  }) {
    this.#parts = parts;
  }

  /** Rounds every `everyMs`, one at a time, the first at once. */
  start(everyMs: number): void {
    this.#running = this.round();
    this.#timer = setInterval(() => {
      this.#running = this.#running.then(() => this.round());
    }, everyMs);
    this.#timer.unref();
  }

  /** Resolves when the round under way has ended. */
  async stop(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    await this.#running;
  }

  /** One look at everything. Never rejects. */
  async round(): Promise<void> {
    const { alarm, log } = this.#parts;
    try {
      await this.#checkConfiguration();
      await this.#checkPrograms();
      await alarm.retry();
    } catch (error) {
      log.error({ err: error }, 'the integrity of configuration and tools could not be checked');
    }
  }

  async #checkConfiguration(): Promise<void> {
    const { started, read, alarm } = this.#parts;
    const now = read();
    for (const [file, digest] of Object.entries(started)) {
      const found = now[file] ?? null;
      if (found === digest) continue;
      await alarm.raise({
        cause: 'configuration_changed',
        detail: `${file} is not what the gateway was started with.`,
        evidence: { path: file, found, ...(digest === null ? {} : { expected: digest }) },
      });
    }
  }

  async #checkPrograms(): Promise<void> {
    const { programs, inForce, alarm } = this.#parts;
    for (const change of programs.checkAll(await inForce())) await alarm.raise(findingOf(change));
  }
}
