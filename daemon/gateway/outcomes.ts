import { ApiProblem, ApiUnreachable, type DecisionReply } from '../api/client.ts';
import type { Clock } from '../host/clock.ts';
import type { Logger } from '../host/log.ts';
import type { OutcomeDetail, RunResult } from './connectors/run.ts';
import type { EnginePort } from './engine-port.ts';
import type { Journal } from './journal.ts';

/** What the engine is to be told about one permit. */
export interface Outcome {
  permit_id: string;
  decision_id: string;
  result: RunResult;
  detail: OutcomeDetail;
}

const FIRST_RETRY_MS = 250;
const LAST_RETRY_MS = 30_000;

/** HTTP statuses with which the engine says that nothing is open for this permit: unknown, not redeemed, or known already. */
const SETTLED = [404, 409, 410];

/**
 * Tells the engine how runs ended, until it has acknowledged each. What it could not be told before the process ends
 * stays in the journal and is told at the next start.
 */
export class OutcomeReporter {
  #engine: EnginePort;
  #journal: Journal;
  #clock: Clock;
  #log: Logger;
  #waiting = new Map<string, Outcome>();
  #timer: NodeJS.Timeout | null = null;
  #delay = FIRST_RETRY_MS;
  #stopped = false;

  constructor(parts: { engine: EnginePort; journal: Journal; clock: Clock; log: Logger }) {
    this.#engine = parts.engine;
    this.#journal = parts.journal;
    this.#clock = parts.clock;
    this.#log = parts.log;
  }

  /** Outcomes that the engine has not acknowledged yet. */
  get backlog(): number {
    return this.#waiting.size;
  }

  /**
   * Journals how the run ended, then tells the engine. Returns the decision as it now stands, or null when the engine
   * could not be told: then it is tried again until it is. Never throws.
   */
  async settle(outcome: Outcome): Promise<DecisionReply | null> {
    const { permit_id: permit, decision_id: decision, result, detail } = outcome;
    try {
      await this.#journal.ended({ permit, decision, at: this.#at(), result, detail });
    } catch (error) {
      // The engine's own entry is the better record; without this line a restart would report `unknown`.
      this.#log.error({ permit, err: error }, 'the end of a run could not be journaled');
    }
    const told = await this.#tell(outcome);
    if (typeof told === 'object') return told;
    if (told !== 'settled') this.#keep(outcome);
    return null;
  }

  /** Tells again what a former process journaled; nothing is written but the acknowledgement. */
  async resume(outcome: Outcome): Promise<void> {
    const told = await this.#tell(outcome);
    if (told === 'unreachable' || told === 'refused') this.#keep(outcome);
  }

  stop(): void {
    this.#stopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  async #tell(outcome: Outcome): Promise<DecisionReply | 'settled' | 'unreachable' | 'refused'> {
    const { permit_id: permit, result, detail } = outcome;
    let reply: DecisionReply | 'settled';
    try {
      reply = await this.#engine.outcome(permit, result, detail);
    } catch (error) {
      if (error instanceof ApiUnreachable) return 'unreachable';
      if (!(error instanceof ApiProblem)) throw error;
      if (!SETTLED.includes(error.status)) {
        this.#log.error(
          { permit, code: error.code },
          'the engine did not take an outcome; it will be told again',
        );
        return 'refused';
      }
      this.#log.warn({ permit, code: error.code }, 'the engine has nothing open for this permit');
      reply = 'settled';
    }
    await this.#close(permit);
    return reply;
  }

  async #close(permit: string): Promise<void> {
    try {
      await this.#journal.reported(permit, this.#at());
    } catch (error) {
      this.#log.error(
        { permit, err: error },
        'an acknowledged outcome could not be journaled; a restart reports it again',
      );
    }
  }

  #keep(outcome: Outcome): void {
    this.#waiting.set(outcome.permit_id, outcome);
    this.#retryLater();
  }

  #retryLater(): void {
    if (this.#stopped || this.#timer !== null) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#retry().catch((error: unknown) => this.#log.fatal({ err: error }, 'reporting outcomes failed'));
    }, this.#delay);
    this.#timer.unref();
    this.#delay = Math.min(this.#delay * 2, LAST_RETRY_MS);
  }

  async #retry(): Promise<void> {
    for (const outcome of [...this.#waiting.values()]) {
      if (this.#stopped) return;
      const told = await this.#tell(outcome);
      if (told === 'unreachable') break;
      if (told !== 'refused') this.#waiting.delete(outcome.permit_id);
    }
    if (this.#waiting.size > 0) this.#retryLater();
    else this.#delay = FIRST_RETRY_MS;
  }

  #at(): string {
    return new Date(this.#clock.now()).toISOString();
  }
}
