import type { Logger } from '../host/log.ts';
import type { EnginePort, Finding } from './engine-port.ts';

/** Findings that wait for an engine that does not answer. */
const WAITING_MAX = 64;

/**
 * Tells the engine what the gateway finds wrong, so that it becomes an incident and a halt. What cannot be told now waits
 * for the next round. The gateway has refused by itself already: nothing depends on being heard.
 */
export class Alarm {
  readonly #engine: Pick<EnginePort, 'reportIncident'>;
  readonly #log: Logger;
  readonly #waiting = new Map<string, Finding>();

  constructor(engine: Pick<EnginePort, 'reportIncident'>, log: Logger) {
    this.#engine = engine;
    this.#log = log;
  }

  /** Reports that could not be handed over yet. */
  get backlog(): number {
    return this.#waiting.size;
  }

  /** Never rejects. */
  async raise(finding: Finding): Promise<void> {
    this.#log.error({ cause: finding.cause, evidence: finding.evidence ?? {} }, finding.detail);
    if (this.#waiting.size < WAITING_MAX) this.#waiting.set(JSON.stringify(finding), finding);
    await this.retry();
  }

  /** Tells again what was not heard. Never rejects. */
  async retry(): Promise<void> {
    for (const [key, finding] of [...this.#waiting]) {
      try {
        await this.#engine.reportIncident(finding);
        this.#waiting.delete(key);
      } catch (error) {
        this.#log.warn({ err: error }, 'the engine did not take a report; it will be told again');
        return;
      }
    }
  }
}
